//! How a run ends: exit codes as docker's, signals passed on, pipes, orphans, and nothing that goes on afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use agentrc_test_support::outcome::{prompt, within};
use agentrc_test_support::outside;
use agentrc_test_support::{Child, Lab, Outcome, as_each};
use rustix::process::Signal;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn shell(lab: &Lab, script: &str) -> Outcome {
    lab.script(lab.project("go.sh"), script);
    lab.run("AGENT ends\nCMD /bin/sh ./go.sh\n")
}

#[test]
fn the_exit_code_is_the_programs_own() {
    as_each(AGENTRC, |lab| {
        for code in [0, 1, 2, 3, 77, 125, 126, 127, 200, 255] {
            shell(lab, &format!("exit {code}\n")).expect_code(code);
        }
    });
}

#[test]
fn a_signal_that_ends_the_program_is_128_and_its_number() {
    as_each(AGENTRC, |lab| {
        for (name, number) in [
            ("TERM", 15),
            ("KILL", 9),
            ("ABRT", 6),
            ("SEGV", 11),
            ("HUP", 1),
            ("INT", 2),
            ("PIPE", 13),
            ("USR1", 10),
        ] {
            shell(lab, &format!("kill -{name} $$\nsleep 10\n")).expect_code(128 + number);
        }
    });
}

#[test]
fn a_program_that_does_not_exist_is_127_and_one_that_cannot_be_executed_126() {
    as_each(AGENTRC, |lab| {
        let not_found = |outcome: &Outcome| {
            outcome.expect_code(127);
            for words in
                ["could not be executed inside: ENOENT", "[Agentfile:2:1]", "help: there is no such program"]
            {
                assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
            }
        };
        not_found(&lab.run("AGENT missing\nCMD no-such-program-anywhere\n"));
        not_found(&lab.run("AGENT missing\nCMD /usr/bin/no-such-program\n"));
        // On the host, but not in the sandbox.
        lab.script(lab.outside("tool"), "#!/bin/sh\nexit 0\n");
        not_found(&lab.run(&format!("AGENT missing\nCMD {}\n", lab.outside("tool").display())));
        lab.file(lab.project("data"), "not a program\n");
        lab.run("AGENT data\nCMD ./data\n").expect_code(126);
        lab.run("AGENT folder\nCMD /usr\n").expect_code(126);
        lab.script(lab.project("bad"), "#!/no/such/interpreter\n");
        let bad = lab.run("AGENT bad\nCMD ./bad\n");
        assert!([126, 127].contains(&bad.code()), "{}", bad.code());
    });
}

#[test]
fn a_named_file_that_is_missing_is_refused_before_anything_runs() {
    as_each(AGENTRC, |lab| {
        lab.run("AGENT missing\nCMD ./no-such-script\n").expect_refusal(&["no-such-script", "Agentfile:2:"]);
    });
}

#[test]
fn signals_to_agentrc_reach_the_program() {
    as_each(AGENTRC, |lab| {
        for (signal, name, number) in [
            (Signal::TERM, "TERM", 15),
            (Signal::INT, "INT", 2),
            (Signal::HUP, "HUP", 1),
            (Signal::QUIT, "QUIT", 3),
            (Signal::USR1, "USR1", 10),
        ] {
            // One that handles it, and goes on to its own end.
            lab.script(
                lab.project("go.sh"),
                &format!("trap 'echo got {name}; exit 7' {name}\necho ready\nwhile :; do sleep 0.05; done\n"),
            );
            let child = lab.start("AGENT signals\nCMD /bin/sh ./go.sh\n");
            child.wait_for("ready");
            child.signal(signal);
            let outcome = child.finish();
            outcome.expect_code(7);
            assert!(outcome.out().contains(&format!("got {name}")), "{}", outcome.out());
            // One that does not.
            lab.script(lab.project("go.sh"), "echo ready\nexec sleep 30\n");
            let child = lab.start("AGENT signals\nCMD /bin/sh ./go.sh\n");
            child.wait_for("ready");
            child.signal(signal);
            child.finish().expect_code(128 + number);
        }
    });
}

#[test]
fn standard_input_and_output_are_the_programs_byte_for_byte() {
    as_each(AGENTRC, |lab| {
        let bytes: Vec<u8> =
            (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        lab.file(lab.path("input"), &bytes);
        let agentfile = lab.agentfile("AGENT pipes\nCMD /bin/cat\n");
        let mut command = lab.agentrc(["run".as_ref(), agentfile.as_os_str()]);
        command
            .stdin(fs::File::open(lab.path("input")).expect("input"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let outcome = Child::start_with(lab, command).finish();
        outcome.expect_code(0);
        assert!(outcome.stdout == bytes, "as {}: {} bytes came out", lab.who.name, outcome.stdout.len());
        // Nothing of ours is mixed in, and the two streams stay apart.
        let outcome = shell(lab, "echo out; echo err >&2; exit 4\n");
        outcome.expect_code(4);
        assert_eq!(outcome.out(), "out\n");
        assert!(outcome.stderr.contains("err\n"));
        // An interactive exchange through pipes.
        let mut child = lab.start("AGENT pipes\nCMD /bin/cat\n");
        for line in ["one\n", "two\n"] {
            child.send(line);
            child.wait_for(line);
        }
        child.close_input();
        child.finish().expect_code(0);
    });
}

#[test]
fn a_reader_that_goes_away_does_not_hang_the_run() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.agentfile("AGENT yes\nCMD /usr/bin/yes\n");
        let mut command = lab.command("/bin/bash");
        command.args([
            "-c",
            &format!(
                "{} run {} | head -1; echo ${{PIPESTATUS[0]}}",
                lab.binary().display(),
                agentfile.display()
            ),
        ]);
        let outcome = lab.finish_command(command);
        assert_eq!(outcome.out(), "y\n141\n", "as {}: {}", lab.who.name, outcome.stderr);
    });
}

#[test]
fn closed_standard_streams_do_not_become_something_else() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("go.sh"), "ls -l /proc/self/fd > /work/fds; exit 5\n");
        lab.directory(lab.project("rw"));
        let agentfile = lab.agentfile("AGENT closed\nBIND ./rw /work rw\nCMD /bin/sh ./go.sh\n");
        for close in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
            let mut command = lab.command("/bin/sh");
            command.args(["-c", &format!("{} run {} {close}", lab.binary().display(), agentfile.display())]);
            let outcome = lab.finish_command(command);
            assert!([5, 125].contains(&outcome.code()), "as {}: `{close}`: {}", lab.who.name, outcome.code());
            // Whatever takes the place of a closed stream, it is nothing of agentrc's (log, folder, channel).
            let fds = fs::read_to_string(lab.project("rw/fds")).unwrap_or_default();
            for line in fds.lines().filter(|line| line.contains("-> ")) {
                let fd: u32 = line.split_whitespace().rev().nth(2).and_then(|n| n.parse().ok()).unwrap_or(99);
                assert!(
                    fd > 2
                        || ["pipe:", "/dev/null", "/work/fds", "/dev/pts"].iter().any(|ok| line.contains(ok)),
                    "as {}: `{close}`: {line}",
                    lab.who.name
                );
            }
        }
    });
}

#[test]
fn arguments_after_two_dashes_are_appended() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.agentfile("AGENT words\nCMD /usr/bin/printf [%s]\n");
        let outcome = lab.finish_command(lab.agentrc([
            "run",
            agentfile.to_str().expect("text"),
            "--",
            "a b",
            "",
            "--grant",
            "ü",
            "$HOME",
            "-n",
        ]));
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "[a b][][--grant][ü][$HOME][-n]");
    });
}

#[test]
fn orphans_are_reaped() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("go.sh"), "for i in 1 2 3 4 5 6 7 8 9 10; do ( ( sleep 0.01 & ) & ); done\nsleep 0.3\necho ready\nread line\n");
        let mut child = lab.start("AGENT orphans\nCMD /bin/sh ./go.sh\n");
        child.wait_for("ready");
        let zombies = || {
            outside::tree(child.pid())
                .into_iter()
                .filter(|pid| outside::status(*pid).get("State").is_some_and(|state| state.starts_with('Z')))
                .count()
        };
        assert!(
            within(Duration::from_secs(20), || zombies() == 0),
            "as {}: {} zombies",
            lab.who.name,
            zombies()
        );
        child.send("\n");
        child.finish().expect_code(0);
    });
}

#[test]
fn nothing_goes_on_after_the_command_has_ended() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("rw"));
        let tick = lab.project("rw/tick");
        for (how, end) in [("ends", "exit 0"), ("is killed", "kill -9 $$")] {
            lab.attacker(lab.project("attack"));
            lab.script(lab.project("go.sh"), &format!("/agentrc/src/attack daemon /work/tick\nwhile [ ! -s /work/tick ]; do sleep 0.01; done\n{end}\n"));
            lab.run("AGENT daemon\nBIND ./rw /work rw\nCMD /bin/sh ./go.sh ./attack\n");
            let size = || fs::metadata(&tick).map(|m| m.len()).unwrap_or_default();
            let then = size();
            assert!(then > 0, "control: the daemon ran");
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(then, size(), "as {}: a daemon goes on after the command {how}", lab.who.name);
            fs::remove_file(&tick).expect("tick");
        }
    });
}

#[test]
fn when_any_long_lived_part_is_killed_everything_dies_within_a_second() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("rw"));
        lab.attacker(lab.project("attack"));
        lab.script(lab.project("go.sh"), "/agentrc/src/attack daemon /work/tick\nwhile [ ! -s /work/tick ]; do sleep 0.01; done\necho ready\nexec sleep 60\n");
        let name = |pid: u32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.trim().to_owned()
        };
        // Until what comes and goes at the start has gone: the shell's short sleeps, the daemon's first process.
        let settled = |child: &Child| {
            let mut names: Vec<String> = outside::tree(child.pid()).into_iter().map(name).collect();
            names.retain(|name| name != "agentrc");
            names.sort();
            names == ["attack", "sleep"]
        };
        let start = || {
            let child = lab.start("AGENT parts\nBIND ./rw /work rw\nCMD /bin/sh ./go.sh ./attack\n");
            child.wait_for("ready");
            assert!(within(Duration::from_secs(10), || settled(&child)), "{:?}", outside::tree(child.pid()));
            child
        };
        let count = outside::tree(start().pid()).len();
        agentrc_test_support::leftovers::kill_all(lab);
        lab.supervisor_was_killed();
        assert!(count >= 3, "supervisor, init, agent: {count}");
        let killed = |part: usize| {
            let child = start();
            let tree = outside::tree(child.pid());
            let victim = tree[part];
            let name = name(victim);
            let killed = Instant::now();
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(victim as i32).expect("pid"),
                Signal::KILL,
            )
            .expect("kill");
            // The daemon itself is no part of ours: its death ends nothing.
            if name == "attack" {
                child.signal(Signal::TERM);
            }
            let gone = within(Duration::from_secs(20), || {
                agentrc_test_support::leftovers::processes(lab)
                    .iter()
                    .all(|pid| outside::status(*pid).get("State").is_none_or(|s| s.starts_with('Z')))
            });
            let took = killed.elapsed();
            assert!(
                gone,
                "as {}: after `{}` was killed, there are {:?}",
                lab.who.name,
                name,
                agentrc_test_support::leftovers::processes(lab)
            );
            let outcome = child.finish();
            assert_ne!(outcome.code(), 0, "as {}: `{name}` was killed", lab.who.name);
            took
        };
        for part in 0..count {
            prompt(Duration::from_secs(1), || killed(part));
        }
    });
}

#[test]
fn a_program_that_ignores_sigterm_is_still_the_programs_affair_but_sigkill_to_agentrc_ends_it() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("go.sh"), "trap '' TERM INT HUP\necho ready\nwhile :; do sleep 0.05; done\n");
        let mut child = lab.start("AGENT stubborn\nCMD /bin/sh ./go.sh\n");
        child.wait_for("ready");
        child.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(150));
        assert!(!child.has_ended(), "as {}: SIGTERM is the program's to handle", lab.who.name);
        child.signal(Signal::KILL);
        lab.supervisor_was_killed();
        let gone =
            within(Duration::from_secs(5), || agentrc_test_support::leftovers::processes(lab).is_empty());
        child.finish();
        assert!(gone || agentrc_test_support::leftovers::processes(lab).is_empty(), "as {}", lab.who.name);
    });
}

#[test]
fn a_script_keeps_its_mode_and_the_folder_beside_it_stays_private() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("tool.sh"), "#!/bin/sh\necho ran from $0 in $(pwd)\nls -A /agentrc/src\n");
        lab.file(lab.project("other"), "not named\n");
        let outcome = lab.run("AGENT script\nCMD ./tool.sh\n");
        outcome.expect_code(0);
        assert_eq!(
            outcome.out(),
            "ran from /agentrc/src/tool.sh in /agentrc/src\ntool.sh\n",
            "as {}",
            lab.who.name
        );
        assert_eq!(fs::metadata(lab.project("tool.sh")).expect("tool").permissions().mode() & 0o777, 0o755);
    });
}
