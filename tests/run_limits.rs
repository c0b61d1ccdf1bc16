//! Limits: what can be enforced is, what cannot be is a refusal that names the line, and a bomb stops at its bound.

use std::fs;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::{Lab, as_each, leftovers};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Held by what makes thousands of processes, and by what is to be done in a few seconds.
static ALONE: Mutex<()> = Mutex::new(());

/// Controllers of cgroup v2 that root, or this user's session, could delegate.
fn controllers() -> String {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .map(|root| fs::read_to_string(format!("{root}{path}/cgroup.controllers")).unwrap_or_default())
        .collect()
}

#[test]
fn a_limit_without_a_controller_is_a_refusal_with_its_line() {
    as_each(AGENTRC, |lab| {
        for (line, controller) in [
            ("LIMIT memory 256MiB", "memory"),
            ("LIMIT pids 32", "pids"),
            ("LIMIT cpu 0.5", "cpu"),
            ("SLICE cpu=1 mem=256", "memory"),
        ] {
            let outcome = lab.run(&format!("AGENT limits\n{line}\nCMD /bin/echo ran\n"));
            if controllers().contains(controller) && lab.who.is_root() {
                // It is there: then the limit is enforced (`vm-tests/` shows how), and the run goes on.
                assert!([0, 125].contains(&outcome.code()), "{line}: {}", outcome.stderr);
                continue;
            }
            outcome.expect_refusal(&["Agentfile:2:", "cgroup controller"]);
            assert_eq!(outcome.out(), "", "as {}: `{line}`", lab.who.name);
        }
    });
}

#[test]
fn rates_of_what_nobody_counts_are_refused() {
    as_each(AGENTRC, |lab| {
        for line in ["RATELIMIT utcp:x 5/min", "RATELIMIT github 1/s", "RATELIMIT c.example 1/s"] {
            let outcome = lab.run(&format!("AGENT limits\n{line}\nCMD /bin/echo ran\n"));
            outcome.expect_code(125);
            assert!(outcome.stderr.contains("Agentfile:2:"), "as {}: {}", lab.who.name, outcome.stderr);
            assert_eq!(outcome.out(), "");
        }
    });
}

#[test]
fn a_timeout_ends_the_whole_run() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        lab.script(lab.project("go.sh"), "trap '' TERM INT\n/agentrc/src/attack daemon /tmp/tick\necho ready\nwhile :; do sleep 0.05; done\n");
        for line in ["TIMEOUT 8", "LIMIT wall 8s"] {
            let outcome = lab.run(&format!("AGENT slow\n{line}\nCMD /bin/sh ./go.sh ./attack\n"));
            assert!(outcome.out().contains("ready"), "{}", outcome.stderr);
            // The run's own clock: what this test does before and after is not in it.
            let ended = outcome.events_named("run.ended");
            let took = ended.first().and_then(|event| event.get("wall_ms")?.as_u64());
            let expected = took.is_some_and(|took| (7900..16_000).contains(&took));
            assert!(expected, "as {}: {line}: {:?}", lab.who.name, outcome.events);
            outcome.expect_code(137);
            assert!(
                outcome.stderr.contains("Agentfile:2:") || outcome.stderr.contains("time"),
                "as {}: it says why: {}",
                lab.who.name,
                outcome.stderr
            );
            assert!(leftovers::processes(lab).is_empty(), "as {}", lab.who.name);
            let limits = outcome.events_named("limit").len() + outcome.events_named("run.killed").len();
            assert!(limits > 0, "as {}: it is recorded", lab.who.name);
        }
        // One that is not reached changes nothing.
        lab.run("AGENT fast\nTIMEOUT 30\nCMD /bin/true\n").expect_code(0);
    });
}

#[test]
fn bombs_stop_at_their_bound() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    as_each(AGENTRC, |lab| {
        let mut sandbox = lab.attack("AGENT bombs\nMOUNT /scratch rw\nLIMIT open_files 64\nLIMIT disk 64MiB");
        let descriptors = sandbox.act("bomb-descriptors 1000").answer.value();
        assert!((32..64).contains(&descriptors), "as {}: {descriptors} descriptors", lab.who.name);
        let mut written = 0;
        for place in ["/scratch/x", "/tmp/x", "/dev/shm/x", "/home/agent/x", "/var/tmp/x", "/run/x"] {
            written += sandbox.act(&format!("bomb-file {place} 256")).answer.value();
        }
        assert!(
            (1..=64).contains(&written),
            "as {}: {written} MiB in private folders under `LIMIT disk 64MiB`",
            lab.who.name
        );
        for place in ["/scratch", "/tmp"] {
            sandbox.act(&format!("unlink {place}/x"));
            let inodes = sandbox.act(&format!("bomb-inodes {place} 200000")).answer.value();
            assert!(inodes < 200_000, "as {}: {inodes} inodes in {place}", lab.who.name);
        }
        sandbox.end().expect_code(0);
    });
}

#[test]
fn bombs_stop_at_the_bounds_that_hold_without_a_limit_line() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    as_each(AGENTRC, |lab| {
        let mut sandbox = lab.attack("AGENT bombs");
        let most = 6000;
        let processes = sandbox.attempt(&format!("bomb-fork {most}")).answer.value();
        // The machine is as it was: another user's, and our own, processes still start.
        assert!(
            lab.finish_command(lab.command("/bin/true")).code() == 0,
            "as {}: the host has no process left",
            lab.who.name
        );
        sandbox.release();
        // RLIMIT_NPROC does not bind uid 0, and this machine may have no pids controller (docs/security-model.md).
        let most = if lab.who.uid == 0 { most } else { 4200 };
        assert!((100..=most).contains(&processes), "as {}: {processes} processes", lab.who.name);
        let shared = sandbox.act("bomb-file /dev/shm/x 512").answer.value();
        assert!(shared <= 256, "as {}: {shared} MiB in /dev/shm", lab.who.name);
        sandbox.act("unlink /dev/shm/x");
        sandbox.end().expect_code(0);
        let gone = within(Duration::from_secs(10), || leftovers::processes(lab).is_empty());
        assert!(gone, "as {}", lab.who.name);
    });
}

#[test]
fn a_resource_limit_is_what_the_line_says() {
    as_each(AGENTRC, |lab| {
        let outcome = lab.run("AGENT limits\nLIMIT open_files 99\nCMD /bin/cat /proc/self/limits\n");
        outcome.expect_code(0);
        let line = |name: &str| {
            outcome
                .out()
                .lines()
                .find(|line| line.starts_with(name))
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .unwrap_or_default()
        };
        assert_eq!(line("Max open files"), "Max open files 99 99 files", "as {}", lab.who.name);
        assert_eq!(line("Max core file size"), "Max core file size 0 0 bytes", "as {}", lab.who.name);
    });
}

#[test]
fn a_limit_above_what_the_caller_has_is_refused_or_not_exceeded() {
    as_each(AGENTRC, |lab: &Lab| {
        let agentfile = lab.agentfile("AGENT limits\nLIMIT open_files 5000\nCMD /bin/sh -c true\n");
        let mut command = lab.command("/bin/sh");
        command.args([
            "-c",
            &format!("ulimit -n 100; exec {} run {}", lab.binary().display(), agentfile.display()),
        ]);
        let outcome = lab.finish_command(command);
        // (Root with CAP_SYS_RESOURCE may raise its own.)
        assert!([0, 125].contains(&outcome.code()));
        if outcome.code() == 125 {
            assert!(outcome.stderr.contains("rlimit"), "as {}: {}", lab.who.name, outcome.stderr);
        }
    });
}

/// The last run that ends removes what root's cgroups are in, which another may be about to use.
#[test]
fn runs_that_begin_and_end_at_the_same_moment_have_a_cgroup_each() {
    as_each(AGENTRC, |lab| {
        let path = lab.agentfile("AGENT limits\nURL http://api.example.com\nCMD /bin/true\n");
        for round in 0..6 {
            let all: Vec<_> = (0..5)
                .map(|_| {
                    let mut run = lab.agentrc(["run".as_ref(), path.as_os_str()]);
                    run.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("agentrc")
                })
                .collect();
            for child in all {
                let outcome = child.wait_with_output().expect("its end");
                let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
                assert!(outcome.status.success(), "as {}: round {round}: {said}", lab.who.name);
            }
        }
    });
}
