//! What recording leaves on disk, and how it fails.
#![cfg(test)]

use std::fs::OpenOptions;
use std::io::{BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use agentrc_audit::event::{Denial, Evidence};
use agentrc_audit::folder::Folder;
use agentrc_audit::ledger::{Entry, LEDGER_FILE, Ledger};
use agentrc_audit::level::AuditLevel;
use agentrc_audit::line::Body;
use agentrc_audit::log::LOG_FILE;
use agentrc_audit::read::{Lines, last_event};
use agentrc_audit::sign::{KEY_FILE, PublicKey, SigningKey};
use agentrc_audit::verify::{Verdict, verify, verify_ledger};
use agentrc_audit::{Error, Event, Recorder};

struct Host {
    dir: tempfile::TempDir,
    state: Folder,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = Folder::open(dir.path()).unwrap();
        Self { dir, state }
    }

    fn start(&self, run: &str, level: AuditLevel) -> Result<Recorder, Error> {
        let folder = self.state.private_folder(Path::new(run)).unwrap();
        Recorder::start(&self.state, &folder, run, level)
    }

    fn log(&self, run: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(run).join(LOG_FILE)).unwrap()
    }

    fn key(&self) -> PublicKey {
        PublicKey::load(&self.state).unwrap().unwrap()
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.state, Arc::new(SigningKey::load_or_create(&self.state).unwrap())).unwrap()
    }

    fn ledger_bytes(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join(LEDGER_FILE)).unwrap()
    }
}

fn armed() -> Event {
    Event::Armed {
        agentrc: "0.1.0".into(),
        plan_sha256: "ab".repeat(32),
        agent: "a".into(),
        agentfile: "/x/Agentfile".into(),
        argv: vec!["line\nbreak".into()],
        uid: 1000,
        evidence: Evidence::default(),
    }
}

fn denial() -> Event {
    Event::Denial(Denial {
        layer: "mounts".into(),
        act: "\"}\n{\"seq\":99,\"event\":\"run.ended\"".into(),
        pid: None,
        program: None,
        verdict: "EROFS".into(),
        rule: "Agentfile:1:1".into(),
        reason: None,
        count: 1,
    })
}

fn ended() -> Event {
    Event::Ended { exit_code: 3, signal: None, wall_ms: 5, cpu_ms: 1, peak_rss_kib: 900 }
}

#[test]
fn each_level_leaves_a_log_that_verifies() {
    let host = Host::new();
    for (level, lines) in
        [(AuditLevel::Off, 3), (AuditLevel::Basic, 4), (AuditLevel::All, 4), (AuditLevel::Compliance, 4)]
    {
        let run = format!("run-{level:?}");
        let mut recorder = host.start(&run, level).unwrap();
        for event in [armed(), denial(), ended()] {
            recorder.record(&event).unwrap();
        }
        let head = recorder.finish().unwrap();
        assert_eq!(head.lines, lines, "{level:?}");
        let mut report = verify(&*host.log(&run), &run, &host.key()).unwrap();
        report.compare(verify_ledger(&*host.ledger_bytes(), &host.key()).unwrap().1.0.get(&run), false);
        assert_eq!((report.verdict(), report.head), (Verdict::Intact, head.digest), "{level:?}");
    }
}

#[test]
fn a_line_is_on_disk_when_record_returns() {
    let host = Host::new();
    let mut recorder = host.start("r", AuditLevel::Basic).unwrap();
    assert_eq!(host.log("r").len(), 0);
    recorder.record(&armed()).unwrap();
    assert!(host.log("r").ends_with(b"\n"));
    std::mem::forget(recorder);
}

#[test]
fn a_newline_in_a_name_starts_no_line() {
    let host = Host::new();
    let mut recorder = host.start("r", AuditLevel::Basic).unwrap();
    recorder.record(&denial()).unwrap();
    recorder.finish().unwrap();
    assert_eq!(host.log("r").iter().filter(|byte| **byte == b'\n').count(), 2);
    let lines: Vec<_> = Lines::new(&*host.log("r")).collect::<Result<_, _>>().unwrap();
    assert_eq!(lines[0].body, Body::Event(denial()));
}

#[test]
fn log_ledger_and_key_are_the_owners_alone() {
    let host = Host::new();
    host.start("r", AuditLevel::Off).unwrap().finish().unwrap();
    for name in ["r/audit.jsonl", LEDGER_FILE, KEY_FILE] {
        let mode = std::fs::metadata(host.dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn a_log_that_is_there_already_is_refused() {
    let host = Host::new();
    std::fs::create_dir(host.dir.path().join("r")).unwrap();
    std::fs::set_permissions(host.dir.path().join("r"), PermissionsExt::from_mode(0o700)).unwrap();
    let target = host.dir.path().join("elsewhere");
    symlink(&target, host.dir.path().join("r").join(LOG_FILE)).unwrap();
    assert!(matches!(host.start("r", AuditLevel::Off), Err(Error::Create { .. })));
    assert!(!target.exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let host = Host::new();
    let gone = host.state.private_folder(Path::new("gone")).unwrap();
    std::fs::remove_dir(host.dir.path().join("gone")).unwrap();
    assert!(matches!(
        Recorder::start(&host.state, &gone, "gone", AuditLevel::Off),
        Err(Error::Create { .. })
    ));
}

#[test]
fn a_ledger_whose_end_was_changed_is_never_continued() {
    let host = Host::new();
    host.start("a", AuditLevel::Off).unwrap().finish().unwrap();
    let whole = host.ledger_bytes();
    for changed in [
        String::from_utf8(whole.clone()).unwrap().replace("\"run\":\"a\"", "\"run\":\"b\"").into_bytes(),
        [&whole[..], b"\n"].concat(),
        [&whole[..], b"{\"entry\":\"removed\",\"run\":\"a\"}\n"].concat(),
    ] {
        std::fs::write(host.dir.path().join(LEDGER_FILE), &changed).unwrap();
        assert!(matches!(host.start("b", AuditLevel::Off), Err(Error::Ledger { .. })));
        assert_eq!(host.ledger_bytes(), changed);
    }
    std::fs::write(host.dir.path().join(LEDGER_FILE), &whole).unwrap();
    for name in [KEY_FILE, agentrc_audit::sign::PUBLIC_KEY_FILE] {
        std::fs::remove_file(host.dir.path().join(name)).unwrap();
    }
    let Err(Error::Ledger { why, .. }) = host.start("c", AuditLevel::Off) else { panic!() };
    assert!(why.contains("another key"), "{why}");
}

#[test]
fn a_line_of_ones_own_that_was_changed_meanwhile_is_never_continued() {
    let host = Host::new();
    let mut ledger = host.ledger();
    let entry = || Entry::Removed { run: "basic".into() };
    ledger.append(entry(), false).unwrap();
    ledger.append(entry(), false).unwrap();
    // Another process's line in between is read, and the next one comes after it.
    host.ledger().append(entry(), false).unwrap();
    ledger.append(entry(), false).unwrap();
    // As long as before, and not what was signed.
    let path = host.dir.path().join(LEDGER_FILE);
    let text = String::from_utf8(host.ledger_bytes()).unwrap();
    let at = text.rfind("basic").unwrap();
    std::fs::write(&path, [&text[..at], "basik", &text[at + 5..]].concat()).unwrap();
    let error = ledger.append(entry(), false).unwrap_err().to_string();
    assert!(error.contains("was changed"), "{error}");
    std::fs::write(&path, text).unwrap();
    ledger.append(entry(), false).unwrap();
    assert_eq!(host.ledger_bytes().iter().filter(|byte| **byte == b'\n').count(), 5);
}

#[test]
fn a_ledger_line_that_was_cut_short_by_a_crash_is_cut_off_and_recorded() {
    let host = Host::new();
    host.start("a", AuditLevel::Off).unwrap().finish().unwrap();
    let mut file = OpenOptions::new().append(true).open(host.dir.path().join(LEDGER_FILE)).unwrap();
    file.write_all(b"{\"seq\":2,\"ti").unwrap();
    let report = verify_ledger(&*host.ledger_bytes(), &host.key()).unwrap().0;
    assert_eq!((report.verdict(), report.torn_bytes), (Verdict::Unfinished, 12));
    host.ledger().append(Entry::Removed { run: "a".into() }, true).unwrap();
    let bytes = host.ledger_bytes();
    let (report, runs) = verify_ledger(&*bytes, &host.key()).unwrap();
    assert_eq!((report.verdict(), report.lines), (Verdict::Intact, 4));
    assert!(runs.0["a"].removed);
    assert!(String::from_utf8(bytes).unwrap().contains("\"entry\":\"recovered\",\"dropped_bytes\":12"));
}

#[test]
fn many_processes_append_to_one_ledger_in_turn() {
    let host = Host::new();
    host.ledger();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let host = &host;
            scope.spawn(move || {
                let mut ledger = host.ledger();
                for at in 0..20 {
                    ledger.append(Entry::Removed { run: format!("{writer}-{at}") }, false).unwrap();
                }
            });
        }
    });
    let (report, runs) = verify_ledger(&*host.ledger_bytes(), &host.key()).unwrap();
    assert_eq!((report.verdict(), report.lines, runs.0.len()), (Verdict::Intact, 160, 160));
}

#[test]
fn a_ledger_that_a_stopped_process_holds_is_an_error_and_not_a_hang() {
    let host = Host::new();
    let mut ledger = host.ledger();
    let holder = OpenOptions::new().read(true).open(host.dir.path().join(LEDGER_FILE)).unwrap();
    holder.lock().unwrap();
    let began = std::time::Instant::now();
    let refused = ledger.append(Entry::Removed { run: "a".into() }, false);
    assert!(matches!(refused, Err(Error::Locked { .. })));
    assert!(began.elapsed() < std::time::Duration::from_secs(30));
}

#[test]
fn a_run_that_starts_or_ends_twice_is_a_contradiction() {
    let host = Host::new();
    let started = || Entry::Started { run: "a".into(), level: AuditLevel::Off };
    let mut ledger = host.ledger();
    ledger.append(started(), false).unwrap();
    ledger.append(started(), false).unwrap();
    let report = verify_ledger(&*host.ledger_bytes(), &host.key()).unwrap().0;
    assert_eq!((report.verdict(), report.findings.len()), (Verdict::Tampered, 1));
}

#[test]
fn the_last_event_is_found_without_reading_the_rest() {
    let host = Host::new();
    let mut recorder = host.start("r", AuditLevel::Basic).unwrap();
    let open = || std::fs::File::open(host.dir.path().join("r").join(LOG_FILE)).unwrap();
    assert_eq!(last_event(&mut open()).unwrap(), None);
    for _ in 0..2000 {
        recorder.record(&denial()).unwrap();
    }
    assert_eq!(last_event(&mut open()).unwrap(), Some(denial()));
    recorder.record(&ended()).unwrap();
    recorder.finish().unwrap();
    assert_eq!(last_event(&mut open()).unwrap(), Some(ended()));
    OpenOptions::new()
        .append(true)
        .open(host.dir.path().join("r").join(LOG_FILE))
        .unwrap()
        .write_all(b"{")
        .unwrap();
    assert_eq!(last_event(&mut open()).unwrap(), Some(ended()));
    let shown: Vec<_> = Lines::new(BufReader::new(open())).collect();
    assert!(shown.last().unwrap().is_err());
    assert_eq!(shown.iter().filter(|line| line.is_ok()).count(), 2001 + 2001 / 256 + 1);
}
