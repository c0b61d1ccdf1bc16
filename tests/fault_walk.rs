//! Every step of a launch is made to fail, one after the other. For each: the command is not executed, the exit code is 125,
//! the message and the record name the step, and nothing is left.

use std::collections::BTreeSet;
use std::path::PathBuf;

use agentrc_test_support::leftovers::{self, Before, snapshot};
use agentrc_test_support::{Lab, Terminal, as_each, audit, faults, servers};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// An Agentfile that has every kind of thing a plan can hold and this version enforces.
const EVERYTHING: &str = "\
AGENT everything
BIND ./rw /work rw
BIND ./ro /ro ro
BIND ./copied /copied copy
BIND ../outside/granted /granted ro
BIND ./one-file /one-file ro
MOUNT /scratch rw
URL https://fault.example
DENY read /work/hidden
DENY write /work/frozen
LIMIT open_files 256
TIMEOUT 60
URL https://api.example.com/v1
URL tcp://192.0.2.7:5432
TOOL utcp:file_read
ALLOW invoke utcp:file_read
MEMORY notes ./notes.json schema:Note mode:rw
MCP own
TOOL mcp:own.act
ALLOW invoke mcp:own.act
FUNCTION ./f.py:f
ALLOW invoke f
SKILL ./walk
ALLOW invoke walk
HEALTHCHECK --interval=30 --timeout=5 CMD true
AUDIT all
CMD /bin/sh ./go.sh
";

/// Steps that a run passes only where the kernel or the operator has what they are about. Each says when; the tests in
/// `vm-tests/` run where it is.
fn conditional(step: &str, lab: &Lab) -> Option<&'static str> {
    match step {
        "cgroup" if !lab.who.is_root() && !has_controllers() => {
            Some("no cgroup v2 controller is delegated here")
        }
        "cgroup-limit" if !has_controllers() => Some("no cgroup v2 controller is delegated here"),
        "enter-cgroup" if !lab.who.is_root() => Some("without limits only root's runs have a cgroup"),
        "landlock-port" if !has_landlock_net(lab) => Some("this kernel's Landlock knows no ports (ABI 4)"),
        "tool-request" | "tool-process" | "tool-namespaces" | "tool-mounts" | "tool-proof"
        | "tool-program" => Some("passed when a tool is called: the test below makes these fail"),
        "supplementary-groups" if !lab.who.is_root() => Some("only root can drop them"),
        _ => None,
    }
}

fn has_landlock_net(lab: &Lab) -> bool {
    let doctor = lab.finish_command(lab.agentrc(["doctor", "--json"])).out();
    let found: serde_json::Value = serde_json::from_str(&doctor).unwrap_or_default();
    let features = found.pointer("/features").and_then(|features| features.as_array());
    assert!(features.is_some(), "doctor says: {doctor}");
    let present = |feature: &serde_json::Value| {
        let is = |key: &str, value: serde_json::Value| feature.get(key) == Some(&value);
        is("name", "landlock-tcp".into()) && is("present", true.into())
    };
    features.into_iter().flatten().any(present)
}

fn has_controllers() -> bool {
    std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
        .is_ok_and(|controllers| controllers.contains("pids"))
}

fn prepare(lab: &Lab) {
    for folder in ["rw/frozen", "rw/hidden", "rw/.git", "ro", "copied"] {
        lab.directory(lab.project(folder));
    }
    lab.file(lab.project("one-file"), "one\n");
    lab.file(lab.project("own.py"), servers::SERVER);
    lab.file(lab.project("mcp.json"), servers::table(&[]));
    lab.file(lab.project("notes.json"), r#"{"definitions": {"Note": {"type": "object"}}}"#);
    lab.file(lab.project("f.py"), "def f() -> int:\n    'Is one.'\n    return 1\n");
    lab.file(lab.project("walk/SKILL.md"), "---\nname: walk\ndescription: Walks.\n---\n");
    lab.script(lab.project("walk/scripts/go.sh"), "#!/bin/sh\n");
    lab.file(lab.outside("granted/file"), "granted\n");
    lab.script(lab.project("go.sh"), "echo ran > /work/ran\necho ran\n");
    lab.agentfile(EVERYTHING);
    let allowed = lab.finish_command(lab.agentrc([
        "allow".as_ref(),
        "--yes".as_ref(),
        lab.project("Agentfile").as_os_str(),
    ]));
    allowed.expect_code(0);
}

/// What one run with a fault did.
struct Walked {
    code: i32,
    said: String,
}

fn run(lab: &Lab, fault: Option<&str>, on_terminal: bool) -> Walked {
    let agentfile = lab.project("Agentfile");
    let binary = lab.binary();
    if on_terminal {
        // The variable reaches agentrc through the helper that opens the terminal.
        let wrapper = lab.path("run-with-fault");
        lab.script(
            &wrapper,
            &format!(
                "#!/bin/sh\n{}exec {} run {}\n",
                fault.map(|step| format!("export AGENTRC_FAULT={step}\n")).unwrap_or_default(),
                binary.display(),
                agentfile.display()
            ),
        );
        let (outcome, screen) = Terminal::run(lab, &wrapper, &[]).finish();
        return Walked { code: outcome.code(), said: screen };
    }
    let mut command = lab.agentrc(["run".as_ref(), agentfile.as_os_str()]);
    if let Some(step) = fault {
        command.env("AGENTRC_FAULT", step);
    }
    let outcome = lab.finish_command(command);
    Walked { code: outcome.code(), said: outcome.out() + &outcome.stderr }
}

/// What a person keeps in the folder: placeholders and times may come and go, names and texts may not.
fn kept(lab: &Lab) -> BTreeSet<(PathBuf, String)> {
    snapshot(&lab.project(""))
        .into_iter()
        .map(|(path, line)| {
            let text = line
                .split_once(" changed ")
                .and_then(|(_, rest)| rest.split_once(' '))
                .map(|(_, text)| text.to_owned());
            (path, text.unwrap_or_default())
        })
        .collect()
}

#[test]
fn every_step_that_fails_is_a_refusal_that_names_it_and_leaves_nothing() {
    let steps = faults::steps(AGENTRC);
    assert!(steps.len() > 40, "the list of steps: {steps:?}");
    let binary = faults::binary(AGENTRC).display().to_string();
    as_each(&binary, |lab| {
        prepare(lab);
        let ran = lab.project("rw/ran");
        // Positive control: without a fault it runs, on pipes and on a terminal.
        for on_terminal in [false, true] {
            let walked = run(lab, None, on_terminal);
            assert!(walked.code == 0 && ran.exists(), "without a fault: {} {}", walked.code, walked.said);
            std::fs::remove_file(&ran).expect("the canary");
        }
        let before = kept(lab);
        let mut failures = Vec::new();
        for step in &steps {
            let mut reached = false;
            for on_terminal in [false, true] {
                let (runs, host) = (lab.runs().len(), Before::now(lab));
                let walked = run(lab, Some(step), on_terminal);
                if walked.code == 0 && ran.exists() {
                    // Not a step of this kind of run.
                    std::fs::remove_file(&ran).expect("the canary");
                    continue;
                }
                reached = true;
                let mut wrong = |what: String| {
                    failures
                        .push(format!("{step}{}: {what}", if on_terminal { ", on a terminal" } else { "" }))
                };
                if ran.exists() {
                    wrong("the command was executed".into());
                    std::fs::remove_file(&ran).expect("the canary");
                }
                if walked.code != 125 {
                    wrong(format!("exit code {}: {}", walked.code, walked.said));
                }
                if !walked.said.contains(step.as_str()) {
                    wrong(format!("the message does not name it: {}", walked.said));
                }
                if kept(lab) != before {
                    wrong(format!(
                        "files of the project: {:?}",
                        kept(lab).symmetric_difference(&before).collect::<Vec<_>>()
                    ));
                }
                for run in &lab.runs()[runs.min(lab.runs().len())..] {
                    let events = audit::events(run);
                    let named: Vec<_> =
                        events.iter().map(audit::name).filter(|name| !name.is_empty()).collect();
                    let refused = named.last() == Some(&"run.refused") && !named.contains(&"run.ended");
                    if !refused && step != "audit-append" {
                        wrong(format!("the record says {named:?}"));
                    }
                    // The record, and nothing of what the run would have had.
                    let known = ["", "audit.jsonl", "lock", "run.json"].map(PathBuf::from);
                    let more: Vec<_> =
                        snapshot(run).into_keys().filter(|file| !known.contains(file)).collect();
                    if !more.is_empty() {
                        wrong(format!("the run's folder also holds {more:?}"));
                    }
                }
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.check(lab))).is_err() {
                    wrong("something is left on the host (above)".into());
                    leftovers::kill_all(lab);
                }
                break;
            }
            match (reached, conditional(step, lab)) {
                (false, None) => {
                    failures.push(format!("{step}: no run passes this step, so its failure shows nothing"))
                }
                (false, Some(why)) => eprintln!("note: `{step}` is not passed here: {why}"),
                (true, _) => {}
            }
        }
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

#[test]
fn a_tool_whose_sandbox_cannot_be_made_is_not_executed() {
    let steps: Vec<_> = faults::steps(AGENTRC).into_iter().filter(|step| step.starts_with("tool-")).collect();
    assert!(steps.len() > 4, "{steps:?}");
    let binary = faults::binary(AGENTRC).display().to_string();
    as_each(&binary, |lab| {
        let ran = lab.project("rw/ran");
        lab.directory(lab.project("rw"));
        lab.script(lab.project("tools/probe"), "#!/bin/sh\necho ran > /work/ran\n");
        lab.file(
            lab.project("tools/probe.schema.json"),
            r#"{"description": "Leaves a mark.", "inputSchema": {"type": "object"}}"#,
        );
        lab.file(
            lab.project("f.py"),
            "def mark() -> int:\n    'Leaves a mark.'\n    open('/work/ran', 'w').close()\n    return 1\n",
        );
        lab.file(lab.project("marks/SKILL.md"), "---\nname: marks\ndescription: Leaves a mark.\n---\n");
        lab.script(lab.project("marks/scripts/mark.sh"), "#!/bin/sh\necho ran > /work/ran\n");
        lab.script(
            lab.project("go.sh"),
            "for name in probe function.mark 'skill.marks scripts/mark.sh'; do /agentrc/bin/mcp call $name </dev/null || exit 1; done\n\
             echo \"all of them\"\n",
        );
        let lines = "AGENT walked\nCMD /bin/sh ./go.sh\nBIND ./rw /work rw\nTOOL local:./tools/probe\nALLOW invoke local:./tools/probe\n\
             FUNCTION ./f.py:mark\nALLOW invoke mark\nSKILL ./marks\nALLOW invoke marks\n";
        lab.agentfile(lines);
        let walked = run(lab, None, false);
        assert!(walked.said.contains("all of them") && ran.exists(), "without a fault: {}", walked.said);
        std::fs::remove_file(&ran).expect("the canary");
        lab.script(
            lab.project("go.sh"),
            "for name in probe function.mark 'skill.marks scripts/mark.sh'; do /agentrc/bin/mcp call $name </dev/null; code=$((${code:-0} + $?)); done\n\
             echo \"codes $code\"\n",
        );
        for step in &steps {
            let walked = run(lab, Some(step), false);
            assert!(!ran.exists(), "as {}, {step}: the tool was executed: {}", lab.who.name, walked.said);
            // The agent is told, and goes on; what could not be had was the tool.
            assert!(
                walked.said.contains("codes 3") && walked.said.contains(step.as_str()),
                "as {}, {step}: {}",
                lab.who.name,
                walked.said
            );
        }
    });
}

#[test]
fn a_health_check_whose_sandbox_cannot_be_made_has_failed() {
    let steps: Vec<_> = faults::steps(AGENTRC).into_iter().filter(|step| step.starts_with("tool-")).collect();
    let binary = faults::binary(AGENTRC).display().to_string();
    as_each(&binary, |lab| {
        lab.directory(lab.project("rw"));
        lab.agentfile(
            "AGENT walked\nCMD sleep 30\nBIND ./rw /work rw\nHEALTHCHECK --interval=1 --timeout=5 --retries=1 CMD touch /work/ran\n",
        );
        for step in &steps {
            let walked = run(lab, Some(step), false);
            assert!(!lab.project("rw/ran").exists(), "as {}, {step}: it was executed", lab.who.name);
            assert!(
                walked.code == 137
                    && walked.said.contains("health check failed once")
                    && walked.said.contains("Agentfile:4:1")
                    && walked.said.contains(step.as_str()),
                "as {}, {step}: {}: {}",
                lab.who.name,
                walked.code,
                walked.said
            );
        }
    });
}

#[test]
fn a_step_that_does_not_exist_is_not_taken_for_one() {
    as_each(&faults::binary(AGENTRC).display().to_string(), |lab| {
        prepare(lab);
        let walked = run(lab, Some("no-such-step"), false);
        assert_eq!(walked.code, 2, "{}", walked.said);
        assert!(!lab.project("rw/ran").exists());
    });
}

#[test]
fn the_ordinary_binary_knows_nothing_of_faults() {
    let bytes = std::fs::read(AGENTRC).expect("the binary");
    for text in ["AGENTRC_FAULT", "fault-steps", "fault injected"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "`{text}` is in it");
        let fault = std::fs::read(faults::binary(AGENTRC)).expect("agentrc-fault");
        assert!(
            fault.windows(text.len()).any(|window| window == text.as_bytes()),
            "control: `{text}` is in `agentrc-fault`"
        );
    }
    as_each(AGENTRC, |lab| {
        prepare(lab);
        let walked = run(lab, Some("seccomp"), false);
        assert_eq!(walked.code, 0, "the variable means nothing to it: {}", walked.said);
    });
}
