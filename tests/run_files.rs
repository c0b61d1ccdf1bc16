//! What the lines about files do: BIND in each mode, MOUNT, and what DENY takes away.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use agentrc_test_support::leftovers::snapshot;
use agentrc_test_support::{Lab, Outcome, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn shell(lab: &Lab, lines: &str, script: &str) -> Outcome {
    lab.script(lab.project("go.sh"), script);
    lab.run(&format!("AGENT files\n{lines}\nCMD /bin/sh ./go.sh\n"))
}

/// The run this lab made last, by the name its folder has.
fn last_changes(lab: &Lab) -> String {
    let outcome = lab.finish_command(lab.agentrc(["diff", &lab.last_run(), "--names"]));
    outcome.out()
}

#[test]
fn a_read_only_bind_can_be_read_and_not_written() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/file"), "text\n");
        let before = snapshot(&lab.project("data"));
        let outcome = shell(
            lab,
            "BIND ./data /data ro",
            "cat /data/file; echo x > /data/file; echo x > /data/new; rm -f /data/file; mv /data /gone; touch /data; exit 0\n",
        );
        assert_eq!(outcome.out(), "text\n", "{}", outcome.stderr);
        assert_eq!(before, snapshot(&lab.project("data")), "as {}", lab.who.name);
    });
}

#[test]
fn a_writable_bind_is_the_hosts_own_folder() {
    as_each(AGENTRC, |lab| {
        for mode in ["rw", "direct"] {
            lab.file(lab.project("data/file"), "text\n");
            lab.file(lab.project("data/remove"), "text\n");
            shell(lab, &format!("BIND ./data /data {mode}"), "set -e; cat /data/file; echo more >> /data/file; mkdir /data/sub; echo new > /data/sub/new; rm /data/remove; mv /data/sub /data/moved\n").expect_code(0);
            assert_eq!(fs::read_to_string(lab.project("data/file")).expect("file"), "text\nmore\n");
            assert_eq!(fs::read_to_string(lab.project("data/moved/new")).expect("new"), "new\n");
            assert!(!lab.project("data/remove").exists());
            use std::os::unix::fs::MetadataExt;
            let made = fs::metadata(lab.project("data/moved/new")).expect("new");
            assert_eq!(
                (made.uid(), made.gid()),
                (lab.who.uid, lab.who.gid),
                "as {}: what it makes is the caller's",
                lab.who.name
            );
            fs::remove_dir_all(lab.project("data")).expect("clean");
        }
    });
}

#[test]
fn a_single_file_can_be_bound() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("one"), "one\n");
        lab.file(lab.project("two"), "two\n");
        let outcome = shell(
            lab,
            "BIND ./one /data/one ro\nBIND ./two /data/deep/two rw",
            "cat /data/one /data/deep/two; ls /data; echo x >> /data/deep/two; echo x >> /data/one; exit 0\n",
        );
        assert_eq!(outcome.out(), "one\ntwo\ndeep\none\n", "{}", outcome.stderr);
        assert_eq!(fs::read_to_string(lab.project("one")).expect("one"), "one\n");
        assert_eq!(fs::read_to_string(lab.project("two")).expect("two"), "two\nx\n");
    });
}

#[test]
fn a_copy_is_private_until_it_is_applied() {
    as_each(AGENTRC, |lab| {
        let make = || {
            lab.file(lab.project("data/file"), "text\n");
            lab.file(lab.project("data/remove"), "text\n");
            lab.file(lab.project("data/sub/deep"), "text\n");
        };
        let script = "set -e; cat /data/file; echo changed > /data/file; rm /data/remove; echo new > /data/new; mv /data/sub /data/moved; cat /data/file\n";
        for mode in ["copy", ""] {
            make();
            let before = snapshot(&lab.project("data"));
            let outcome = shell(lab, &format!("BIND ./data /data {mode}"), script);
            outcome.expect_code(0);
            assert_eq!(outcome.out(), "text\nchanged\n");
            assert_eq!(
                before,
                snapshot(&lab.project("data")),
                "as {}: the host's files were touched",
                lab.who.name
            );
            let changes = last_changes(lab);
            for name in ["file", "remove", "new", "moved"] {
                assert!(
                    changes.contains(name),
                    "as {}: `diff` does not show {name}:\n{changes}",
                    lab.who.name
                );
            }
            lab.finish_command(lab.agentrc(["discard", &lab.last_run()])).expect_code(0);
            assert_eq!(before, snapshot(&lab.project("data")), "as {}: discard", lab.who.name);
            shell(lab, &format!("BIND ./data /data {mode}"), script).expect_code(0);
            lab.finish_command(lab.agentrc(["apply", &lab.last_run()])).expect_code(0);
            let names: Vec<PathBuf> = snapshot(&lab.project("data")).into_keys().collect();
            assert_eq!(
                names,
                ["", "file", "moved", "moved/deep", "new"].map(PathBuf::from),
                "as {}: apply",
                lab.who.name
            );
            assert_eq!(fs::read_to_string(lab.project("data/file")).expect("file"), "changed\n");
            fs::remove_dir_all(lab.project("data")).expect("clean");
        }
    });
}

#[test]
fn a_mount_is_private_and_gone_afterwards() {
    as_each(AGENTRC, |lab| {
        let outcome = shell(
            lab,
            "MOUNT /scratch rw\nMOUNT /fixed ro",
            "set -e; ls -A /scratch /fixed; echo kept > /scratch/x; cat /scratch/x; if echo x > /fixed/x; then exit 9; fi 2>/dev/null; exit 0\n",
        );
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "/fixed:\n\n/scratch:\nkept\n", "as {}", lab.who.name);
        let outcome = shell(lab, "MOUNT /scratch rw", "ls -A /scratch\n");
        assert_eq!(outcome.out(), "", "as {}: the second run sees the first one's", lab.who.name);
    });
}

#[test]
fn binds_nest() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("outer/file"), "outer\n");
        lab.file(lab.project("outer/inner/file"), "hidden\n");
        lab.file(lab.project("inner/file"), "inner\n");
        let before = snapshot(&lab.project("inner"));
        // Written in either order: the deeper one lies on top.
        for lines in
            ["BIND ./outer /w rw\nBIND ./inner /w/inner ro", "BIND ./inner /w/inner ro\nBIND ./outer /w rw"]
        {
            let outcome = shell(
                lab,
                lines,
                "cat /w/file /w/inner/file; echo x > /w/inner/new; echo x > /w/new && echo wrote; rm /w/new; mv /w/inner /w/gone; exit 0\n",
            );
            assert_eq!(outcome.out(), "outer\ninner\nwrote\n", "as {}: {}", lab.who.name, outcome.stderr);
            assert_eq!(before, snapshot(&lab.project("inner")), "as {}", lab.who.name);
            assert_eq!(fs::read_to_string(lab.project("outer/inner/file")).expect("below"), "hidden\n");
        }
    });
}

#[test]
fn names_of_any_bytes_work_in_a_bind() {
    as_each(AGENTRC, |lab| {
        let names: [&[u8]; 5] = [b"\xff\xfe", "日本語".as_bytes(), b"a b", b"new\nline", b"-rf"];
        for name in names {
            lab.file(lab.project("data").join(std::ffi::OsStr::from_bytes(name)), "x");
        }
        let outcome = shell(
            lab,
            "BIND ./data /data rw",
            "cat /data/*; cd /data; for f in *; do echo y >> \"./$f\"; done\n",
        );
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "xxxxx");
        for name in names {
            assert_eq!(
                fs::read(lab.project("data").join(std::ffi::OsStr::from_bytes(name))).expect("file"),
                b"xy\n",
                "{name:?}"
            );
        }
    });
}

#[test]
fn a_source_that_is_missing_or_odd_is_refused_with_its_line() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("empty"));
        assert!(
            std::process::Command::new("mkfifo").arg(lab.project("pipe")).status().expect("mkfifo").success()
        );
        let _socket = std::os::unix::net::UnixListener::bind(lab.project("socket")).expect("socket");
        for source in ["./missing", "./empty/missing", "./missing/x", "./pipe", "./socket"] {
            let outcome = shell(lab, &format!("BIND {source} /work rw"), "echo ran\n");
            outcome.expect_refusal(&["Agentfile:2:", source.trim_start_matches("./")]);
            assert_eq!(outcome.out(), "", "as {}: `{source}`", lab.who.name);
        }
        assert!(!lab.project("missing").exists(), "as {}: a missing source was made", lab.who.name);
    });
}

#[test]
fn a_bind_over_the_parts_of_the_sandbox_itself_is_refused() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/file"), "x");
        for target in ["/", "/proc", "/proc/self", "/dev", "/agentrc", "/agentrc/proc", "/agentrc/src"] {
            let outcome = shell(lab, &format!("BIND ./data {target} rw"), "echo ran\n");
            outcome.expect_refusal(&["Agentfile:2:"]);
            assert_eq!(outcome.out(), "", "as {}: {target}", lab.who.name);
        }
    });
}

#[test]
fn a_deny_line_narrows_a_wider_bind() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/public"), "public\n");
        lab.file(lab.project("data/secret/key"), "hidden\n");
        lab.file(lab.project("data/token"), "hidden\n");
        lab.file(lab.project("data/fixed/file"), "fixed\n");
        let before = snapshot(&lab.project("data/fixed"));
        let outcome = shell(
            lab,
            "BIND ./data /data rw\nDENY read /data/secret\nDENY read /data/token\nDENY write /data/fixed",
            "cat /data/public; cat /data/secret/key /data/token 2>/dev/null; cat /data/fixed/file; echo x > /data/fixed/file; echo x > /data/fixed/new; echo x > /data/token; echo x > /data/secret/new; echo ok > /data/public; exit 0\n",
        );
        assert_eq!(outcome.out(), "public\nfixed\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert_eq!(before, snapshot(&lab.project("data/fixed")), "as {}", lab.who.name);
        assert_eq!(fs::read_to_string(lab.project("data/token")).expect("token"), "hidden\n");
        assert_eq!(fs::read_to_string(lab.project("data/public")).expect("public"), "ok\n");
        assert!(!lab.project("data/secret/new").exists(), "as {}", lab.who.name);
    });
}

#[test]
fn a_policy_about_files_is_lowered_or_refused() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/public"), "public\n");
        lab.file(lab.project("data/secret/key"), "hidden\n");
        let policy = |condition: &str| {
            format!(
                "BIND ./data /data rw\nPOLICY\nforbid(principal, action == AgentRC::Action::\"filesystem.read\", resource) when {{ {condition} }};\nEND"
            )
        };
        let outcome = shell(
            lab,
            &policy("context.path like \"/data/secret/*\""),
            "cat /data/public; cat /data/secret/key 2>/dev/null; exit 0\n",
        );
        assert_eq!(outcome.out(), "public\n", "as {}: {}", lab.who.name, outcome.stderr);
        // No kernel layer can hold this one.
        let outcome = shell(lab, &policy("context.path like \"*.key\""), "echo ran\n");
        outcome.expect_refusal(&["Agentfile:4:"]);
        assert_eq!(outcome.out(), "");
    });
}

#[test]
fn an_empty_root_has_only_what_is_declared() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        let linked = std::process::Command::new("sh")
            .args(["-c", &format!("ldd {} 2>&1", lab.project("attack").display())])
            .output()
            .expect("ldd");
        assert!(
            String::from_utf8_lossy(&linked.stdout).contains("not a dynamic"),
            "this test needs a static C library (libc6-dev, glibc-static)"
        );
        let outcome = lab.run("AGENT nothing\nFROM scratch\nCMD ./attack list /\n");
        outcome.expect_code(0);
        let names = lab.leaks(&outcome.stdout);
        for name in ["usr", "bin", "lib", "lib64", "root", "var", "sys", "work"] {
            assert!(!names.lines().any(|line| line == name), "as {}: /{name} in\n{names}", lab.who.name);
        }
        lab.run("AGENT nothing\nFROM scratch\nCMD /bin/sh\n").expect_code(127);
    });
}

#[test]
fn a_skill_is_shown_read_only_and_only_when_it_is_permitted() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("review/SKILL.md"), "---\nname: review\ndescription: reviews\n---\n");
        let script = "cat /agentrc/skills/review/SKILL.md 2>/dev/null; echo x > /agentrc/skills/review/SKILL.md; exit 0\n";
        let declared = shell(lab, "SKILL ./review", script);
        assert_eq!(
            (declared.code(), declared.out().as_str()),
            (0, ""),
            "as {}: declared is not permitted",
            lab.who.name
        );
        let permitted = shell(lab, "SKILL ./review\nALLOW invoke review", script);
        assert!(permitted.out().contains("name: review"), "as {}: {}", lab.who.name, permitted.stderr);
        let text = fs::read_to_string(lab.project("review/SKILL.md")).expect("the skill");
        assert!(text.contains("name: review"), "as {}: it was changed", lab.who.name);
    });
}
