//! A run that cannot be recorded is refused and leaves nothing: no placeholder in the user's folder, no run that never
//! was; also when signals come at a bad moment, or the caller's own limits are small.
#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::{Lab, as_each};
use rustix::fs::FlockOperation;
use rustix::process::Signal;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const AGENTFILE: &str = "AGENT unrecorded\nBIND ./rw /work rw\nCMD /bin/true\n";

/// A first run that goes well: then there are a key and a ledger. What the bound folder has afterwards: nothing.
fn prepare(lab: &Lab) {
    lab.directory(lab.project("rw"));
    lab.run(AGENTFILE).expect_code(0);
    assert_eq!(held(lab), Vec::<PathBuf>::new());
}

fn held(lab: &Lab) -> Vec<PathBuf> {
    let entries = fs::read_dir(lab.project("rw")).expect("rw");
    entries.map(|entry| entry.expect("rw").path()).collect()
}

fn ledger(lab: &Lab) -> PathBuf {
    lab.state().join("ledger.jsonl")
}

fn verifies(lab: &Lab) {
    lab.finish_command(lab.agentrc(["audit", "verify"])).expect_code(0);
}

#[test]
fn a_signal_while_the_log_opens_is_a_refusal_that_leaves_nothing() {
    as_each(AGENTRC, |lab| {
        prepare(lab);
        let lock = fs::File::open(ledger(lab)).expect("the ledger");
        for signals in
            [&[Signal::TERM][..], &[Signal::HUP, Signal::TERM], &[Signal::INT, Signal::QUIT, Signal::USR1]]
        {
            rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("lock");
            let runs = lab.runs().len();
            let child = lab.start(AGENTFILE);
            assert!(within(Duration::from_secs(5), || !held(lab).is_empty()), "it makes placeholders");
            assert!(within(Duration::from_secs(5), || lab.runs().len() > runs), "it makes its folder");
            std::thread::sleep(Duration::from_millis(100));
            for signal in signals {
                child.signal(*signal);
            }
            std::thread::sleep(Duration::from_millis(100));
            rustix::fs::flock(&lock, FlockOperation::Unlock).expect("unlock");
            let outcome = child.finish();
            outcome.expect_refusal(&["signal"]);
            assert_eq!(held(lab), Vec::<PathBuf>::new(), "as {}", lab.who.name);
            verifies(lab);
        }
    });
}

#[test]
fn a_signal_at_any_moment_leaves_nothing() {
    as_each(AGENTRC, |lab| {
        prepare(lab);
        for after in 0..40 {
            let child = lab.start(AGENTFILE);
            std::thread::sleep(Duration::from_micros(500 * after));
            child.signal(Signal::TERM);
            child.signal(Signal::HUP);
            let outcome = child.finish();
            assert_eq!(
                held(lab),
                Vec::<PathBuf>::new(),
                "as {}: after {after}: {}",
                lab.who.name,
                outcome.code()
            );
        }
        // Before there is a run, or when all of it is recorded, a signal may end the process as it ends any.
        verifies(lab);
    });
}

#[test]
fn without_a_key_nothing_is_left_of_a_run_whatever_refused_it() {
    as_each(AGENTRC, |lab| {
        prepare(lab);
        let runs = lab.runs();
        let key = lab.state().join("key.pkcs8");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("chmod");
        lab.run(AGENTFILE).expect_refusal(&["open-log", "key.pkcs8"]);
        assert_eq!(lab.runs(), runs, "as {}", lab.who.name);
        // A launch that is refused before the log is opened at all.
        lab.symlink("/etc/passwd", lab.project("rw/.envrc"));
        lab.run(AGENTFILE).expect_refusal(&["placeholder", ".envrc", "open-log"]);
        assert_eq!(lab.runs(), runs, "as {}", lab.who.name);
        fs::remove_file(lab.project("rw/.envrc")).expect("the link");
        assert_eq!(held(lab), Vec::<PathBuf>::new(), "as {}", lab.who.name);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("chmod");
        verifies(lab);
        lab.run(AGENTFILE).expect_code(0);
    });
}

#[test]
fn small_limits_of_the_caller_are_refusals_that_leave_nothing() {
    as_each(AGENTRC, |lab| {
        prepare(lab);
        let agentfile = lab.project("Agentfile");
        // Open files; then the size of a file, in blocks of 512 bytes.
        let limits = (4..48).map(|n| format!("-n {n}")).chain((0..8).map(|n| format!("-f {n}")));
        let mut ran = 0;
        for limit in limits {
            let mut command = lab.command("/bin/sh");
            let script = format!("ulimit {limit}; exec \"$0\" run \"$1\"");
            command.args(["-c".as_ref(), script.as_ref(), lab.binary().as_os_str(), agentfile.as_os_str()]);
            let runs = lab.runs().len();
            let outcome = lab.finish_command(command);
            assert_eq!(held(lab), Vec::<PathBuf>::new(), "as {}: ulimit {limit}", lab.who.name);
            match outcome.code() {
                0 => ran += 1,
                125 => assert!(outcome.stderr.contains("the command was not executed"), "{}", outcome.stderr),
                // Too few to load a program at all.
                127 if limit.starts_with("-n") => {}
                code => panic!("as {}: ulimit {limit}: {code} {}", lab.who.name, outcome.stderr),
            }
            assert!(lab.runs().len() <= runs + 1);
        }
        assert!(ran < 52, "no limit was ever too small");
        verifies(lab);
    });
}
