//! A run on a terminal: a pseudo-terminal of its own, window size, keys, job control; and no way back into the caller's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::{Lab, Terminal, as_each, as_root_only, leftovers, outside};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn shell(lab: &Lab, script: &str) -> PathBuf {
    lab.script(lab.project("go.sh"), script);
    lab.agentfile("AGENT terminal\nCMD /bin/sh ./go.sh\n")
}

fn run(lab: &Lab, agentfile: &Path) -> Terminal {
    Terminal::run(lab, &lab.binary(), &["run", &agentfile.to_string_lossy()])
}

fn job(lab: &Lab, agentfile: &Path) -> Terminal {
    Terminal::run_as_job(lab, &lab.binary(), &["run", &agentfile.to_string_lossy()])
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Whether a process of the terminal's is `sleep`.
fn sleeps(terminal: &Terminal) -> bool {
    let name = |pid| outside::status(pid).remove("Name").unwrap_or_default();
    outside::tree(terminal.pid()).into_iter().any(|pid| name(pid) == "sleep")
}

/// Whether a process of the terminal's is stopped.
fn is_stopped(terminal: &Terminal) -> bool {
    let stopped = |pid| outside::status(pid).get("State").is_some_and(|state| state.starts_with('T'));
    outside::tree(terminal.pid()).into_iter().any(stopped)
}

#[test]
fn the_program_has_a_terminal_of_its_own() {
    as_each(AGENTRC, |lab| {
        let agentfile = shell(
            lab,
            "tty; test -t 0 && test -t 1 && test -t 2 && echo interactive; echo $TERM; ls /dev/pts; ps -o tty= 2>/dev/null; exit 6\n",
        );
        let terminal = run(lab, &agentfile);
        let slave = terminal.slave.display().to_string();
        let (outcome, screen) = terminal.finish();
        outcome.expect_code(6);
        assert!(
            screen.contains("interactive\r\n") && screen.contains("xterm\r\n"),
            "as {}:\n{screen}",
            lab.who.name
        );
        assert!(
            screen.starts_with("/dev/pts/0\r\n") || !screen.contains(&slave),
            "as {}: it is the caller's {slave}:\n{screen}",
            lab.who.name
        );
    });
}

#[test]
fn the_window_has_its_size_and_changes_it() {
    as_each(AGENTRC, |lab| {
        let agentfile = shell(
            lab,
            "trap 'echo resized $(stty size)' WINCH\nstty size\necho ready\nwhile :; do sleep 0.05; done\n",
        );
        let mut terminal = run(lab, &agentfile);
        terminal.wait_for("ready");
        assert!(terminal.screen().contains("24 80"), "as {}: {}", lab.who.name, terminal.screen());
        terminal.resize(50, 132);
        terminal.wait_for("resized 50 132");
        terminal.type_in("\u{3}");
        terminal.finish().0.expect_code(130);
    });
}

#[test]
fn typed_lines_reach_the_program_and_are_echoed_once() {
    as_each(AGENTRC, |lab| {
        let agentfile = shell(
            lab,
            "echo name?\nread name\necho hello $name\nstty -echo; echo password?; read word; stty echo; echo ${#word}\ncat\necho end\n",
        );
        let mut terminal = run(lab, &agentfile);
        terminal.wait_for("name?");
        terminal.type_in("agent\n");
        terminal.wait_for("password?");
        std::thread::sleep(Duration::from_millis(50));
        terminal.type_in("sesame\n");
        terminal.wait_for("6\r\n");
        terminal.type_in("line\n\u{4}");
        let (outcome, screen) = terminal.finish();
        outcome.expect_code(0);
        assert!(screen.contains("hello agent\r\n") && screen.contains("end\r\n"), "{screen}");
        assert_eq!(
            screen.matches("agent\r\n").count(),
            2,
            "as {}: typed once, answered once:\n{screen}",
            lab.who.name
        );
        assert!(!screen.contains("sesame"), "as {}: what is typed blind is shown:\n{screen}", lab.who.name);
        assert_eq!(screen.matches("line\r\n").count(), 2, "{screen}");
    });
}

#[test]
fn control_c_interrupts_the_program_and_not_agentrc() {
    as_each(AGENTRC, |lab| {
        let agentfile =
            shell(lab, "trap 'echo caught; exit 9' INT\necho ready\nwhile :; do sleep 0.05; done\n");
        let mut terminal = job(lab, &agentfile);
        terminal.wait_for("ready");
        terminal.type_in("\u{3}");
        terminal.wait_for("[exit 9]");
        terminal.wait_for("[done]");
        let (_, screen) = terminal.finish();
        assert_eq!(screen.matches("caught").count(), 1, "as {}: {screen}", lab.who.name);
        let agentfile = shell(lab, "echo ready\nsleep 30\necho after\n");
        let mut terminal = job(lab, &agentfile);
        terminal.wait_for("ready");
        // (A shell between two commands may keep the signal to itself, in a sandbox or not.)
        assert!(within(PATIENCE, || sleeps(&terminal)), "{}", terminal.screen());
        terminal.type_in("\u{3}");
        terminal.wait_for("[exit 130]");
        terminal.finish();
    });
}

#[test]
fn a_shell_inside_stops_and_continues_its_jobs() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.agentfile("AGENT terminal\nCMD /bin/bash --norc --noediting\n");
        let mut terminal = job(lab, &agentfile);
        terminal.wait_for("bash");
        terminal.type_in("sh -c 'echo started; sleep 0.5; sleep 30'; echo status $?\n");
        terminal.wait_for("started\r\n");
        assert!(within(PATIENCE, || sleeps(&terminal)), "{}", terminal.screen());
        terminal.type_in("\u{1a}");
        terminal.wait_for("Stopped");
        terminal.wait_for("status 148\r\n");
        terminal.type_in("jobs\nfg\n");
        // The shell lets it go on once the terminal is its own.
        assert!(within(PATIENCE, || !is_stopped(&terminal)), "{}", terminal.screen());
        terminal.type_in("\u{3}");
        terminal.type_in("echo alive; exit 3\n");
        terminal.wait_for("alive\r\n");
        terminal.wait_for("[exit 3]");
        let (_, screen) = terminal.finish();
        assert!(
            !screen.contains("[stopped]"),
            "as {}: the key stopped agentrc itself: {screen}",
            lab.who.name
        );
        assert!(!screen.contains("no job control"), "as {}: {screen}", lab.who.name);
    });
}

#[test]
fn the_caller_can_stop_and_continue_agentrc() {
    as_each(AGENTRC, |lab| {
        let agentfile = shell(lab, "echo ready\nread line\necho got $line\n");
        let mut terminal = job(lab, &agentfile);
        terminal.wait_for("ready");
        let supervisor = outside::tree(terminal.pid())[1];
        let signal = rustix::process::Pid::from_raw(supervisor as i32).expect("pid");
        rustix::process::kill_process(signal, rustix::process::Signal::STOP).expect("kill");
        terminal.wait_for("[stopped]");
        terminal.type_in("fg\n");
        assert!(within(PATIENCE, || !is_stopped(&terminal)), "{}", terminal.screen());
        terminal.type_in("word\n");
        terminal.wait_for("got word");
        terminal.wait_for("[exit 0]");
        terminal.finish();
    });
}

#[test]
fn the_terminal_is_as_it_was_afterwards() {
    as_each(AGENTRC, |lab| {
        for script in [
            "stty raw -echo -isig; exit 0\n",
            "stty raw -echo; kill -9 $$\n",
            "printf '\\033[?25l'; exit 0\n",
        ] {
            let agentfile = shell(lab, script);
            let terminal = job(lab, &agentfile);
            terminal.wait_for("[done]");
            let (_, screen) = terminal.finish();
            assert!(screen.contains("[mode icanon echo isig]"), "as {}: {script}: {screen}", lab.who.name);
        }
        // Also when agentrc refuses.
        let agentfile = lab.agentfile("AGENT terminal\nBIND ./missing /x rw\nCMD /bin/true\n");
        let terminal = job(lab, &agentfile);
        terminal.wait_for("[done]");
        let (_, screen) = terminal.finish();
        assert!(
            screen.contains("[exit 125]") && screen.contains("[mode icanon echo isig]"),
            "as {}: {screen}",
            lab.who.name
        );
    });
}

#[test]
fn a_terminal_that_goes_away_ends_the_run() {
    as_each(AGENTRC, |lab| {
        let agentfile = shell(lab, "echo ready\nsleep 60\n");
        let terminal = run(lab, &agentfile);
        terminal.wait_for("ready");
        let pid = terminal.pid();
        terminal.hang_up();
        let gone = within(Duration::from_secs(10), || {
            leftovers::processes(lab)
                .iter()
                .all(|other| outside::status(*other).get("State").is_none_or(|s| s.starts_with('Z')))
        });
        assert!(gone, "as {}: {pid} goes on: {:?}", lab.who.name, leftovers::processes(lab));
    });
}

#[test]
fn a_big_paste_and_a_big_output_are_whole() {
    as_each(AGENTRC, |lab| {
        let agentfile =
            shell(lab, "stty raw -echo\necho ready\nhead -c 60000 | cksum\nseq 1 20000 | tr '\\n' ' '\n");
        let mut terminal = run(lab, &agentfile);
        terminal.wait_for("ready");
        let paste: String = (0..6000).map(|i| format!("{i:09}\n")).collect();
        terminal.type_in(&paste);
        let (outcome, screen) = terminal.finish();
        outcome.expect_code(0);
        let sum = std::process::Command::new("sh")
            .args(["-c", "seq -f %09g 0 5999 | cksum"])
            .output()
            .expect("cksum");
        assert!(
            screen.contains(String::from_utf8_lossy(&sum.stdout).trim()),
            "as {}: the paste is not whole: {}",
            lab.who.name,
            &screen[..200.min(screen.len())]
        );
        assert!(screen.contains("19998 19999 20000"), "as {}: the output is not whole", lab.who.name);
    });
}

#[test]
fn nothing_can_be_typed_into_the_callers_terminal() {
    // Only root can type by TIOCSTI on a kernel without `dev.tty.legacy_tiocsti`: the control needs it.
    as_root_only(AGENTRC, |lab| {
        let attack = lab.attacker(lab.path("attacker"));
        let control = Terminal::run_as_job(lab, &attack, &["tiocsti", "0", "touch planted"]);
        control.wait_for("[done]");
        assert!(control.finish().1.contains("[typed touch planted]"), "positive control");
    });
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        let slave_acts = |slave: &str| {
            [
                "tiocsti 0 x",
                "tiocsti 1 x",
                "tiocsti 2 x",
                "tiocsti-high-bits 0 x",
                "tiocsti-path /dev/tty x",
                "tiocsti-path /proc/self/fd/0 x",
                "tioclinux 0",
                "tiocsetd 0",
                "tioccons 0",
                "tiocsctty 0",
                "tcsetpgrp 0 1",
            ]
            .iter()
            .map(|act| act.to_string())
            .chain([format!("tiocsti-path {slave} x"), "tiocsti-path /dev/pts/1 x".into()])
            .map(|act| format!("/agentrc/src/attack {act} 2>/dev/null"))
            .collect::<Vec<_>>()
            .join("\n")
        };
        // With the program's own terminal, and with only some of the streams on the caller's.
        for redirect in ["", "</dev/null", ">/dev/null", "2>/dev/null", "</dev/null 2>/dev/null"] {
            let agentfile = shell(lab, "true\n");
            fs::write(&agentfile, "AGENT terminal\nCMD /bin/sh ./go.sh ./attack\n").expect("Agentfile");
            lab.script(lab.project("go.sh"), &(slave_acts("/dev/pts/0") + "\nexit 0\n"));
            let wrapper = lab.path("wrapper");
            lab.script(
                &wrapper,
                &format!(
                    "#!/bin/sh\nexec {} run {} {redirect}\n",
                    lab.binary().display(),
                    agentfile.display()
                ),
            );
            let terminal = Terminal::run_as_job(lab, &wrapper, &[]);
            terminal.wait_for("[done]");
            let (_, screen) = terminal.finish();
            assert!(
                !screen.contains("[typed"),
                "as {}: with `{redirect}` the agent typed into the caller's terminal: {screen}",
                lab.who.name
            );
            assert!(screen.contains("[exit 0]"), "as {}: `{redirect}`: {screen}", lab.who.name);
        }
    });
}
