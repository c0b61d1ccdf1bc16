//! One small recorded run, and what the tests of tampering do to its lines.

use agentrc_audit::Recorder;
use agentrc_audit::event::{Denial, Event, Evidence};
use agentrc_audit::folder::Folder;
use agentrc_audit::ledger::LEDGER_FILE;
use agentrc_audit::level::AuditLevel;
use agentrc_audit::log::LOG_FILE;
use agentrc_audit::sign::{PublicKey, SigningKey};
use agentrc_audit::verify::{Reason, Report, Verdict, verify};
use std::path::Path;
use std::sync::{Arc, LazyLock};

pub(crate) const RUN: &str = "20261125-124522-3f9a";

pub(crate) fn armed() -> Event {
    Event::Armed {
        agentrc: "0.1.0".into(),
        plan_sha256: "ab".repeat(32),
        agent: "a".into(),
        agentfile: "/x/Agentfile".into(),
        argv: vec!["/bin/true".into()],
        uid: 1000,
        evidence: Evidence::default(),
    }
}

pub(crate) fn denial(count: u64) -> Event {
    Event::Denial(Denial {
        layer: "seccomp".into(),
        act: "ptrace\n\u{1b}[2J".into(),
        pid: None,
        program: Some("gdb".into()),
        verdict: "EPERM".into(),
        rule: "debug".into(),
        reason: None,
        count,
    })
}

pub(crate) fn ended() -> Event {
    Event::Ended { exit_code: 0, signal: None, wall_ms: 5, cpu_ms: 1, peak_rss_kib: 900 }
}

/// A recorded run: the state directory, the log's bytes, the ledger's bytes.
pub(crate) struct Recorded {
    pub(crate) log: Vec<u8>,
    pub(crate) ledger: Vec<u8>,
    pub(crate) key: PublicKey,
    pub(crate) signing: Arc<SigningKey>,
}

pub(crate) fn record(denials: u64, finish: bool) -> Recorded {
    let dir = tempfile::tempdir().unwrap();
    let state = Folder::open(dir.path()).unwrap();
    let run = state.private_folder(Path::new(RUN)).unwrap();
    let mut recorder = Recorder::start(&state, &run, RUN, AuditLevel::Basic).unwrap();
    recorder.record(&armed()).unwrap();
    for count in 0..denials {
        recorder.record(&denial(count)).unwrap();
    }
    recorder.record(&ended()).unwrap();
    if finish {
        recorder.finish().unwrap();
    }
    let signing = Arc::new(SigningKey::load_or_create(&state).unwrap());
    Recorded {
        log: std::fs::read(dir.path().join(RUN).join(LOG_FILE)).unwrap(),
        ledger: std::fs::read(dir.path().join(LEDGER_FILE)).unwrap(),
        key: signing.public(),
        signing,
    }
}

/// The same small run for all tests that only read it.
pub(crate) static SMALL: LazyLock<Recorded> = LazyLock::new(|| record(6, true));

pub(crate) fn check(log: &[u8]) -> Report {
    verify(log, RUN, &SMALL.key).unwrap()
}

pub(crate) fn lines(log: &[u8]) -> Vec<Vec<u8>> {
    log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The report on the log after `change` was made to its lines.
pub(crate) fn after(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Report {
    let mut all = lines(&SMALL.log);
    change(&mut all);
    check(&all.concat())
}

pub(crate) fn edited(line: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(line.clone()).unwrap();
    assert!(text.contains(from), "{from} not in {text}");
    *line = text.replacen(from, to, 1).into_bytes();
}

#[track_caller]
pub(crate) fn assert_found(report: &Report, line: u64, reason: impl Fn(&Reason) -> bool) {
    assert_eq!(report.verdict(), Verdict::Tampered);
    let there = report.findings.iter().any(|finding| finding.line == line && reason(&finding.reason));
    assert!(there, "not in {:#?}", report.findings);
}
