//! What an agent, or whoever writes into the state directory, cannot do.

use agentrc_test_support::as_each;

use crate::support::*;

#[test]
fn what_an_agent_says_drives_no_terminal_and_hides_nothing() {
    as_each(AGENTRC, |lab| {
        let code = "b = Broker()\nsay(b.call('probe', a='\\x1b[2J\\x1b]0;x\\x07\\u202e\\u009b31m\\r\\nticket approved', z='y' * 20000 + 'END'))";
        let child = start(lab, ASKED, code, &[]);
        let ticket = only(lab, &child);
        let shown = approvals(lab, &["show", &ticket]);
        let listed = approvals(lab, &["list"]);
        for text in [shown.out(), listed.out(), child.err()] {
            let bad = text.chars().find(|c| (c.is_control() && *c != '\n' && *c != '\r') || *c == '\u{202e}');
            assert_eq!(bad, None, "as {}: {text:?}", lab.who.name);
        }
        assert!(!shown.out().contains("\nticket approved") && !listed.out().contains("\nticket approved"));
        assert!(shown.out().contains("yEND\"}"), "all of it is shown");
        assert!(listed.out().contains("bytes in all: agentrc approvals show"), "{}", listed.out());
        approvals(lab, &["deny", &ticket]).expect_code(0);
        end(child);
    });
}

#[test]
fn names_that_are_none_are_refused_and_reach_no_file() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.outside("planted.json"), "{}");
        for wrong in [
            "",
            "../x",
            "../../outside/planted",
            "/etc/passwd",
            "3k9mz0ta",
            "3k9mz0ta\n",
            "-",
            "3K9MZ0TA",
            "\u{1b}[2J",
            "................",
        ] {
            for command in ["show", "approve", "deny"] {
                let outcome = approvals(lab, &[command, "--", wrong]);
                assert_eq!(outcome.code(), 1, "as {}: {command} {wrong:?}: {}", lab.who.name, outcome.stderr);
                assert!(
                    outcome.stderr.contains("there is no ticket") && !outcome.stderr.contains('\u{1b}'),
                    "{}",
                    outcome.stderr
                );
            }
        }
        assert!(
            approvals(lab, &["approve", "3k9mz0ta", "--count", "2"]).code() == 2,
            "a count is of the run"
        );
        assert!(approvals(lab, &["approve", "3k9mz0ta", "--for-run", "--count", "0"]).code() == 2);
    });
}

#[test]
fn a_damaged_or_planted_decision_denies() {
    as_each(AGENTRC, |lab| {
        for planted in ["", "{\"outcome\": \"approved\"}", "link"] {
            let child = start(lab, ASKED, CALL, &[]);
            let ticket = only(lab, &child);
            let path = lab.runs().pop().expect("the run").join(format!("approvals/{ticket}.decision"));
            if planted == "link" {
                lab.symlink(lab.outside("canary"), &path);
            } else {
                lab.file(lab.path("draft"), planted);
                std::fs::set_permissions(
                    lab.path("draft"),
                    std::os::unix::fs::PermissionsExt::from_mode(0o600),
                )
                .expect("chmod");
                std::fs::rename(lab.path("draft"), &path).expect("rename");
            }
            let outcome = end(child);
            assert!(
                outcome.out().contains("what was decided cannot be read"),
                "as {}: {planted}: {}",
                lab.who.name,
                outcome.out()
            );
            assert_eq!(decided(&outcome), [("denied".to_owned(), String::new(), None)]);
            assert!(outcome.events_named("broker.call").is_empty());
        }
    });
}

#[test]
fn an_agent_cannot_see_or_approve_its_own_ticket() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        let state = lab.state().display().to_string();
        let code = format!(
            "import threading, os, time, subprocess\n\
            t = threading.Thread(target=lambda: say(Broker().call('probe', a=1)))\n\
            t.start(); wait()\n\
            seen = []\n\
            for top in ['/', '/proc/1/root', '/proc/self/cwd/..', '{state}']:\n\
            \x20   for folder, folders, files in os.walk(top):\n\
            \x20       folders[:] = [f for f in folders if f not in ('proc', 'sys', 'usr')]\n\
            \x20       seen += [f for f in files + folders if f.endswith('.decision') or f == 'approvals' or f == 'audit.jsonl']\n\
            say('seen', seen)\n\
            for path in ['{state}/runs', '/work/../../state', '/proc/1/cwd/approvals']:\n\
            \x20   try: os.listdir(path); say('open', path)\n\
            \x20   except OSError as e: say('closed')\n\
            try: os.makedirs('{state}/runs/x'); open('{state}/runs/x/y', 'w'); say('made inside')\n\
            except OSError: pass\n\
            t.join()"
        );
        let mut child = start(lab, &format!("{ASKED}BIND ./work /work rw\n"), &code, &[]);
        let ticket = only(lab, &child);
        child.send("\n");
        child.wait_for("seen");
        child.wait_for("closed\nclosed\nclosed\n");
        assert!(child.out().contains("seen []"), "as {}: {}", lab.who.name, child.out());
        assert!(!child.out().contains("open "), "{}", child.out());
        // Nothing that it made where the state directory is outside is there.
        assert!(!lab.state().join("runs/x").exists());
        assert_eq!(only(lab, &child), ticket);
        approvals(lab, &["deny", &ticket]).expect_code(0);
        end(child);
    });
}

#[test]
fn another_user_sees_no_ticket_of_this_one() {
    as_each(AGENTRC, |lab| {
        if !agentrc_test_support::identity::started_as_root() || lab.who.is_root() {
            return;
        }
        let child = start(lab, ASKED, CALL, &[]);
        let ticket = only(lab, &child);
        let mut command = std::process::Command::new(lab.binary());
        command.args(["approvals", "approve", &ticket]).env("XDG_STATE_HOME", lab.path("state"));
        let other = command.output().expect("agentrc");
        assert_ne!(other.status.code(), Some(0), "root has tickets of its own, and decides no other user's");
        approvals(lab, &["deny", &ticket]).expect_code(0);
        end(child);
    });
}
