//! Runs and grants, as another command sees them.
#![cfg(test)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use agentrc_audit::event::Event;
use agentrc_audit::level::AuditLevel;
use agentrc_audit::verify::{Reason, Verdict};
use agentrc_audit::{Recorder, ledger};
use agentrc_host::hostpath::HostPath;
use agentrc_host::record::{FORMAT, Record};
use agentrc_host::runs::{Run, RunState, is_id, started};
use agentrc_host::state::Place;
use agentrc_host::{Error, StateDir};

struct Host {
    dir: tempfile::TempDir,
    state: StateDir,
}

fn host() -> Host {
    let dir = tempfile::tempdir().unwrap();
    let place = Place { base: dir.path().to_owned(), beneath: "agentrc".into(), make_base: false };
    Host { state: StateDir::open(&place).unwrap(), dir }
}

fn record(run: &Run) -> Record {
    Record {
        format: FORMAT,
        run: run.id().to_owned(),
        agentfile: HostPath::new("/x/Agentfile"),
        agent: "a".into(),
        plan_sha256: "ab".repeat(32),
        started: "2026-11-25T12:45:22.000000000Z".into(),
        supervisor_pid: 1,
        clock: run.clock().unwrap(),
        copies: Vec::new(),
        serves: None,
        skill: None,
    }
}

fn finish(host: &Host, run: &Run, event: &Event) {
    let mut recorder =
        Recorder::start(host.state.folder(), run.folder(), run.id(), AuditLevel::Basic).unwrap();
    recorder.record(event).unwrap();
    recorder.finish().unwrap();
}

fn ended(exit_code: i32) -> Event {
    Event::Ended { exit_code, signal: None, wall_ms: 5, cpu_ms: 1, peak_rss_kib: 900 }
}

/// Asks again until the answer is yes, for 20 s at most: a lock is also held by what another test starts, for a moment.
fn comes(mut question: impl FnMut() -> bool) -> bool {
    (0..4000).any(|_| {
        let yes = question();
        if !yes {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        yes
    })
}

fn refused() -> Event {
    Event::Refused { step: "landlock".into(), reason: "x".into(), origin: None }
}

#[test]
fn a_thousand_runs_of_one_second_have_a_thousand_names() {
    let host = host();
    let mut names: Vec<_> = (0..1000).map(|_| host.state.create_run().unwrap().id().to_owned()).collect();
    assert!(names.iter().all(|name| is_id(name)), "{}", names[0]);
    names.sort();
    assert_eq!(host.state.run_ids().unwrap(), names);
    names.dedup();
    assert_eq!(names.len(), 1000);
}

#[test]
fn only_names_of_our_form_are_runs() {
    assert!(is_id("20261125-124522-3f9a"));
    for wrong in
        ["", "20261125-124522-3f9", "20261125-124522-3F9a", "20261125_124522-3f9a", "../25-124522-3f9a"]
    {
        assert!(!is_id(wrong), "{wrong}");
        assert!(matches!(host().state.open_run(wrong), Err(Error::NoRun(_))), "{wrong}");
    }
}

#[test]
fn an_ambiguous_name_lists_the_newest_five_and_counts_the_rest() {
    let host = host();
    let names: Vec<_> = (0..9).map(|_| host.state.create_run().unwrap().id().to_owned()).collect();
    let said = host.state.resolve_run("2").unwrap_err().to_string();
    assert!(said.contains("the beginning of 9 runs") && said.contains("and 4 more"), "{said}");
    assert_eq!(names.iter().filter(|name| said.contains(*name)).count(), 5, "{said}");
    let last = host.state.run_ids().unwrap().pop().unwrap();
    assert!(said.contains(&format!("runs: `{last}`")), "the newest first: {said}");
}

#[test]
fn a_name_says_when_its_run_started() {
    assert_eq!(started("20261125-124522-3f9a").as_deref(), Some("2026-11-25 12:45:22 UTC"));
    assert_eq!(started("20261125-124522"), None);
}

#[test]
fn a_run_is_running_as_long_as_its_lock_is_held() {
    let host = host();
    let run = host.state.create_run().unwrap();
    let seen = || host.state.open_run(run.id()).unwrap().state().unwrap();
    assert_eq!(seen(), RunState::Running);
    assert_eq!(seen(), RunState::Running, "looking does not take the lock");
    assert!(matches!(host.state.remove_run(run.id()), Err(Error::Busy(_))));
    let id = run.id().to_owned();
    drop(run);
    assert!(comes(|| host.state.open_run(&id).unwrap().state().unwrap() == RunState::Interrupted));
}

#[test]
fn a_supervisor_that_is_killed_leaves_an_interrupted_run() {
    let host = host();
    let run = host.state.create_run().unwrap();
    let lock = host.dir.path().join("agentrc/runs").join(run.id()).join("lock");
    let id = run.id().to_owned();
    drop(run);
    let mut holder =
        std::process::Command::new("flock").arg("-x").arg(&lock).args(["sleep", "60"]).spawn().unwrap();
    let state = || host.state.open_run(&id).unwrap().state().unwrap();
    // flock(1) leaves the lock to its child too, as a supervisor to its init: both must go. It starts it after it took the lock.
    let mut children = String::new();
    assert!(comes(|| {
        children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", holder.id())).unwrap();
        state() == RunState::Running && !children.is_empty()
    }));
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(state(), RunState::Running);
    let child = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    assert!(comes(|| state() == RunState::Interrupted));
}

#[test]
fn the_log_says_how_a_run_ended() {
    let host = host();
    for (event, state) in [
        (ended(7), RunState::Ended { exit_code: 7 }),
        (refused(), RunState::Refused { step: "landlock".into() }),
        (Event::Killed { reason: "x".into() }, RunState::Interrupted),
    ] {
        let run = host.state.create_run().unwrap();
        finish(&host, &run, &event);
        let id = run.id().to_owned();
        drop(run);
        assert!(comes(|| host.state.open_run(&id).unwrap().state().unwrap() == state), "{state:?}");
    }
}

#[test]
fn a_damaged_record_is_told_and_hides_no_other_run() {
    let host = host();
    let (good, bad, none) = (
        host.state.create_run().unwrap(),
        host.state.create_run().unwrap(),
        host.state.create_run().unwrap(),
    );
    good.write_record(&record(&good)).unwrap();
    bad.write_record(&record(&good)).unwrap();
    let runs = host.state.runs().unwrap();
    let of = |run: &Run| runs.iter().find(|listed| listed.id == run.id()).unwrap();
    assert_eq!(of(&good).record.as_ref().unwrap().as_ref(), Some(&record(&good)));
    assert!(matches!(of(&bad).record, Err(Error::Record { .. })), "a record of another run");
    assert!(matches!(of(&none).record, Ok(None)));
    for text in ["{}", "", "{\"format\":1,\"format\":1}", "[]"] {
        bad.folder().replace("run.json", text.as_bytes(), agentrc_audit::folder::Durable::No).unwrap();
        assert!(matches!(bad.record(), Err(Error::Record { .. })), "{text}");
    }
}

#[test]
fn a_run_folder_open_to_others_is_told_and_hides_no_other_run() {
    let host = host();
    let (good, bad) = (host.state.create_run().unwrap(), host.state.create_run().unwrap());
    let path = host.dir.path().join("agentrc/runs").join(bad.id());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let runs = host.state.runs().unwrap();
    assert_eq!(runs.len(), 2);
    for listed in runs {
        assert_eq!(listed.state.is_ok(), listed.id == good.id());
    }
}

#[test]
fn latest_and_unique_beginnings_name_a_run() {
    let host = host();
    assert!(matches!(host.state.resolve_run("latest"), Err(Error::NoRun(_))));
    let runs = host.dir.path().join("agentrc/runs");
    for name in ["20261125-124522-3f9a", "20261125-124523-0001", "20261126-000000-ffff", "not-a-run"] {
        std::fs::create_dir(runs.join(name)).unwrap();
    }
    let resolve = |asked: &str| host.state.resolve_run(asked);
    assert_eq!(resolve("latest").unwrap(), "20261126-000000-ffff");
    assert_eq!(resolve("20261125-124523").unwrap(), "20261125-124523-0001");
    assert_eq!(resolve("20261125-124522-3f9a").unwrap(), "20261125-124522-3f9a");
    let Err(Error::AmbiguousRun { runs, .. }) = resolve("20261125") else { panic!() };
    assert_eq!(runs.len(), 2);
    for none in ["", "2027", "not", "..", "/"] {
        assert!(matches!(resolve(none), Err(Error::NoRun(_))), "{none}");
    }
}

#[test]
fn a_removed_run_is_gone_and_the_ledger_says_so() {
    let host = host();
    let run = host.state.create_run().unwrap();
    finish(&host, &run, &ended(0));
    let id = run.id().to_owned();
    drop(run);
    let key = host.state.public_key().unwrap();
    assert_eq!(host.state.verify_run(&id, &key).unwrap().verdict(), Verdict::Intact);
    assert!(comes(|| host.state.remove_run(&id).is_ok()));
    assert!(host.state.run_ids().unwrap().is_empty());
    let whole = host.state.verify_all(&key).unwrap();
    assert_eq!((whole.ledger.verdict(), whole.ledger.lines, whole.runs.len()), (Verdict::Intact, 3, 0));
}

#[test]
fn a_run_that_vanished_otherwise_is_found() {
    let host = host();
    for _ in 0..2 {
        finish(&host, &host.state.create_run().unwrap(), &ended(0));
    }
    let key = host.state.public_key().unwrap();
    let whole = host.state.verify_all(&key).unwrap();
    assert_eq!(whole.ledger.verdict(), Verdict::Intact);
    assert!(whole.runs.iter().all(|(_, report)| report.as_ref().unwrap().verdict() == Verdict::Intact));
    let first = &host.state.run_ids().unwrap()[0];
    std::fs::remove_dir_all(host.dir.path().join("agentrc/runs").join(first)).unwrap();
    let whole = host.state.verify_all(&key).unwrap();
    assert_eq!(whole.ledger.verdict(), Verdict::Tampered);
    assert!(whole.ledger.findings[0].to_string().contains(first.as_str()), "{}", whole.ledger.findings[0]);
}

#[test]
fn a_run_that_died_before_its_log_began_is_unfinished_and_one_whose_log_is_gone_is_tampered() {
    let host = host();
    let (early, gone) = (host.state.create_run().unwrap(), host.state.create_run().unwrap());
    finish(&host, &gone, &ended(0));
    std::fs::remove_file(host.dir.path().join("agentrc/runs").join(gone.id()).join("audit.jsonl")).unwrap();
    let key = host.state.public_key().unwrap();
    assert_eq!(host.state.verify_run(early.id(), &key).unwrap().verdict(), Verdict::Unfinished);
    assert_eq!(host.state.verify_run(gone.id(), &key).unwrap().verdict(), Verdict::Tampered);
}

#[test]
fn a_ledger_without_the_end_of_a_finished_run_is_found_once_its_supervisor_is_gone() {
    let host = host();
    let run = host.state.create_run().unwrap();
    finish(&host, &run, &ended(0));
    let path = host.dir.path().join("agentrc").join(ledger::LEDGER_FILE);
    let whole = std::fs::read_to_string(&path).unwrap();
    let started = whole.lines().next().unwrap();
    std::fs::write(&path, format!("{started}\n")).unwrap();
    let key = host.state.public_key().unwrap();
    let id = run.id().to_owned();
    let verdict = || host.state.verify_run(&id, &key).unwrap().verdict();
    assert_eq!(verdict(), Verdict::Intact, "its supervisor may be about to write the entry");
    drop(run);
    assert!(comes(|| verdict() == Verdict::Unfinished));
    let runs = host.state.verify_all(&key).unwrap().runs;
    let report = runs[0].1.as_ref().unwrap();
    assert_eq!(report.findings[0].reason, Reason::EndNotInLedger);
    // Later entries are chained to what is left, and hide nothing.
    host.state.allow(Path::new("/a"), "A", DIGEST, &[]).unwrap();
    assert_eq!(verdict(), Verdict::Unfinished);
}

#[test]
fn a_lost_ledger_is_found_by_the_runs_it_should_know() {
    let host = host();
    let run = host.state.create_run().unwrap();
    finish(&host, &run, &ended(0));
    std::fs::remove_file(host.dir.path().join("agentrc").join(ledger::LEDGER_FILE)).unwrap();
    let key = host.state.public_key().unwrap();
    assert_eq!(host.state.verify_run(run.id(), &key).unwrap().verdict(), Verdict::Tampered);
}

const DIGEST: &str = "abababababababababababababababababababababababababababababababab";

#[test]
fn consent_is_for_one_folder_and_one_digest() {
    let host = host();
    let (here, there) = (Path::new("/a/b"), Path::new("/a/b2"));
    assert!(!host.state.is_granted(here, DIGEST).unwrap());
    host.state.allow(here, "Agentfile", DIGEST, &["read `~/notes`".into()]).unwrap();
    assert!(host.state.is_granted(here, DIGEST).unwrap());
    assert!(!host.state.is_granted(there, DIGEST).unwrap());
    assert!(!host.state.is_granted(here, &DIGEST.replace('a', "b")).unwrap());
    assert!(!host.state.is_granted(here, "").unwrap());
    host.state.allow(here, "Agentfile", DIGEST, &["read `~/notes`".into()]).unwrap();
    host.state.allow(here, "Other", &DIGEST.replace('a', "b"), &[]).unwrap();
    let all = host.state.grants().unwrap();
    assert_eq!((all.len(), all[0].folder.as_str(), all[0].grants.len()), (1, "/a/b", 2));
    assert_eq!(all[0].grants[0].asked, ["read `~/notes`"]);
}

#[test]
fn a_withdrawn_consent_is_none() {
    let host = host();
    let here = Path::new("/a/b");
    let other = DIGEST.replace('a', "b");
    for digest in [DIGEST, &other] {
        host.state.allow(here, "Agentfile", digest, &[]).unwrap();
    }
    assert_eq!(host.state.revoke(here, Some(DIGEST)).unwrap(), 1);
    assert!(!host.state.is_granted(here, DIGEST).unwrap());
    assert!(host.state.is_granted(here, &other).unwrap());
    assert_eq!(host.state.revoke(here, None).unwrap(), 1);
    assert_eq!(host.state.revoke(here, None).unwrap(), 0);
    assert!(host.state.grants().unwrap().is_empty());
    let path = host.dir.path().join("agentrc").join(ledger::LEDGER_FILE);
    let ledger = std::fs::read_to_string(path).unwrap();
    assert_eq!((ledger.matches("\"allowed\"").count(), ledger.matches("\"revoked\"").count()), (2, 2));
}

#[test]
fn damaged_grants_are_an_error_and_neither_consent_nor_its_absence() {
    let host = host();
    let here = Path::new("/a/b");
    host.state.allow(here, "Agentfile", DIGEST, &[]).unwrap();
    let folder = host.dir.path().join("agentrc/grants");
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read_to_string(&file).unwrap();
    for damaged in [
        String::new(),
        "{}".into(),
        whole.replace("/a/b", "/a/c"),
        whole.replace("\"format\": 1", "\"format\": 2"),
        whole.replace("\"agentfile\"", "\"more\": 1, \"agentfile\""),
        whole.replace("\"agentfile\"", "\"agentfile\": \"x\", \"agentfile\""),
        whole.replace(DIGEST, "*"),
        whole[..whole.len() / 2].to_owned(),
        format!("{whole}x"),
    ] {
        std::fs::write(&file, &damaged).unwrap();
        assert!(matches!(host.state.is_granted(here, DIGEST), Err(Error::Grants { .. })), "{damaged}");
        assert!(matches!(host.state.allow(here, "A", DIGEST, &[]), Err(Error::Grants { .. })), "{damaged}");
        assert!(matches!(host.state.revoke(here, None), Err(Error::Grants { .. })), "{damaged}");
        assert!(matches!(host.state.grants(), Err(Error::Grants { .. })), "{damaged}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged);
    }
    std::fs::write(&file, &whole).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
    assert!(matches!(host.state.is_granted(here, DIGEST), Err(Error::Kept(_))));
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    assert!(matches!(host.state.is_granted(here, DIGEST), Err(Error::Kept(_))));
}

#[test]
fn consent_needs_an_absolute_folder_and_a_digest() {
    use std::os::unix::ffi::OsStrExt as _;
    let host = host();
    for folder in [Path::new("a/b"), Path::new(std::ffi::OsStr::from_bytes(b"/\xff"))] {
        assert!(matches!(host.state.is_granted(folder, DIGEST), Err(Error::GrantFolder { .. })));
        assert!(matches!(host.state.allow(folder, "A", DIGEST, &[]), Err(Error::GrantFolder { .. })));
    }
    assert!(host.state.allow(Path::new("/a"), "A", "", &[]).is_err());
}

#[test]
fn two_that_allow_at_once_lose_no_consent() {
    let host = host();
    std::thread::scope(|scope| {
        for at in 0..8 {
            let state = &host.state;
            scope.spawn(move || state.allow(Path::new("/a"), "A", &format!("{at:064}"), &[]).unwrap());
        }
    });
    assert_eq!(host.state.grants().unwrap()[0].grants.len(), 8);
}
