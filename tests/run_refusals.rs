//! What is not enforced is refused, with file, line and column, and nothing runs. The cases that the specification names are
//! here by its names.

use agentrc_test_support::{Lab, Outcome, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Runs these lines with a command that would show that it ran.
fn run(lab: &Lab, lines: &str) -> Outcome {
    lab.directory(lab.project("rw"));
    lab.script(lab.project("go.sh"), "echo ran > /work/ran; echo ran\n");
    lab.run(&format!("AGENT refused\nBIND ./rw /work rw\n{lines}\nCMD /bin/sh ./go.sh\n"))
}

#[track_caller]
fn refused(lab: &Lab, lines: &str, words: &[&str]) {
    let outcome = run(lab, lines);
    outcome.expect_code(125);
    for word in words {
        assert!(
            outcome.stderr.contains(word),
            "as {}: `{word}` is not in the refusal of\n{lines}\n{}",
            lab.who.name,
            outcome.stderr
        );
    }
    assert_eq!(outcome.out(), "", "as {}: something ran: {lines}", lab.who.name);
    assert!(!lab.project("rw/ran").exists(), "as {}: the command was executed: {lines}", lab.who.name);
}

#[test]
fn what_needs_a_later_part_is_refused_with_its_place() {
    as_each(AGENTRC, |lab| {
        for lines in [
            "TOOL strands:shell",
            "MCP registry://example/files@1.0.0",
            "FUNCTION s",
            "SKILL review",
            "SKILL ghcr.io/example/skill:1",
            "TRACE otlp://127.0.0.1:4317",
            "TOOLSET registry://example.com/tools@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            let _ = std::fs::remove_file(lab.project("rw/ran"));
            let outcome = run(lab, lines);
            assert_eq!(outcome.code(), 125, "as {}: {lines}: {}", lab.who.name, outcome.stderr);
            assert!(
                outcome.stderr.contains("Agentfile:3:1"),
                "as {}: {lines}: {}",
                lab.who.name,
                outcome.stderr
            );
            assert!(
                outcome.stderr.contains("not yet enforced here") || outcome.stderr.contains("not enforced"),
                "as {}: {lines}: {}",
                lab.who.name,
                outcome.stderr
            );
            assert!(
                !lab.leaked(&outcome) && !outcome.stderr.contains(&lab.secret),
                "the value of a credential is shown: {}",
                outcome.stderr
            );
            assert!(!lab.project("rw/ran").exists(), "as {}: {lines}", lab.who.name);
        }
    });
}

#[test]
fn an_image_is_refused() {
    as_each(AGENTRC, |lab| {
        for from in [
            "debian:12",
            "docker.io/library/debian@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "ghcr.io/example/agent:1.0",
        ] {
            let outcome = run(lab, &format!("FROM {from}"));
            outcome.expect_code(125);
            assert!(
                outcome.stderr.contains("Agentfile:3:") && outcome.stderr.contains(from),
                "{}",
                outcome.stderr
            );
            assert!(!lab.project("rw/ran").exists());
        }
    });
}

#[test]
fn all_reasons_are_given_at_once() {
    as_each(AGENTRC, |lab| {
        refused(
            lab,
            "TRACE otlp://127.0.0.1:4317\nTOOL strands:x\nMCP registry://example/y@1",
            &["Agentfile:3:", "Agentfile:4:", "Agentfile:5:"],
        );
        refused(
            lab,
            "BINDD ./a /a\nMOUNT relative rw\nTIMEOUT soon",
            &["Agentfile:3:1", "Agentfile:4:7", "Agentfile:5:9"],
        );
    });
}

#[test]
fn a_file_that_is_no_agentfile_is_refused() {
    as_each(AGENTRC, |lab| {
        let texts: [&[u8]; 9] = [
            b"",
            b"\xef\xbb\xbfAGENT x\nCMD /bin/echo ran\n",
            b"AGENT x\nCMD /bin/echo ran\0\n",
            b"AGENT x\nCMD /bin/echo \xff\n",
            b"AGENT x\n",
            b"CMD\n",
            b"AGENT x\nAGENT y\nCMD /bin/echo ran\n",
            b"AGENT x\nCMD /bin/echo ran\nCMD /bin/echo twice\n",
            b"AGENT Not_A_Label!\nCMD /bin/echo ran\n",
        ];
        for text in texts {
            lab.file(lab.project("Agentfile"), text);
            let outcome =
                lab.finish_command(lab.agentrc(["run".as_ref(), lab.project("Agentfile").as_os_str()]));
            outcome.expect_code(125);
            assert_eq!(outcome.out(), "", "as {}: {:?}", lab.who.name, String::from_utf8_lossy(text));
        }
        for path in ["missing", "/", "/dev/null", "/dev/zero"] {
            let outcome = lab.finish_command(lab.agentrc(["run", path]));
            outcome.expect_code(125);
        }
        // A link out of the folder is not that folder's Agentfile.
        lab.file(lab.outside("Agentfile"), "AGENT x\nCMD /bin/echo ran\n");
        std::fs::remove_file(lab.project("Agentfile")).expect("remove");
        lab.symlink(lab.outside("Agentfile"), lab.project("Agentfile"));
        let outcome = lab.finish_command(lab.agentrc(["run".as_ref(), lab.project("Agentfile").as_os_str()]));
        outcome.expect_code(125);
    });
}

#[test]
fn a_wrong_command_line_is_a_refusal_and_nothing_runs() {
    as_each(AGENTRC, |lab| {
        let path = lab.agentfile("AGENT x\nCMD /bin/echo ran\n").display().to_string();
        for words in [
            vec!["run", "--no-such-flag", &path],
            vec!["run", &path, "extra"],
            vec!["run", "--grant=maybe", &path],
            vec!["run", "--insecure", &path],
            vec!["run", "--privileged", &path],
        ] {
            let outcome = lab.finish_command(lab.agentrc(words.clone()));
            outcome.expect_code(125);
            assert_eq!(outcome.out(), "", "{words:?}");
        }
        assert_eq!(lab.finish_command(lab.agentrc(["no-such-command"])).code(), 2);
    });
}

#[test]
fn no_variable_weakens_a_run() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.path("home/.config/agentrc.toml"), "[enforcement]\nrequire = []\n");
        lab.file(lab.project(".agentrc.toml"), "grant = true\n");
        let path = lab.agentfile(&format!(
            "AGENT x\nBIND {} /out ro\nCMD /bin/cat /out/secret\n",
            lab.outside("").display()
        ));
        let mut command = lab.agentrc(["run".as_ref(), path.as_os_str()]);
        for name in [
            "AGENTRC_GRANT",
            "AGENTRC_ALLOW",
            "AGENTRC_INSECURE",
            "AGENTRC_DISABLE",
            "AGENTRC_NO_SECCOMP",
            "AGENTRC_DEBUG",
            "AGENTRC_YES",
            "CI",
        ] {
            command.env(name, "1");
        }
        let outcome = lab.finish_command(command);
        outcome.expect_code(125);
        assert!(!lab.leaked(&outcome));
    });
}

// The specification's names. `oci-roundtrip` and `child-widens-forbid-fails` come with packages.

#[test]
fn core_parse_minimal() {
    as_each(AGENTRC, |lab| {
        let outcome = lab.run("AGENT minimal\nCMD /bin/echo hello\n");
        assert_eq!(
            (outcome.code(), outcome.out().as_str()),
            (0, "hello\n"),
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
    });
}

#[test]
fn core_policy_block() {
    as_each(AGENTRC, |lab| {
        let block = "POLICY\n@id(\"no-tools\")\nforbid(principal, action == AgentRC::Action::\"tool.invoke\", resource);\nEND";
        run(lab, block).expect_code(0);
        refused_without_canary(lab, "POLICY\nforbid(principal, action, resource);", &["Agentfile:3:"]);
    });
}

#[test]
fn cedar_permit() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/public"), "public\n");
        lab.script(lab.project("go.sh"), "cat /data/public\n");
        let outcome = lab.run(
            "AGENT permit\nBIND ./data /data ro\nPOLICY\npermit(principal, action == AgentRC::Action::\"filesystem.read\", resource) when { context.path like \"/data/*\" };\nEND\nCMD /bin/sh ./go.sh\n",
        );
        assert_eq!(
            (outcome.code(), outcome.out().as_str()),
            (0, "public\n"),
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
    });
}

#[test]
fn policy_unparseable_denies() {
    as_each(AGENTRC, |lab| {
        for policy in [
            "permit(principal",
            "allow everything;",
            "permit(principal, action, resource) when { context.path.startsWith(\"/x\") };",
            "# a comment\npermit(principal, action, resource);",
            "permit(principal, action, resource in [A, B]);",
        ] {
            refused(lab, &format!("POLICY\n{policy}\nEND"), &["Agentfile:4:"]);
        }
    });
}

#[test]
fn policy_eval_error_denies() {
    as_each(AGENTRC, |lab| {
        // A policy that errs in evaluation would be skipped by Cedar: it must not get as far as a run.
        for policy in [
            "forbid(principal, action, resource) when { context.nosuch == 1 };",
            "forbid(principal, action == AgentRC::Action::\"filesystem.read\", resource) when { context.path < 3 };",
            "permit(principal, action == AgentRC::Action::\"no.such\", resource);",
            "forbid(principal is AgentRC::NoSuch, action, resource);",
        ] {
            refused(lab, &format!("POLICY\n{policy}\nEND"), &["Agentfile:4:"]);
        }
    });
}

#[test]
fn forbid_overrides_permit() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/secret/key"), &lab.secret);
        lab.file(lab.project("data/public"), "public\n");
        lab.script(lab.project("go.sh"), "cat /data/public; cat /data/secret/key; exit 0\n");
        for rules in ["ALLOW read /data\nDENY read /data/secret", "DENY read /data/secret\nALLOW read /data"]
        {
            let outcome =
                lab.run(&format!("AGENT forbid\nBIND ./data /data ro\n{rules}\nCMD /bin/sh ./go.sh\n"));
            assert_eq!(outcome.out(), "public\n", "as {}: {rules}: {}", lab.who.name, outcome.stderr);
        }
        // The same target both ways is a contradiction, not a choice.
        refused(lab, "ALLOW read /work/x\nDENY read /work/x", &["Agentfile:4:", "Agentfile:3:"]);
    });
}

#[test]
fn unknown_required_directive() {
    as_each(AGENTRC, |lab| {
        refused(lab, "SECURE yes", &["Agentfile:3:1", "SECURE"]);
        refused(lab, "BIMD ./a /a ro", &["Agentfile:3:1", "BIND"]);
        refused(lab, "bind ./a /a ro", &["Agentfile:3:1", "BIND"]);
    });
}

#[test]
fn cred_value_redacted() {
    as_each(AGENTRC, |lab| {
        for words in
            [&["run"][..], &["plan"], &["plan", "--json"], &["check"], &["check", "--format", "json"]]
        {
            let path = lab
                .agentfile(
                    "AGENT creds\nCRED token env:CALLERS_SECRET host:api.example.com\nCMD /usr/bin/env\n",
                )
                .display()
                .to_string();
            let outcome = lab.finish_command(lab.agentrc(words.iter().copied().chain([path.as_str()])));
            assert!(
                !lab.leaked(&outcome) && !outcome.stderr.contains(&lab.secret),
                "as {}: {words:?} shows the value",
                lab.who.name
            );
        }
        for file in lab.runs().iter().flat_map(|run| agentrc_test_support::leftovers::snapshot(run)) {
            assert!(
                !file.1.contains(&lab.secret),
                "as {}: {} holds the value",
                lab.who.name,
                file.0.display()
            );
        }
    });
}

#[test]
fn cred_plaintext_rejected() {
    as_each(AGENTRC, |lab| {
        for source in
            ["sk-live-0123456789abcdef", "plain:hunter2", "value:hunter2", "'hunter2'", "command:cat"]
        {
            let outcome = run(lab, &format!("CRED token {source} host:api.example.com"));
            outcome.expect_code(125);
            assert!(
                outcome.stderr.contains("Agentfile:3:"),
                "as {}: {source}: {}",
                lab.who.name,
                outcome.stderr
            );
        }
    });
}

#[test]
fn audit_required_unsupported_fails() {
    as_each(AGENTRC, |lab| {
        run(lab, "AUDIT compliance").expect_code(0);
        refused_without_canary(lab, "AUDIT everything", &["Agentfile:3:"]);
        refused_without_canary(lab, "TRACE otlp://127.0.0.1:4317", &["Agentfile:3:"]);
        // The level that is asked for cannot be had: nowhere to write.
        std::fs::remove_dir_all(lab.path("state")).expect("state");
        lab.file(lab.path("state"), "a file");
        refused_without_canary(lab, "AUDIT compliance", &[]);
        std::fs::remove_file(lab.path("state")).expect("state");
    });
}

fn refused_without_canary(lab: &Lab, lines: &str, words: &[&str]) {
    let _ = std::fs::remove_file(lab.project("rw/ran"));
    refused(lab, lines, words);
}

#[test]
fn boundary_unsupported_fails() {
    as_each(AGENTRC, |lab| {
        for lines in ["ISOLATION microvm", "BACKEND firecracker", "PLUGIN gpu", "IMAGE example.com/image"] {
            refused(lab, lines, &["Agentfile:3:"]);
        }
        // One that names what this runner does is honoured.
        run(lab, "ISOLATION local").expect_code(0);
    });
}

#[test]
fn a_refusal_shows_its_place_as_the_user_named_the_file() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("below"));
        lab.file(lab.project("below/Agentfile"), "AGENT places\nMCP files\nCMD /bin/true\n");
        for (named, shown) in
            [("below", "--> below/Agentfile:2:1"), ("below/Agentfile", "--> below/Agentfile:2:1")]
        {
            let mut command = lab.agentrc(["run", named]);
            command.current_dir(lab.project(""));
            lab.finish_command(command).expect_refusal(&[shown]);
        }
    });
}
