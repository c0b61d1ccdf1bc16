//! Approvals by a person: a call waits, another process decides, and what was decided is decided again by policy. As root and as an
//! ordinary user.

#![allow(clippy::expect_used)]

use std::time::Duration;

use agentrc_test_support::broker::python;
use agentrc_test_support::outcome::{Child, within};
use agentrc_test_support::{Lab, Outcome, as_each};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const ANYTHING: &str = r#"{"description": "A tool of the test's.", "inputSchema": {"type": "object"}}"#;
/// A tool that says what it was given, and whose calls a person approves.
const ASKED: &str = "AGENT asker\nTOOL local:./tools/probe\nPOLICY\n@id(\"ask\") @approval(\"it probes\") permit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"probe\");\nEND\n";
const PROBE: &str = "#!/bin/sh\nread -r given\necho \"{\\\"given\\\": $given}\"\n";

fn prepare(lab: &Lab, agentfile: &str, code: &str) -> std::path::PathBuf {
    lab.script(lab.project("tools/probe"), PROBE);
    lab.file(lab.project("tools/probe.schema.json"), ANYTHING);
    lab.script(lab.project("go.sh"), &python(code));
    lab.agentfile(&format!("{agentfile}CMD /bin/sh ./go.sh\n"))
}

/// Starts a run whose agent executes `code`.
fn start(lab: &Lab, agentfile: &str, code: &str, options: &[&str]) -> Child {
    let path = prepare(lab, agentfile, code);
    let mut command = lab.agentrc(["run"]);
    command.args(options).arg(path);
    Child::start(lab, command)
}

/// `agentrc approvals` in another process of the same user.
#[track_caller]
fn approvals(lab: &Lab, words: &[&str]) -> Outcome {
    lab.finish_command(lab.agentrc([&["approvals"], words].concat()))
}

/// The tickets that wait, once there are so many.
#[track_caller]
fn waiting(lab: &Lab, child: &Child, number: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let there = within(Duration::from_secs(20), || {
        let listed: Value =
            serde_json::from_slice(&approvals(lab, &["--json"]).stdout).expect("JSON of the list");
        found = listed["tickets"].as_array().expect("tickets").clone();
        found.len() >= number
    });
    assert!(there && found.len() == number, "as {}: {found:#?}{}{}", lab.who.name, child.out(), child.err());
    found
}

fn id(ticket: &Value) -> &str {
    ticket["ticket"]["id"].as_str().expect("an id")
}

/// The one ticket that waits.
#[track_caller]
fn only(lab: &Lab, child: &Child) -> String {
    id(&waiting(lab, child, 1)[0]).to_owned()
}

/// Outcomes, scopes and deciders on record, in order.
fn decided(outcome: &Outcome) -> Vec<(String, String, Option<u64>)> {
    let text = |event: &Value, name: &str| event[name].as_str().expect(name).to_owned();
    outcome
        .events_named("approval.decided")
        .iter()
        .map(|event| (text(event, "outcome"), text(event, "scope"), event["by"].as_u64()))
        .collect()
}

#[track_caller]
fn end(child: Child) -> Outcome {
    let outcome = child.finish();
    assert_eq!(outcome.code(), 0, "{}{}", outcome.out(), outcome.stderr);
    outcome
}

const CALL: &str = "b = Broker()\nsay(b.call('probe', a=1))";

#[test]
fn another_process_approves_and_the_call_goes_on() {
    as_each(AGENTRC, |lab| {
        let child = start(lab, ASKED, CALL, &[]);
        let ticket = only(lab, &child);
        assert!(child.err().contains(&format!("agentrc approvals approve {ticket}")), "{}", child.err());
        let shown = approvals(lab, &["show", &ticket]);
        for wanted in ["call probe", "{\"a\":1}", "it probes", "ask [Agentfile:4:", "asker", "pending"] {
            assert!(shown.out().contains(wanted), "as {}: {wanted}: {}", lab.who.name, shown.out());
        }
        approvals(lab, &["approve", &ticket]).expect_code(0);
        let outcome = end(child);
        assert_eq!(outcome.out(), "ok {\"given\":{\"a\":1}}\n", "as {}", lab.who.name);
        let uid = Some(u64::from(lab.who.uid));
        assert_eq!(decided(&outcome), [("approved".to_owned(), "once".to_owned(), uid)]);
        // On record in this order, and about the same arguments.
        let order = ["approval.asked", "approval.decided", "broker.call", "broker.result"];
        let told: Vec<_> = outcome
            .events
            .iter()
            .filter(|event| event["event"] != "run.armed" && event["event"] != "run.ended")
            .collect();
        let names: Vec<_> = told.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!(names, order);
        assert!(told.iter().take(3).all(|event| event["arguments_sha256"] == told[0]["arguments_sha256"]));
        assert!(approvals(lab, &[]).out().contains("nothing waits"));
        let again = approvals(lab, &["approve", &ticket]);
        assert!(
            again.code() == 1 && again.stderr.contains("cannot be decided: it was approved"),
            "{}",
            again.stderr
        );
    });
}

#[test]
fn a_person_denies_and_other_calls_go_on_meanwhile() {
    as_each(AGENTRC, |lab| {
        let agentfile = format!("{ASKED}TOOL utcp:current_time\nALLOW invoke utcp:current_time\n");
        let code = "a, b = Broker(), Broker()\n\
            a.send({'jsonrpc': '2.0', 'id': 9, 'method': 'tools/call', 'params': {'name': 'probe', 'arguments': {}}})\n\
            a.number = 8\n\
            say(b.call('current_time')[:3])\n\
            say(a.ask('ping') is not None)\n\
            say(b.call('probe', x=2))";
        let child = start(lab, &agentfile, code, &[]);
        child.wait_for("ok ");
        let tickets = waiting(lab, &child, 2);
        let arguments: Vec<_> = tickets.iter().map(|ticket| &ticket["ticket"]["arguments"]).collect();
        assert_eq!(arguments, ["{}", "{\"x\":2}"], "as {}", lab.who.name);
        for ticket in &tickets {
            approvals(lab, &["deny", id(ticket)]).expect_code(0);
        }
        let outcome = end(child);
        assert!(
            outcome
                .out()
                .contains("refused `probe` is refused: a person must approve it, and a person denied it"),
            "as {}: {}",
            lab.who.name,
            outcome.out()
        );
        assert_eq!(decided(&outcome).len(), 2);
        assert!(
            decided(&outcome)
                .iter()
                .all(|(word, scope, by)| word == "denied" && scope.is_empty() && by.is_some())
        );
        assert_eq!(outcome.events_named("broker.call").len(), 1);
    });
}

/// What the host's configuration of this lab's identity says; root has none in its home, but by `XDG_CONFIG_HOME`.
fn configure(lab: &Lab, text: &str) {
    lab.file(lab.path("home/.config/agentrc/agentrc.toml"), text);
}

#[test]
fn what_nobody_decides_in_time_is_denied() {
    as_each(AGENTRC, |lab| {
        configure(lab, "[approvals]\nexpires_seconds = 1\n");
        let child = start(lab, ASKED, CALL, &[]);
        let outcome = end(child);
        assert!(
            outcome.out().contains("nobody decided within 1 s"),
            "as {}: {}",
            lab.who.name,
            outcome.out()
        );
        assert_eq!(decided(&outcome), [("expired".to_owned(), String::new(), None)]);
        let listed = approvals(lab, &["list", "--all"]);
        assert!(listed.out().contains("expired"), "{}", listed.out());
        assert!(outcome.events_named("broker.call").is_empty());
    });
}

#[test]
fn a_ticket_ends_with_its_run_however_that_ends() {
    as_each(AGENTRC, |lab| {
        let child = start(
            lab,
            ASKED,
            "import os\nif os.fork() == 0:\n    say(Broker().call('probe'))\nelse:\n    import time; time.sleep(3)",
            &[],
        );
        let ticket = only(lab, &child);
        let outcome = end(child);
        assert_eq!(decided(&outcome), [("denied".to_owned(), String::new(), None)], "as {}", lab.who.name);
        let late = approvals(lab, &["approve", &ticket]);
        assert!(late.code() == 1 && late.stderr.contains("cannot be decided"), "{}", late.stderr);
        // A supervisor that is killed closes nothing.
        let child = start(lab, ASKED, CALL, &[]);
        let ticket = only(lab, &child);
        lab.supervisor_was_killed();
        child.signal(rustix::process::Signal::KILL);
        drop(child.finish());
        let late = approvals(lab, &["approve", &ticket]);
        assert!(late.code() == 1 && late.stderr.contains("has ended"), "{}", late.stderr);
        assert!(approvals(lab, &[]).out().contains("nothing waits"));
    });
}

#[test]
fn whoever_stops_waiting_takes_the_question_back() {
    as_each(AGENTRC, |lab| {
        let code = "import time\nb = Broker()\nb.send({'jsonrpc': '2.0', 'id': 9, 'method': 'tools/call', 'params': {'name': 'probe', 'arguments': {}}})\ntime.sleep(2)\nb.socket.close()\ntime.sleep(2)\nsay('gone')";
        let child = start(lab, ASKED, code, &[]);
        let ticket = only(lab, &child);
        child.wait_for("gone");
        let late = approvals(lab, &["approve", &ticket]);
        assert_eq!(late.code(), 1, "as {}: {}", lab.who.name, late.out());
        let outcome = end(child);
        assert_eq!(decided(&outcome), [("denied".to_owned(), String::new(), None)]);
        assert!(outcome.events_named("broker.call").is_empty());
    });
}

#[test]
fn an_approval_for_the_run_holds_for_the_same_arguments_and_so_often() {
    as_each(AGENTRC, |lab| {
        let code = "b = Broker()\nfor n in range(3): say(n, b.call('probe', a=1))\nsay(b.call('probe', a=2))\nsay(b.call('probe', a=1))";
        let child = start(lab, ASKED, code, &[]);
        let first = only(lab, &child);
        approvals(lab, &["approve", &first, "--for-run", "--count", "3"]).expect_code(0);
        // Three went through; the fourth has other arguments.
        child.wait_for("2 ok");
        let other = waiting(lab, &child, 1);
        assert_eq!(other[0]["ticket"]["arguments"], "{\"a\":2}", "as {}", lab.who.name);
        approvals(lab, &["deny", id(&other[0])]).expect_code(0);
        // And it is used up.
        let fifth = waiting(lab, &child, 1);
        assert_eq!(fifth[0]["ticket"]["arguments"], "{\"a\":1}");
        approvals(lab, &["deny", id(&fifth[0])]).expect_code(0);
        let outcome = end(child);
        let words: Vec<_> =
            decided(&outcome).into_iter().map(|(word, scope, _)| format!("{word} {scope}")).collect();
        assert_eq!(
            words,
            ["approved run, 3 times", "approved run, 1 times", "approved run, 0 times", "denied ", "denied "]
        );
        assert_eq!(outcome.events_named("broker.call").len(), 3);
    });
}

#[test]
fn ten_wait_at_once_and_policy_decides_again_after_each() {
    as_each(AGENTRC, |lab| {
        // Nine are one too many for the policy, whatever a person says.
        let agentfile = ASKED.replace(
            "resource == AgentRC::Tool::\"probe\")",
            "resource == AgentRC::Tool::\"probe\") when { context.call_count <= 9 }",
        );
        let code = "import threading\n\
            out = []\n\
            def one(n): out.append(Broker().call('probe', n=n))\n\
            all = [threading.Thread(target=one, args=(n,)) for n in range(10)]\n\
            for t in all: t.start()\n\
            for t in all: t.join()\n\
            for line in sorted(out): say(line)";
        let child = start(lab, &agentfile, code, &[]);
        for ticket in waiting(lab, &child, 10) {
            approvals(lab, &["approve", id(&ticket)]).expect_code(0);
        }
        let outcome = end(child);
        let (out, name) = (outcome.out(), &lab.who.name);
        assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), 9, "as {name}: {out}");
        let refused: Vec<_> = out.lines().filter(|line| line.starts_with("refused ")).collect();
        assert!(
            refused.len() == 1 && refused[0].contains("nothing in") && refused[0].contains("was approved"),
            "{out}"
        );
        assert_eq!(outcome.events_named("broker.call").len(), 9);
        assert!(decided(&outcome).iter().all(|(word, _, _)| word == "approved"));
    });
}

#[test]
fn limits_count_after_the_approval() {
    as_each(AGENTRC, |lab| {
        let code = "b = Broker()\nsay(b.call('probe', n=1))\nsay(b.call('probe', n=2))";
        let child = start(lab, &format!("{ASKED}RATELIMIT local:./tools/probe 1/hour\n"), code, &[]);
        for _ in 0..2 {
            let ticket = only(lab, &child);
            approvals(lab, &["approve", &ticket]).expect_code(0);
            within(Duration::from_secs(5), || {
                approvals(lab, &[]).out().contains("nothing") || only(lab, &child) != ticket
            });
        }
        let out = end(child).out();
        assert!(
            out.starts_with("ok ") && out.contains("the limit `local:./tools/probe`"),
            "as {}: {out}",
            lab.who.name
        );
    });
}

#[test]
fn more_than_a_person_can_look_at_is_refused() {
    as_each(AGENTRC, |lab| {
        let code = "import threading\n\
            say(Broker().call('probe', a='x' * 300000))\n\
            out = []\n\
            def one(n): out.append(Broker().call('probe', n=n))\n\
            all = [threading.Thread(target=one, args=(n,)) for n in range(14)]\n\
            for t in all: t.start()\n\
            for t in all: t.join()\n\
            for line in sorted(out): say(line)";
        let child = start(lab, ASKED, code, &[]);
        let tickets = waiting(lab, &child, 12);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(waiting(lab, &child, 12).len(), tickets.len());
        for ticket in tickets {
            approvals(lab, &["deny", id(&ticket)]).expect_code(0);
        }
        let out = end(child).out();
        assert!(out.contains("longer than anybody can look at"), "as {}: {out}", lab.who.name);
        let many = out.lines().filter(|line| line.contains("12 calls wait for one already"));
        assert_eq!(many.count(), 2, "{out}");
    });
}

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
fn approve_none_denies_at_once_and_on_record() {
    as_each(AGENTRC, |lab| {
        let outcome = end(start(lab, ASKED, CALL, &["--approve-none"]));
        assert!(
            outcome.out().starts_with("refused ") && outcome.out().contains("--approve-none"),
            "as {}: {}",
            lab.who.name,
            outcome.out()
        );
        assert_eq!(decided(&outcome), [("denied".to_owned(), String::new(), None)]);
        assert!(!outcome.stderr.contains("waits for a person"), "{}", outcome.stderr);
        assert!(approvals(lab, &["list", "--all"]).out().contains("nothing waits"));
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
            t.start(); time.sleep(2)\n\
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
        let child = start(lab, &format!("{ASKED}BIND ./work /work rw\n"), &code, &[]);
        let ticket = only(lab, &child);
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

#[test]
fn the_host_asks_whatever_the_policies_say() {
    as_each(AGENTRC, |lab| {
        configure(lab, "[approvals]\nrequire = [\"tool.invoke probe\"]\n");
        let agentfile = "AGENT asker\nTOOL local:./tools/probe\nALLOW invoke local:./tools/probe\n";
        let child = start(lab, agentfile, CALL, &[]);
        let tickets = waiting(lab, &child, 1);
        let asked = tickets[0]["ticket"]["policies"][0]["origin"].as_str().expect("an origin");
        assert!(asked.ends_with("agentrc.toml:2:12"), "as {}: {asked}", lab.who.name);
        approvals(lab, &["approve", id(&tickets[0])]).expect_code(0);
        assert!(end(child).out().starts_with("ok "));
    });
}

const SCHEMA: &str =
    r#"{"definitions": {"Note": {"type": "object", "properties": {"text": {"type": "string"}}}}}"#;
const MEMORY: &str =
    "AGENT keeper\nMEMORY notes ./notes.json schema:Note mode:rw\nTOOL utcp:shell\nALLOW invoke utcp:shell\n";
const REMEMBER: &str = "b = Broker()\nsay(b.call('shell', command='echo x')[:2])\nsay(b.call('memory.write', key='k', value={'text': 'told'}))\nsay(b.call('memory.read', key='k'))";

#[test]
fn a_memory_is_changed_by_untrusted_content_when_a_person_has_seen_just_that() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("notes.json"), SCHEMA);
        configure(lab, "[memory]\nuntrusted = \"ask\"\n");
        let child = start(lab, MEMORY, REMEMBER, &[]);
        let tickets = waiting(lab, &child, 1);
        let effect = tickets[0]["ticket"]["effect"].as_str().expect("an effect");
        assert!(
            effect.contains("write `k` = {\"text\":\"told\"}") && effect.contains("content from: tool"),
            "as {}: {effect}",
            lab.who.name
        );
        approvals(lab, &["approve", id(&tickets[0])]).expect_code(0);
        let out = end(child).out();
        assert!(
            out.contains("ok {\"key\":\"k\",\"version\":1}") && out.contains("\"trust\":\"tool\""),
            "as {}: {out}",
            lab.who.name
        );
        // Denied, it stays as it was.
        let child = start(lab, MEMORY, &REMEMBER.replace("told'", "other'"), &[]);
        approvals(lab, &["deny", &only(lab, &child)]).expect_code(0);
        let out = end(child).out();
        assert!(out.contains("refused ") && out.contains("\"told\""), "{out}");
    });
}

#[test]
fn an_approved_permit_confirms_unless_the_host_refuses() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("notes.json"), SCHEMA);
        let agentfile = format!(
            "{MEMORY}POLICY\n@approval(\"it remembers\") permit(principal, action == AgentRC::Action::\"memory.write\", resource);\nEND\n"
        );
        let child = start(lab, &agentfile, REMEMBER, &[]);
        let tickets = waiting(lab, &child, 1);
        assert!(tickets[0]["ticket"]["effect"].as_str().is_some_and(|effect| effect.contains("told")));
        approvals(lab, &["approve", id(&tickets[0])]).expect_code(0);
        let out = end(child).out();
        assert!(out.contains("ok {\"key\":\"k\",\"version\":1}"), "as {}: {out}", lab.who.name);
        configure(lab, "[memory]\nuntrusted = \"refuse\"\n");
        let outcome = end(start(lab, &agentfile, REMEMBER, &[]));
        assert!(
            outcome.out().contains("untrusted = \"refuse\"") && decided(&outcome).is_empty(),
            "{}",
            outcome.out()
        );
    });
}

#[test]
fn a_memory_that_changed_meanwhile_is_not_what_was_approved() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("notes.json"), SCHEMA);
        configure(lab, "[memory]\nuntrusted = \"ask\"\n");
        let code = "import threading\nb = Broker()\nb.call('shell', command='true')\nout = []\n\
            def one(n): out.append(Broker().call('memory.write', key='k', value={'text': str(n)}))\n\
            all = [threading.Thread(target=one, args=(n,)) for n in range(2)]\n\
            for t in all: t.start()\n\
            for t in all: t.join()\n\
            for line in sorted(out): say(line)";
        let child = start(lab, MEMORY, code, &[]);
        for ticket in waiting(lab, &child, 2) {
            approvals(lab, &["approve", id(&ticket)]).expect_code(0);
        }
        let out = end(child).out();
        assert!(
            out.contains("ok {\"key\":\"k\",\"version\":1}") && out.starts_with("error "),
            "as {}: {out}",
            lab.who.name
        );
    });
}

#[test]
fn an_approval_that_nobody_can_be_asked_for_is_refused_before_the_start() {
    as_each(AGENTRC, |lab| {
        for (action, wanted) in [
            ("action", "on every action"),
            ("action == AgentRC::Action::\"network.egress\"", "on network.egress"),
            (
                "action in [AgentRC::Action::\"tool.invoke\", AgentRC::Action::\"cred.resolve\"]",
                "on cred.resolve",
            ),
        ] {
            let agentfile = format!(
                "AGENT x\nURL https://api.example.com\nPOLICY\n@approval(\"it asks\") permit(principal, {action}, resource);\nEND\nCMD /bin/true\n"
            );
            let outcome = lab.run(&agentfile);
            outcome.expect_refusal(&[wanted, "name these in its scope", "Agentfile:4:1"]);
        }
    });
}
