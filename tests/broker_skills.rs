//! A skill's scripts through the broker: the tool `skill.NAME`, decided by `skill.invoke`, executed in a sandbox of the call.

#![allow(clippy::expect_used)]

use agentrc_test_support::{Lab, Outcome, as_each};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const FRONT: &str = "---\nname: probe\ndescription: Probes what a script can do.\n---\n# Probe\n";

/// Runs `go` in a shell inside, with a skill `probe` whose scripts these are.
#[track_caller]
fn run(lab: &Lab, scripts: &[(&str, &str)], lines: &str, go: &str) -> Outcome {
    lab.file(lab.project("skills/probe/SKILL.md"), FRONT);
    for (name, text) in scripts {
        lab.script(lab.project(format!("skills/probe/scripts/{name}")), text);
    }
    lab.script(lab.project("go.sh"), go);
    lab.run(&format!("AGENT caller\nSKILL ./skills/probe\n{lines}\nCMD /bin/sh ./go.sh\n"))
}

const CALL: &str = "call() { printf '%s' \"$1\" | /agentrc/bin/mcp call skill.probe; echo \"$?\"; }\n";

#[test]
fn a_script_is_given_its_arguments_and_its_input_and_nothing_makes_anything_of_them() {
    as_each(AGENTRC, |lab| {
        let script = "#!/bin/sh\nfor word in \"$@\"; do printf '<%s>' \"$word\"; done\npwd\ncat\n";
        let python = "#!/usr/bin/env python3\nimport sys, json\nprint(json.dumps(sys.argv[1:]))\n";
        let outcome = run(
            lab,
            &[("say.sh", script), ("list.py", python)],
            "ALLOW invoke probe",
            &format!(
                "{CALL}call '{{\"script\": \"scripts/say.sh\", \"arguments\": [\"-c\", \"; touch /tmp/x\", \"$(id)\", \"a\\nb\", \"\"], \"input\": \"in\"}}'\n\
                 call '{{\"script\": \"scripts/list.py\", \"arguments\": [\"-m\", \"--help\", \"-\"]}}'\nls /tmp\n\
                 /agentrc/bin/mcp call skill.probe scripts/say.sh </dev/null\n"
            ),
        );
        outcome.expect_code(0);
        assert_eq!(
            outcome.out(),
            "<-c><; touch /tmp/x><$(id)><a\nb><>/agentrc/skills/probe\nin\n0\n[\"-m\",\"--help\",\"-\"]\n0\n/agentrc/skills/probe\n",
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        let calls = outcome.events_named("broker.call");
        assert_eq!(calls[0].get("act").and_then(Value::as_str), Some("call skill.probe"));
        let rule = calls[0].get("rule").and_then(Value::as_str).unwrap_or_default();
        assert!(rule.contains("Agentfile:3:1"), "{rule}");
    });
}

#[test]
fn what_is_no_script_of_the_plan_is_not_executed() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("skills/probe/scripts/library.sh"), "#!/bin/sh\necho library\n");
        lab.file(lab.project("skills/probe/other.sh"), "#!/bin/sh\necho other\n");
        let given = [
            "scripts/library.sh",
            "other.sh",
            "/bin/sh",
            "scripts/../other.sh",
            "scripts/RUN.sh",
            "./scripts/run.sh",
            "",
        ];
        let calls: String = given.map(|script| format!("call '{{\"script\": \"{script}\"}}'\n")).concat();
        let outcome = run(
            lab,
            &[("run.sh", "#!/bin/sh\necho ran\n"), ("text", "echo as a shell\n")],
            "ALLOW invoke probe",
            &format!(
                "{CALL}{calls}call '{{}}'\ncall '{{\"script\": \"scripts/run.sh\", \"arguments\": \"x\"}}'\n\
                 call '{{\"script\": \"scripts/run.sh\", \"directory\": \"/\"}}'\ncall '{{\"script\": \"scripts/run.sh\", \"arguments\": [\"a\\u0000b\"]}}'\n\
                 call '{{\"script\": \"scripts/text\"}}'\n/agentrc/bin/mcp call skill.other </dev/null; echo $?\n"
            ),
        );
        assert_eq!(
            outcome.out(),
            format!("{}77\n", "1\n".repeat(given.len() + 5)),
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        assert!(outcome.stderr.contains("neither a program"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("NUL"), "{}", outcome.stderr);
    });
}

#[test]
fn exit_codes_and_output_are_those_of_a_tool() {
    as_each(AGENTRC, |lab| {
        let script = "#!/bin/sh\necho words >&2\ncase $1 in json) echo '{\"a\": 1}';; kill) kill -9 $$;; flood) exec cat /dev/zero;; *) exit \"$1\";; esac\n";
        let calls: String = ["json", "3", "77", "kill", "flood"]
            .map(|word| format!("call '{{\"script\": \"scripts/run.sh\", \"arguments\": [\"{word}\"]}}'\n"))
            .concat();
        let outcome = run(
            lab,
            &[("run.sh", script)],
            "ALLOW invoke probe\nLIMIT max_output 4KiB",
            &format!("{CALL}{calls}"),
        );
        assert_eq!(outcome.out(), "{\"a\":1}\n0\n1\n77\n1\n1\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert!(
            outcome.stderr.contains("signal 9") && outcome.stderr.contains("4096 bytes"),
            "{}",
            outcome.stderr
        );
    });
}

#[test]
fn a_script_has_the_agents_files_and_no_network_and_no_way_to_the_broker() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        let script = "#!/usr/bin/env python3\n\
            import os, socket\n\
            def tried(act):\n    try: act(); return 'done'\n    except Exception as error: return type(error).__name__\n\
            print(open('/tmp/of-agent').read().strip(), tried(lambda: open('/work/made', 'w')), tried(lambda: open('made', 'w')),\n\
            \x20   tried(lambda: socket.create_connection(('api.example.com', 443), 2)),\n\
            \x20   tried(lambda: socket.socket(socket.AF_UNIX).connect('/agentrc/broker.sock')))\n";
        let outcome = run(
            lab,
            &[("look.py", script)],
            "ALLOW invoke probe\nBIND ./work /work rw\nURL tcp://api.example.com:443",
            "echo mine >/tmp/of-agent\n/agentrc/bin/mcp call skill.probe scripts/look.py </dev/null\n",
        );
        let out = outcome.out();
        let words: Vec<_> = out.split_whitespace().collect();
        assert_eq!(words[..2], ["mine", "done"], "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert!(
            words[2..].len() == 3 && words[2..].iter().all(|word| *word != "done"),
            "as {}: {out}",
            lab.who.name
        );
    });
}

#[test]
fn policy_decides_rates_count_and_what_is_not_permitted_is_not_there() {
    as_each(AGENTRC, |lab| {
        let go = format!(
            "{CALL}ls /agentrc/skills 2>/dev/null\ncall '{{\"script\": \"scripts/run.sh\"}}'\ncall '{{\"script\": \"scripts/run.sh\"}}'\n"
        );
        let scripts = [("run.sh", "#!/bin/sh\necho ran\n")];
        let outcome = run(lab, &scripts, "ALLOW invoke probe\nRATELIMIT probe 1/hour", &go);
        assert_eq!(outcome.out(), "probe\nran\n0\n77\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert!(outcome.stderr.contains("Agentfile:4:1"), "{}", outcome.stderr);
        // There has to be something to ask, for it to say that there is no skill.
        let clock = "TOOL utcp:current_time\nALLOW invoke utcp:current_time\n";
        let forbidden = "ALLOW invoke probe\nPOLICY\nforbid(principal, action == AgentRC::Action::\"skill.invoke\", resource) when { context.name == \"probe\" };\nEND";
        for lines in [clock.to_owned(), format!("{clock}{forbidden}")] {
            let outcome = run(lab, &scripts, &lines, &go);
            assert_eq!(outcome.out(), "77\n77\n", "as {}: {lines}: {}", lab.who.name, outcome.stderr);
            outcome.denial_of("call skill.probe");
        }
    });
}

#[test]
fn a_skill_whose_script_is_the_command_is_no_tool_and_has_no_broker() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("skills/probe/SKILL.md"), FRONT);
        lab.script(lab.project("skills/probe/scripts/run.sh"), "#!/bin/sh\nls -A /agentrc\n");
        let outcome = lab.run(
            "AGENT caller\nSKILL ./skills/probe\nALLOW invoke probe\nCMD /agentrc/skills/probe/scripts/run.sh\n",
        );
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "proc\nskills\nsrc\n", "as {}: {}", lab.who.name, outcome.stderr);
    });
}

#[test]
fn a_script_that_cannot_be_named_is_an_error_of_the_agentfile() {
    as_each(AGENTRC, |lab| {
        let outcome = run(lab, &[("odd name.sh", "#!/bin/sh\n")], "ALLOW invoke probe", "true\n");
        outcome.expect_refusal(&["E093", "odd name.sh", "Agentfile:2:"]);
    });
}
