//! `HEALTHCHECK`: what probes the agent, how its end is put on record, and when it ends the run.

#![allow(clippy::expect_used)]

use std::time::{Duration, Instant};

use agentrc_test_support::{Lab, Outcome, as_each};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const KILLED: i32 = 137;

/// Runs `agent` in a shell inside, which is probed by the script `probe` every second.
#[track_caller]
fn run(lab: &Lab, options: &str, probe: &str, agent: &str) -> Outcome {
    lab.directory(lab.project("work"));
    lab.script(lab.project("alive.sh"), probe);
    lab.script(lab.project("go.sh"), agent);
    lab.run(&format!(
        "AGENT probed\nBIND ./work /work rw\nHEALTHCHECK --interval=1 {options} CMD ./alive.sh\nCMD /bin/sh ./go.sh\n"
    ))
}

/// Outcome and reason of each event `health`.
fn told(outcome: &Outcome) -> Vec<(String, String, u64)> {
    let text =
        |event: &Value, name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let events = outcome.events_named("health");
    for event in &events {
        assert!(text(event, "origin").ends_with("Agentfile:3:1"), "{event}");
    }
    let count = |event: &Value| event.get("count").and_then(Value::as_u64).unwrap_or_default();
    events.iter().map(|event| (text(event, "outcome"), text(event, "reason"), count(event))).collect()
}

#[test]
fn what_is_well_is_counted_and_ends_nothing() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            "--timeout=60",
            // The last one does not end: those before it are on record when it begins, and are counted.
            "#!/bin/sh\n[ -e /work/stop ] && touch /work/held && exec sleep 100\necho probed >>/work/probes\nread -r nothing\nexit 0\n",
            "while [ ! -e /work/probes ] || [ \"$(wc -l </work/probes)\" -lt 3 ]; do sleep 0.1; done\ntouch /work/stop\n\
             while [ ! -e /work/held ]; do sleep 0.1; done\nwc -l </work/probes\nexit 3\n",
        );
        outcome.expect_code(3);
        let probes: u64 = outcome.out().trim().parse().expect("a number");
        let most = outcome.took.as_secs() + 1;
        assert!((3..=most).contains(&probes), "as {}: {probes} probes in {:?}", lab.who.name, outcome.took);
        let told = told(&outcome);
        assert_eq!(told.len(), 2, "as {}: {told:?}", lab.who.name);
        assert_eq!(told[0], ("ok".to_owned(), String::new(), 1));
        assert_eq!((told[1].0.as_str(), told[1].2), ("ok", probes - 1), "of {probes}");
    });
}

#[test]
fn failures_in_a_row_end_the_run_and_name_the_line() {
    as_each(AGENTRC, |lab| {
        let started = Instant::now();
        let outcome = run(
            lab,
            "--timeout=5 --retries=2",
            "#!/bin/sh\nprintf '\\033[2Jis gone\\nmore\\n' >&2\nexit 4\n",
            "sleep 60\n",
        );
        outcome.expect_code(KILLED);
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        let told = told(&outcome);
        assert_eq!(told.len(), 2, "as {}: {told:?}", lab.who.name);
        assert_eq!(told[0].0, "failed");
        assert!(told[0].1.starts_with("it exited with 4: ") && told[0].1.ends_with("[2Jis gone"), "{told:?}");
        assert!(!told[0].1.contains('\u{1b}'), "{told:?}");
        let killed = outcome.events_named("run.killed")[0];
        let reason = killed.get("reason").and_then(Value::as_str).unwrap_or_default();
        assert!(reason.contains("failed 2 times in a row") && reason.contains("Agentfile:3:1"), "{reason}");
        assert!(outcome.stderr.contains("health check failed"), "{}", outcome.stderr);
    });
}

#[test]
fn one_that_is_well_between_failures_starts_the_count_anew() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            "--timeout=5 --retries=2",
            "#!/bin/sh\necho x >>/work/probes\nn=$(wc -l </work/probes)\nexit $((n % 2))\n",
            "while [ ! -f /work/probes ] || [ \"$(wc -l </work/probes)\" -lt 4 ]; do sleep 0.1; done\nsleep 0.6\n",
        );
        outcome.expect_code(0);
        let outcomes: Vec<_> = told(&outcome).into_iter().map(|(outcome, ..)| outcome).collect();
        assert_eq!(outcomes[..3], ["failed", "ok", "failed"], "as {}", lab.who.name);
    });
}

#[test]
fn one_that_takes_too_long_is_ended_with_all_that_it_started() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            "--timeout=8 --retries=1",
            "#!/bin/sh\nyes &\nwhile :; do echo x >>/work/alive; sleep 0.05; done\n",
            "sleep 60\n",
        );
        outcome.expect_code(KILLED);
        let told = told(&outcome);
        assert_eq!(told[0].0, "timeout", "as {}: {told:?}", lab.who.name);
        assert!(told[0].1.contains("more than 8 s"), "{told:?}");
        let size = || std::fs::metadata(lab.project("work/alive")).expect("written").len();
        let before = size();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(size(), before, "something of the probe still runs");
    });
}

#[test]
fn it_sees_the_agents_files_and_neither_its_processes_nor_its_network_nor_the_broker() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        let probe = "\
import os, socket
def tried(act):
    try:
        act()
        return 'done'
    except Exception as error:
        return type(error).__name__
state = open('/tmp/state').read().strip()
port = tried(lambda: socket.create_connection(('127.0.0.1', 7777), 1))
broker = tried(lambda: socket.socket(socket.AF_UNIX).connect('/agentrc/broker.sock'))
pids = len([name for name in os.listdir('/proc') if name.isdigit()])
open('/work/seen', 'w').write(f'{state} {port} {broker} {pids < 10}')
";
        lab.file(lab.project("probe.py"), probe);
        let agent = "for n in 1 2 3 4 5 6 7 8 9 10 11; do sleep 100 & done\necho alive >/tmp/state\n\
            python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", 7777)); time.sleep(100)' &\n\
            while [ ! -s /work/seen ]; do sleep 0.1; done\ncat /work/seen\n";
        lab.script(lab.project("go.sh"), agent);
        // Found in PATH, as the program of CMD is.
        let outcome = lab.run(
            "AGENT probed\nBIND ./work /work rw\nHEALTHCHECK --interval=1 --timeout=9 CMD python3 ./probe.py\nCMD /bin/sh ./go.sh\n",
        );
        outcome.expect_code(0);
        let out = outcome.out();
        let words: Vec<_> = out.split(' ').collect();
        assert_eq!((words[0], words[3]), ("alive", "True"), "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert!(words[1] != "done" && words[2] != "done", "as {}: {out}", lab.who.name);
    });
}

#[test]
fn a_program_that_is_not_there_is_a_failure() {
    as_each(AGENTRC, |lab| {
        let outcome = lab.run(
            "AGENT probed\nMOUNT /work rw\nHEALTHCHECK --interval=1 --timeout=5 --retries=1 CMD no-such-program x\nCMD sleep 60\n",
        );
        outcome.expect_code(KILLED);
        let told = told(&outcome);
        assert!(told[0].1.contains("exited with 127") && told[0].1.contains("no-such-program"), "{told:?}");
    });
}

#[test]
fn without_a_record_a_probe_still_ends_the_run() {
    as_each(AGENTRC, |lab| {
        let outcome = lab.run(
            "AGENT probed\nMOUNT /work rw\nHEALTHCHECK --interval=1 --timeout=5 --retries=1 CMD false\nAUDIT off\nCMD sleep 60\n",
        );
        outcome.expect_code(KILLED);
        assert!(told(&outcome).is_empty());
    });
}

#[test]
fn an_interval_that_no_clock_reaches_probes_nothing() {
    as_each(AGENTRC, |lab| {
        let outcome = lab.run(
            "AGENT probed\nMOUNT /work rw\nHEALTHCHECK --interval=18446744073709551615 --timeout=18446744073709551615 CMD false\nCMD true\n",
        );
        // A time that no clock reaches: nothing is probed, and nothing fails.
        outcome.expect_code(0);
    });
}
