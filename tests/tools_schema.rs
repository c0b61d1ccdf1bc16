//! `agentrc tools schema`: a program is asked for its schema in a sandbox that has nothing, and what it says is judged before it is
//! kept.

#![allow(clippy::expect_used)]

use std::fs;

use agentrc_test_support::{Lab, Outcome, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const SAID: &str = r#"{"inputSchema": {"type": "object", "properties": {"b": {"type": "string"}}}, "description": "Probes."}"#;

/// Asks a program that is `script`; nothing of the run is left.
#[track_caller]
fn ask(lab: &Lab, script: &str, words: &[&str]) -> Outcome {
    lab.script(lab.project("tools/probe"), &format!("#!/bin/sh\n{script}\n"));
    lab.directory(lab.path("tmp"));
    let mut command = lab.agentrc(["tools", "schema"].iter().chain(words));
    command.env("TMPDIR", lab.path("tmp"));
    let outcome = lab.finish_command(command);
    let left = fs::read_dir(lab.path("tmp")).expect("tmp").count();
    assert_eq!(left, 0, "as {}: {}", lab.who.name, outcome.stderr);
    outcome
}

#[test]
fn what_a_program_says_of_itself_is_printed_and_kept_and_used() {
    as_each(AGENTRC, |lab| {
        let script = format!("[ \"$*\" = --agentrc-schema ] || exec echo called\necho '{SAID}'");
        let printed = ask(lab, &script, &["./tools/probe"]);
        printed.expect_code(0);
        assert!(
            printed.out().starts_with("{\n  \"description\": \"Probes.\""),
            "as {}: {}",
            lab.who.name,
            printed.out()
        );
        let beside = lab.project("tools/probe.schema.json");
        assert!(!beside.exists());

        ask(lab, &script, &["./tools/probe", "--write"]).expect_code(0);
        assert_eq!(fs::read_to_string(&beside).expect("the schema"), printed.out());
        // A new file only, unless it is said; then it is not even executed.
        fs::write(&beside, "mine").expect("write");
        let again = ask(lab, &script, &["./tools/probe", "--write"]);
        again.expect_code(1);
        assert!(again.stderr.contains("--force"), "{}", again.stderr);
        assert_eq!(fs::read_to_string(&beside).expect("mine"), "mine");
        ask(lab, &script, &["./tools/probe", "--write", "--force"]).expect_code(0);
        assert_eq!(fs::read_to_string(&beside).expect("the schema"), printed.out());
        assert_eq!(fs::read_dir(lab.project("tools")).expect("tools").count(), 2);

        lab.script(lab.project("go.sh"), "echo '{}' | /agentrc/tools/probe\n");
        let ran = lab.run("AGENT x\nTOOL local:./tools/probe\nALLOW invoke probe\nCMD /bin/sh ./go.sh\n");
        assert!(ran.out().contains("called"), "as {}: {}", lab.who.name, ran.stderr);
    });
}

#[test]
fn the_program_has_no_network_and_no_files_of_the_host() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("tools/secret"), "secret\n");
        let secret = lab.project("tools/secret");
        let ran = lab.project("tools/ran");
        let script = format!(
            "cat /etc/resolv.conf '{}' /agentrc/src/secret >&2\ntouch '{}'\ntouch /agentrc/src/ran\nls /sys/class/net >&2\necho '{SAID}'",
            secret.display(),
            ran.display()
        );
        let outcome = ask(lab, &script, &["./tools/probe"]);
        outcome.expect_code(0);
        assert!(
            !outcome.stderr.contains("secret\nsecret")
                && !outcome.stderr.lines().any(|line| line == "secret"),
            "{}",
            outcome.stderr
        );
        assert!(!ran.exists(), "as {}", lab.who.name);
    });
}

#[test]
fn what_is_no_schema_is_neither_printed_nor_kept() {
    as_each(AGENTRC, |lab| {
        for (script, wanted) in [
            ("echo no", "is not JSON"),
            ("echo '[]'", "is not a JSON object"),
            ("echo '{\"type\": \"object\"}'", "does not say what the tool does"),
            ("echo '{\"description\": \"a\", \"description\": \"b\"}'", "twice"),
            ("true", "is not JSON"),
            ("head -c 70000 /dev/zero", "prints 70000 bytes"),
            ("exit 3", "ended with 3"),
            ("kill -9 $$", "ended with 137"),
            ("printf '{\"description\": \"\\033[2J\", \"type\": \"object\"}'", "is not JSON"),
        ] {
            let outcome = ask(lab, script, &["./tools/probe", "--write"]);
            outcome.expect_code(1);
            assert!(outcome.stderr.contains(wanted), "as {}: {script}: {}", lab.who.name, outcome.stderr);
            assert_eq!(outcome.out(), "", "{script}");
            assert!(!lab.project("tools/probe.schema.json").exists(), "{script}");
        }
        for (program, wanted) in [
            ("./tools/none", "there is no"),
            ("./tools", "is not a file"),
            ("./tools/a b", "no name that a tool may have"),
        ] {
            let outcome = ask(lab, "true", &[program]);
            outcome.expect_code(1);
            assert!(outcome.stderr.contains(wanted), "as {}: {}", lab.who.name, outcome.stderr);
        }
    });
}

#[test]
fn a_program_that_hangs_is_ended() {
    as_each(AGENTRC, |lab| {
        let outcome = ask(lab, "sleep 1000", &["./tools/probe"]);
        outcome.expect_code(1);
        assert!(outcome.stderr.contains("after 10 s"), "as {}: {}", lab.who.name, outcome.stderr);
    });
}
