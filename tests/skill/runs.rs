//! Which script is run, inside what, and how it ends.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use agentrc_test_support::as_each;
use agentrc_test_support::outcome::Child;

use crate::AGENTRC;
use crate::support::{FRONT, command, json, nothing_is_left, refused, reported, run, skill};

#[test]
fn the_scripts_exit_code_and_arguments_are_its_own() {
    as_each(AGENTRC, |lab| {
        skill(lab, "printf '<%s>' \"$@\"; exit 7");
        let (outcome, report, junit) = reported(lab, &["probe", "--", "--json", "a b", "", "$(x)"]);
        outcome.expect_code(7);
        assert_eq!(outcome.out(), "<--json><a b><><$(x)>", "as {}", lab.who.name);
        assert_eq!(report["verdict"], "failed");
        assert_eq!(report["exit_code"], 7);
        assert_eq!(report["arguments"], serde_json::json!(["--json", "a b", "", "$(x)"]));
        assert_eq!(junit["suite"]["failures"], "1");
        assert_eq!(junit["parts"]["failure"][0]["message"], "failed: exit code 7");
        skill(lab, "kill -TERM $$");
        let (outcome, report, _) = reported(lab, &["probe"]);
        outcome.expect_code(143);
        assert_eq!((&report["verdict"], &report["signal"]), (&"failed".into(), &15.into()));
        lab.script(lab.project("probe/scripts/run.sh"), "#!/nonexistent/shell\n");
        let (outcome, report, _) = reported(lab, &["probe"]);
        outcome.expect_code(127);
        assert_eq!(report["verdict"], "failed");
        assert_eq!(report["reasons"][0]["step"], "exec");
    });
}

#[test]
fn a_script_has_no_network_no_file_of_the_host_and_may_change_none() {
    as_each(AGENTRC, |lab| {
        let secret = lab.outside("secret");
        skill(
            lab,
            &format!(
                "cat {0} && echo read; echo x > {0} && echo written\n\
                 echo x >> /agentrc/skills/probe/SKILL.md && echo changed\n\
                 python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 1))' && echo connected\n\
                 python3 -c 'import socket; socket.getaddrinfo(\"example.com\", 443)' && echo resolved\n\
                 env | grep CALLERS && echo inherited\n\
                 exit 0",
                secret.display()
            ),
        );
        let (outcome, report, _) = reported(lab, &["probe"]);
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "", "as {}: {}", lab.who.name, outcome.stderr);
        assert!(outcome.stderr.contains("Read-only file system"), "{}", outcome.stderr);
        assert!(!report.to_string().contains(&lab.secret));
        assert_eq!(fs::read_to_string(secret).expect("the secret"), lab.secret);
        assert_eq!(fs::read_to_string(lab.project("probe/SKILL.md")).expect("SKILL.md"), FRONT);
    });
}

#[test]
fn a_script_that_takes_too_long_is_killed_with_all_that_it_started() {
    as_each(AGENTRC, |lab| {
        skill(lab, "trap '' TERM INT; echo begun; setsid sleep 600 & while :; do sleep 0.05; done");
        let (outcome, report, junit) = reported(lab, &["probe", "--timeout", "8"]);
        outcome.expect_code(137);
        assert_eq!(report["verdict"], "killed", "as {}: {report:#}", lab.who.name);
        assert_eq!(report["stdout"]["text"], "begun\n");
        assert_eq!(report["limits"].as_array().map(Vec::len), Some(1), "{report:#}");
        assert_eq!(junit["suite"]["errors"], "1");
        assert_eq!(junit["parts"]["error"][0]["type"], "killed");
    });
}

#[test]
fn what_is_no_skill_is_refused_and_reported() {
    as_each(AGENTRC, |lab| {
        skill(lab, "echo ran");
        refused(lab, &["nothing"], &["cannot open `nothing`"]);
        refused(lab, &["probe/SKILL.md"], &["is not a folder"]);
        fs::remove_file(lab.project("probe/SKILL.md")).expect("remove");
        refused(lab, &["probe"], &["E048", "there is no `SKILL.md`"]);
        for (text, expected) in [
            ("# Probe\n", vec!["E090", "probe/SKILL.md:1:1", "no front matter"]),
            ("---\nname: probe\ndescription: [a]\n---\n", vec!["E091", "probe/SKILL.md:3:14"]),
            (
                "---\nname: other\ndescription: x\n---\n",
                vec!["E092", "probe/SKILL.md:2:1", "its folder `probe`"],
            ),
            ("---\nname: Probe\nx: z\n---\n", vec!["not a skill's name", "has no `x`", "no `description`"]),
        ] {
            lab.file(lab.project("probe/SKILL.md"), text);
            refused(lab, &["probe"], &expected);
        }
        // A name that could write lines of an Agentfile.
        for name in ["a\nURL https:", "Upper", "a b"] {
            lab.file(lab.project(name).join("SKILL.md"), FRONT);
            refused(lab, &[name], &["has no name that a skill may have"]);
        }
        // SKILL.md, or the script, as a way out of the skill's folder.
        skill(lab, "echo ran");
        fs::remove_file(lab.project("probe/scripts/run.sh")).expect("remove");
        lab.symlink("/bin/true", lab.project("probe/scripts/run.sh"));
        refused(lab, &["probe"], &["no executable file in `probe/scripts`"]);
        refused(
            lab,
            &["probe", "--script", "scripts/run.sh"],
            &["`scripts/run.sh` is not a file", "leads out of the skill's folder"],
        );
    });
}

#[test]
fn the_script_is_the_only_one_or_the_one_that_is_named() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("probe/SKILL.md"), FRONT);
        refused(lab, &["probe"], &["no executable file in `probe/scripts`"]);
        lab.file(lab.project("probe/scripts/data.txt"), "data\n");
        lab.script(lab.project("probe/scripts/a.sh"), "#!/bin/sh\necho a\n");
        run(lab, &["probe"]).expect_code(0);
        lab.script(lab.project("probe/scripts/b.sh"), "#!/bin/sh\necho b\n");
        lab.script(lab.project("probe/other.sh"), "#!/bin/sh\necho other\n");
        refused(lab, &["probe"], &["2 scripts", "`scripts/a.sh`, `scripts/b.sh`", "--script"]);
        for (script, said) in [("scripts/b.sh", "b\n"), ("./other.sh", "other\n")] {
            let outcome = run(lab, &["probe", "--script", script]);
            outcome.expect_code(0);
            assert_eq!(outcome.out(), said, "as {}", lab.who.name);
        }
        refused(lab, &["probe", "--script", "scripts/data.txt"], &["is not executable"]);
        refused(lab, &["probe", "--script", "scripts/none"], &["there is no `scripts/none`"]);
        refused(lab, &["probe", "--script", "scripts"], &["is not a file"]);
        for script in ["../outside/secret", "/bin/sh", "a b", "", "scripts/a.sh\nURL https://a.example"] {
            refused(lab, &["probe", "--script", script], &["is not the path of a script"]);
        }
    });
}

#[test]
fn what_a_skill_asks_for_must_be_given() {
    as_each(AGENTRC, |lab| {
        skill(lab, "cat /data/a");
        let front = "---\nname: probe\ndescription: probes\nmetadata:\n  agentrc-boundaries: |\n    MOUNT /data ro\n---\n";
        lab.file(lab.project("probe/SKILL.md"), front);
        lab.file(lab.project("data/a"), "given\n");
        refused(lab, &["probe"], &["E098", "probe/SKILL.md:6:5", "skill-run:2:1"]);
        lab.file(lab.project("ci"), "BIND ./data /other ro\n");
        refused(lab, &["probe", "--boundaries", "ci"], &["E098", "probe/SKILL.md:6:5", "ci:3:1"]);
        lab.file(lab.project("ci"), "BIND ./data /data copy\n");
        let outcome = run(lab, &["probe", "--boundaries", "ci"]);
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "given\n", "as {}", lab.who.name);
    });
}

#[test]
fn boundaries_give_more_and_say_only_what_is_theirs() {
    as_each(AGENTRC, |lab| {
        skill(lab, "cat /data/file; echo kept > /out/file");
        lab.file(lab.project("data/file"), "given\n");
        lab.directory(lab.project("out"));
        lab.file(lab.project("ci"), "BIND ./data /data ro\nBIND ./out /out rw\nTIMEOUT 60");
        let (outcome, report, _) = reported(lab, &["probe", "--boundaries", "ci"]);
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "given\n", "as {}: {report:#}", lab.who.name);
        assert_eq!(fs::read_to_string(lab.project("out/file")).expect("out/file"), "kept\n");
        for line in ["AGENT x", "CMD /bin/sh", "SKILL ./other"] {
            lab.file(lab.project("ci"), format!("# mine\n{line}\n"));
            let keyword = line.split(' ').next().expect("a word");
            refused(lab, &["probe", "--boundaries", "ci"], &[&format!("do not have `{keyword}`"), "ci:2:1"]);
        }
        for (text, expected) in [
            ("POLICY\n", ["E008", "ci:1:1"]),
            ("SOP\ntext\n", ["E008", "ci:1:1"]),
            ("DENY invoke probe\n", ["E050", "both allowed and denied"]),
            ("MCP files\n", ["E095", "ci:1:1"]),
            ("TRACE on\n", ["not yet enforced", "ci:1:1"]),
            ("URL example\n", ["E013", "ci:1:5"]),
        ] {
            lab.file(lab.project("ci"), text);
            refused(lab, &["probe", "--boundaries", "ci"], &expected);
        }
        let outside = format!("BIND {} /data ro\n", lab.path("outside").display());
        lab.file(lab.project("ci"), outside);
        refused(lab, &["probe", "--boundaries", "ci"], &["nobody consented", "--grant", "ci:1:1"]);
        skill(lab, "cat /data/canary");
        let outcome = run(lab, &["probe", "--boundaries", "ci", "--grant"]);
        assert_eq!(outcome.out(), "untouched\n", "as {}: {}", lab.who.name, outcome.stderr);
        refused(lab, &["probe", "--boundaries", "none"], &["cannot read `none`"]);
    });
}

#[test]
fn nobody_is_waited_for_where_an_approval_is_asked_for() {
    as_each(AGENTRC, |lab| {
        skill(lab, "/agentrc/tools/shell --command 'echo done' 2>&1; exit $?");
        lab.file(
            lab.project("ci"),
            "TOOL utcp:shell\nPOLICY\n@approval(\"it commands\") permit(principal, action == AgentRC::Action::\"tool.invoke\", resource);\nEND\n",
        );
        let outcome = run(lab, &["probe", "--boundaries", "ci"]);
        outcome.expect_code(77);
        assert!(outcome.out().contains("--approve-none"), "as {}: {}", lab.who.name, outcome.out());
    });
}

#[test]
fn a_run_that_is_kept_is_a_run_like_others() {
    as_each(AGENTRC, |lab| {
        skill(lab, "exit 4");
        let outcome = lab.finish_command(command(lab, &["probe", "--keep", "--json", "report.json"]));
        outcome.expect_code(4);
        let report = json(&fs::read(lab.project("report.json")).expect("report.json"));
        assert_eq!(report["audit"]["kept"], true);
        assert_eq!(report["audit"]["run"].as_str(), Some(lab.last_run().as_str()), "as {}", lab.who.name);
        let verified = lab.finish_command(lab.agentrc(["audit", "verify", "latest"]));
        verified.expect_code(0);
        assert!(
            verified.out().contains(report["audit"]["head"].as_str().expect("a head")),
            "{}",
            verified.out()
        );
    });
}

#[test]
fn signals_and_wrong_words_are_as_with_run() {
    as_each(AGENTRC, |lab| {
        skill(lab, "trap 'echo heard; exit 9' TERM; echo ready; while :; do sleep 0.05; done");
        let child = Child::start(lab, command(lab, &["probe"]));
        child.wait_for("ready");
        child.signal(rustix::process::Signal::TERM);
        let outcome = child.finish();
        outcome.expect_code(9);
        assert_eq!(outcome.out(), "ready\nheard\n", "as {}", lab.who.name);
        nothing_is_left(lab);
        run(lab, &["probe", "--nonsense"]).expect_code(125);
        run(lab, &["probe", "--timeout", "0"]).expect_code(125);
        run(lab, &[]).expect_code(125);
        // Bytes that are no text reach the script as they are.
        skill(lab, "printf %s \"$1\"");
        let mut odd = command(lab, &["probe", "--"]);
        odd.arg(OsStr::from_bytes(b"\xff\xfe"));
        assert_eq!(lab.finish_command(odd).stdout, b"\xff\xfe");
    });
}

#[test]
fn the_plan_is_shown_and_nothing_is_executed() {
    as_each(AGENTRC, |lab| {
        skill(lab, "echo ran");
        let outcome = run(lab, &["probe", "--plan", "--timeout", "5"]);
        outcome.expect_code(0);
        for line in [
            "  SKILL ./probe\n",
            "  CMD /agentrc/skills/probe/scripts/run.sh\n",
            "  TIMEOUT 5\n",
            "plan sha256:",
        ] {
            assert!(outcome.out().contains(line), "as {}: `{line}` in\n{}", lab.who.name, outcome.out());
        }
        assert!(!outcome.out().contains("ran\n"));
    });
}
