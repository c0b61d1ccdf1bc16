//! The audit log of a run: what it says, that it cannot be altered unnoticed, and that a run without one does not happen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use agentrc_test_support::outcome::{prompt, within};
use agentrc_test_support::{Child, Lab, as_each, as_root_only, audit, leftovers};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const LONG: &str = "AGENT audited\nCMD /bin/sh ./go.sh\n";

fn verify(lab: &Lab) -> (i32, String) {
    let outcome = lab.finish_command(lab.agentrc(["audit", "verify"]));
    (outcome.code(), outcome.out() + &outcome.stderr)
}

#[test]
fn the_first_event_is_the_evidence_and_the_last_the_end() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("go.sh"), "exit 3\n");
        let outcome = lab.run(LONG);
        outcome.expect_code(3);
        let names: Vec<_> = outcome.events.iter().map(audit::name).filter(|name| !name.is_empty()).collect();
        assert_eq!(
            (names.first().copied(), names.last().copied()),
            (Some("run.armed"), Some("run.ended")),
            "as {}: {names:?}",
            lab.who.name
        );
        let armed = outcome.events_named("run.armed")[0];
        let text = armed.to_string();
        for layer in ["namespaces", "mounts", "limits", "capabilities", "landlock", "seccomp"] {
            assert!(
                text.contains(&format!("\"layer\":\"{layer}\"")),
                "as {}: no evidence of {layer}: {text}",
                lab.who.name
            );
        }
        assert!(text.contains("\"answer\""), "as {}: nothing was probed: {text}", lab.who.name);
        assert!(text.contains("\"uid\"") && text.contains(&lab.who.uid.to_string()));
        let ended = outcome.events_named("run.ended")[0].to_string();
        assert!(ended.contains("\"exit_code\":3"), "{ended}");
        // Each line knows its number and its predecessor.
        for (number, line) in outcome.events.iter().enumerate() {
            assert_eq!(line.get("seq").and_then(Value::as_u64), Some(number as u64));
        }
        let (code, said) = verify(lab);
        assert_eq!(code, 0, "as {}: {said}", lab.who.name);
        let run = lab.runs().pop().expect("the run");
        for file in [run.clone(), run.join("audit.jsonl")] {
            let mode = fs::metadata(&file).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o077, 0, "as {}: others can read {}", lab.who.name, file.display());
        }
    });
}

#[test]
fn a_refused_run_is_recorded_and_says_why() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("go.sh"), "exit 0\n");
        let outcome = lab.run("AGENT audited\nBIND ./missing /x rw\nCMD /bin/sh ./go.sh\n");
        outcome.expect_code(125);
        if let Some(event) = outcome.events_named("run.refused").first() {
            assert!(event.to_string().contains("missing"), "{event}");
        }
        assert!(outcome.events_named("run.armed").is_empty());
        assert_eq!(verify(lab).0, 0);
    });
}

#[test]
fn every_tampering_is_found() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("go.sh"), "exit 0\n");
        for _ in 0..2 {
            lab.run(LONG).expect_code(0);
        }
        let runs = lab.runs();
        let log = runs[0].join("audit.jsonl");
        let whole = fs::read_to_string(&log).expect("log");
        assert_eq!(verify(lab).0, 0, "positive control");
        let lines: Vec<&str> = whole.lines().collect();
        assert!(lines.len() >= 2, "{whole}");
        let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let other = fs::read_to_string(runs[1].join("audit.jsonl")).expect("log");
        let mut reversed = lines.clone();
        reversed.swap(0, 1);
        let mut doubled = lines.clone();
        doubled.insert(1, lines[0]);
        let changed = [
            ("an edit of a value", whole.replacen("audited", "edited!", 1)),
            ("an edit of one byte at the end", whole.replacen("\"exit_code\":0", "\"exit_code\":1", 1)),
            ("a space", whole.replacen("{", "{ ", 1)),
            ("a removed first line", join(&lines[1..])),
            ("a removed last line", join(&lines[..lines.len() - 1])),
            (
                "a removed middle",
                join(&[&lines[..1], &lines[lines.len() - 1..]].concat()[..]).to_string()
                    + if lines.len() == 2 { "x" } else { "" },
            ),
            ("lines in another order", join(&reversed)),
            ("a line twice", join(&doubled)),
            ("a line of somebody else", whole.clone() + "{\"seq\":99}\n"),
            ("half a line", whole.trim_end().to_owned()),
            ("half the log", whole[..whole.len() / 2].to_owned()),
            ("nothing", String::new()),
            ("the log of another run", other),
            ("a line break within", whole.replacen("audited", "aud\nited", 1)),
            ("CRLF", whole.replace('\n', "\r\n")),
            ("an empty line", whole.replacen('\n', "\n\n", 1)),
        ];
        for (what, text) in changed {
            assert_ne!(text, whole, "{what} changes nothing");
            fs::write(&log, &text).expect("write");
            let (code, said) = verify(lab);
            assert_eq!(code, 1, "as {}: {what} was not found: {said}", lab.who.name);
            assert!(
                said.contains(runs[0].file_name().expect("name").to_str().expect("text")),
                "as {}: {what}: the run is not named: {said}",
                lab.who.name
            );
        }
        fs::write(&log, &whole).expect("write");
        assert_eq!(verify(lab).0, 0, "as it was");
        fs::remove_dir_all(&runs[0]).expect("remove");
        let (code, said) = verify(lab);
        assert_eq!(code, 1, "as {}: a removed run was not found: {said}", lab.who.name);
    });
}

#[test]
fn control_characters_of_an_agent_cannot_forge_a_line() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.agentfile("AGENT audited\nCMD /bin/true\n");
        let forged = "x\n{\"seq\":1,\"event\":\"run.ended\"}\r\u{1b}[2K\u{2028}";
        lab.finish_command(lab.agentrc(["run", agentfile.to_str().expect("text"), "--", forged]))
            .expect_code(0);
        let text = fs::read_to_string(lab.runs().pop().expect("run").join("audit.jsonl")).expect("log");
        assert!(!text.bytes().any(|byte| byte < 0x20 && byte != b'\n'), "as {}: {text:?}", lab.who.name);
        let events = audit::events(&lab.runs().pop().expect("run"));
        let ends = events.iter().filter(|event| audit::name(event) == "run.ended").count();
        assert_eq!(ends, 1, "{text}");
        assert_eq!(verify(lab).0, 0);
        let shown = lab.finish_command(lab.agentrc(["audit", "show", &lab.last_run()]));
        assert!(!shown.stdout.contains(&0x1b), "as {}: an escape reaches the terminal", lab.who.name);
    });
}

#[test]
fn a_state_folder_that_cannot_be_written_is_a_refusal() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("rw"));
        lab.script(lab.project("go.sh"), "echo ran > /work/ran\n");
        let agentfile = "AGENT audited\nBIND ./rw /work rw\nCMD /bin/sh ./go.sh\n";
        lab.run(agentfile).expect_code(0);
        assert!(lab.project("rw/ran").exists(), "positive control");
        fs::remove_file(lab.project("rw/ran")).expect("canary");
        let state = lab.path("state");
        fs::remove_dir_all(&state).expect("state");
        // A file in its place, a link to nowhere, a folder of somebody else, one that others may write.
        type Make = fn(&Lab, &Path);
        let makes: [(&str, Make); 4] = [
            ("a file", |lab, state| lab.file(state, "x")),
            ("a link to nowhere", |lab, state| lab.symlink("/nonexistent/state", state)),
            ("a folder without permissions", |lab, state| {
                lab.directory(state);
                lab.file(state.join("agentrc"), "a file where a folder must be");
            }),
            ("a runs folder that is a link", |lab, state| {
                lab.directory(state.join("agentrc"));
                lab.directory(lab.outside("elsewhere"));
                lab.symlink(lab.outside("elsewhere"), state.join("agentrc/runs"));
            }),
        ];
        for (what, make) in makes {
            make(lab, &state);
            let outcome = lab.run(agentfile);
            assert!(!lab.project("rw/ran").exists(), "as {}: it ran with {what} for its state", lab.who.name);
            outcome.expect_code(125);
            assert!(!outcome.stderr.is_empty());
            let _ = fs::remove_file(&state).or_else(|_| fs::remove_dir_all(&state));
        }
    });
}

/// Runs `agentrc` with its state on a file system of its own, of this size; the command line is a shell's.
fn on_a_small_file_system(lab: &Lab, size: &str, before: &str) -> Command {
    let state = lab.path("state");
    let inner = format!(
        "mount -t tmpfs -o size={size},mode=755,uid={uid},gid={gid} tmpfs {state} && {before} exec setpriv --reuid {uid} --regid {gid} --clear-groups {binary} run {agentfile}",
        uid = lab.who.uid,
        gid = lab.who.gid,
        state = state.display(),
        binary = lab.binary().display(),
        agentfile = lab.project("Agentfile").display(),
    );
    let mut command = lab.command("unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", &inner]);
    // The mount needs root; `agentrc` itself gives it up in the line above.
    std::os::unix::process::CommandExt::uid(&mut command, 0);
    std::os::unix::process::CommandExt::gid(&mut command, 0);
    command
}

#[test]
fn a_full_disk_before_the_start_is_a_refusal_and_afterwards_the_end_within_a_second() {
    as_root_only(AGENTRC, |root| {
        let _ = root;
        as_each(AGENTRC, |lab| {
            lab.directory(lab.project("rw"));
            lab.script(
                lab.project("go.sh"),
                "echo ran > /work/ran\necho ready\nwhile :; do sleep 0.05; done\n",
            );
            lab.agentfile("AGENT audited\nBIND ./rw /work rw\nCMD /bin/sh ./go.sh\n");
            let state = lab.path("state");
            let full = format!("head -c 100M /dev/zero > {}/fill 2>/dev/null;", state.display());
            let outcome = lab.finish_command(on_a_small_file_system(lab, "256k", &full));
            assert!(!lab.project("rw/ran").exists(), "as {}: it ran without room for its log", lab.who.name);
            outcome.expect_code(125);

            prompt(Duration::from_millis(1500), || {
                let child = Child::start(lab, on_a_small_file_system(lab, "1m", ""));
                child.wait_for("ready");
                // The file system is in that process's mount namespace only.
                let inside = format!("/proc/{}/root{}/fill", child.pid(), state.display());
                let filled = Instant::now();
                // It is to fail at the end of the space.
                let _ = fs::write(inside, vec![0_u8; 4 << 20]);
                let outcome = child.finish();
                let took = filled.elapsed();
                outcome.expect_code(137);
                assert!(outcome.stderr.contains("audit"), "as {}: {}", lab.who.name, outcome.stderr);
                took
            });
        });
    });
}

#[test]
fn a_log_that_is_taken_away_ends_the_run_within_a_second() {
    as_each(AGENTRC, |lab| {
        type Take = fn(&Path);
        let takes: [(&str, Take); 4] = [
            ("moved away", |run| fs::rename(run.join("audit.jsonl"), run.join("elsewhere")).expect("rename")),
            ("removed", |run| fs::remove_file(run.join("audit.jsonl")).expect("remove")),
            ("removed with its folder", |run| fs::remove_dir_all(run).expect("remove")),
            ("replaced", |run| {
                fs::write(run.join("new"), "").expect("write");
                fs::rename(run.join("new"), run.join("audit.jsonl")).expect("rename");
            }),
        ];
        let taken = |what: &str, take: Take| {
            lab.script(lab.project("go.sh"), "echo ready\nwhile :; do sleep 0.05; done\n");
            let runs = lab.runs();
            let child = lab.start(LONG);
            child.wait_for("ready");
            let run = lab.runs().into_iter().find(|run| !runs.contains(run)).expect("the run's folder");
            let taken = Instant::now();
            take(&run);
            let gone = within(Duration::from_secs(20), || {
                leftovers::processes(lab).iter().all(|pid| *pid == child.pid() || zombie(*pid))
            });
            let took = taken.elapsed();
            assert!(gone, "as {}: the agent goes on after its log was {what}", lab.who.name);
            let outcome = child.finish();
            outcome.expect_code(137);
            assert!(outcome.stderr.contains("audit"), "as {}: {what}: {}", lab.who.name, outcome.stderr);
            took
        };
        for (what, take) in takes {
            prompt(Duration::from_millis(1500), || taken(what, take));
        }
    });
}

fn zombie(pid: u32) -> bool {
    agentrc_test_support::outside::status(pid).get("State").is_some_and(|state| state.starts_with('Z'))
}

#[test]
fn two_runs_at_once_keep_their_logs_apart() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("go.sh"), "echo ready\nread line\n");
        let agentfile = lab.agentfile(LONG);
        let start = |_| Child::start(lab, lab.agentrc(["run".as_ref(), agentfile.as_os_str()]));
        let mut children: Vec<_> = (0..4).map(start).collect();
        for child in &children {
            child.wait_for("ready");
        }
        for child in &mut children {
            child.send("\n");
        }
        for child in children {
            child.finish().expect_code(0);
        }
        assert_eq!(lab.runs().len(), 4);
        assert_eq!(verify(lab).0, 0, "as {}: {}", lab.who.name, verify(lab).1);
    });
}

#[test]
fn the_latest_run_is_the_one_that_started_last() {
    as_each(AGENTRC, |lab| {
        // Several within one second, as a script makes them.
        for number in 0..8 {
            let text = format!("AGENT number-{number}\nCMD /bin/true\n");
            lab.run(&text).expect_code(0);
            let shown = lab.finish_command(lab.agentrc(["audit", "show", "latest", "--json"]));
            assert!(
                shown.out().contains(&format!("number-{number}")),
                "as {}: after run {number}: {}",
                lab.who.name,
                shown.out()
            );
        }
    });
}
