//! Memories through the broker: kept from run to run, checked against their schema, with where each version came from; untrusted
//! content changes nothing unless the operator lets it.

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::{Lab, Outcome, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const SCHEMA: &str = r#"{"definitions": {"Note": {"type": "object", "properties": {"text": {"type": "string", "maxLength": 40}}, "required": ["text"], "additionalProperties": false}}}"#;
const RW: &str = "MEMORY notes ./notes.json schema:Note mode:rw";

#[track_caller]
fn run(lab: &Lab, lines: &str, code: &str) -> Outcome {
    lab.file(lab.project("notes.json"), SCHEMA);
    lab.script(lab.project("go.sh"), &python(code));
    let outcome = lab.run(&format!("AGENT keeper\n{lines}\nCMD /bin/sh ./go.sh\n"));
    assert_eq!(outcome.code(), 0, "as {}: {}{}", lab.who.name, outcome.out(), outcome.stderr);
    outcome
}

#[test]
fn what_is_written_is_read_by_the_next_run() {
    as_each(AGENTRC, |lab| {
        let first = run(
            lab,
            RW,
            "b = Broker()\nsay(b.call('memory.write', key='k', value={'text': 'the first words'}))\nsay(b.call('memory.write', key='k', value={'text': 'other words'}))\nsay(b.call('memory.read', key='k'))",
        );
        assert!(first.out().contains("\"version\":2"), "as {}: {}", lab.who.name, first.out());
        let second = run(
            lab,
            RW,
            "b = Broker()\nsay(b.call('memory.read', key='k'))\nsay(b.call('memory.search', query='other'))\nsay(b.call('memory.list'))\nsay(b.call('memory.delete', key='k'))\nsay(b.call('memory.read', key='k'))",
        );
        let out = second.out();
        assert!(out.lines().take(3).all(|line| line.starts_with("ok ") && line.contains("\"k\"")), "{out}");
        assert!(out.contains("other words") && out.contains("\"trust\":\"trusted\""), "{out}");
        assert!(out.ends_with("ok {\"found\":false}\n"), "{out}");
        assert_eq!(second.events_named("broker.call").len(), 5);
    });
}

#[test]
fn values_keys_and_modes_are_held() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            RW,
            "b = Broker()\nfor value in [{}, {'text': 3}, {'text': 'x' * 41}, {'text': 'x', 'more': 1}, 'x', None]:\n    say(b.call('memory.write', key='k', value=value))\nsay(b.call('memory.write', key='', value={'text': 'x'}))\nsay(b.call('memory.read', key='k'))",
        );
        let out = outcome.out();
        assert_eq!(
            out.lines().filter(|line| line.starts_with("error ")).count(),
            7,
            "as {}: {out}",
            lab.who.name
        );
        assert!(out.ends_with("ok {\"found\":false}\n"), "{out}");
        let outcome = run(
            lab,
            "MEMORY notes ./notes.json schema:Note mode:ro",
            "b = Broker()\nsay(sorted(t['name'] for t in b.ask('tools/list')['result']['tools']))\nsay(b.call('memory.write', key='k', value={'text': 'x'}))",
        );
        assert!(
            outcome.out().starts_with("['memory.list', 'memory.read', 'memory.search']\nrefused "),
            "{}",
            outcome.out()
        );
    });
}

fn forbids(action: &str, condition: &str) -> String {
    format!(
        "{RW}\nPOLICY\nforbid(principal, action == AgentRC::Action::\"{action}\", resource == AgentRC::Memory::\"notes\"){condition};\nEND"
    )
}

const LISTED: &str = "b = Broker()\nsay(sorted(t['name'] for t in b.ask('tools/list')['result']['tools']))\n";

#[test]
fn a_forbid_with_a_condition_holds_for_memories() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            &forbids("memory.write", " when { context.trust == \"trusted\" }"),
            &format!(
                "{LISTED}say(b.call('memory.write', key='k', value={{'text': 'x'}}))\nsay(b.call('memory.read', key='k'))"
            ),
        );
        let out = outcome.out();
        let lines: Vec<_> = out.lines().collect();
        let [listed, written, read] = lines[..] else { panic!("as {}: {out}", lab.who.name) };
        assert!(listed.contains("'memory.write'"), "it may hold or not: {out}");
        assert!(written.starts_with("refused ") && written.contains("Agentfile:4:"), "{out}");
        assert_eq!(read, "ok {\"found\":false}");
    });
}

/// `tools/list` shows only what could be permitted, and what it does not show cannot be called.
#[test]
fn what_is_forbidden_without_a_condition_is_no_tool_of_a_memory() {
    as_each(AGENTRC, |lab| {
        let written = run(lab, RW, "say(Broker().call('memory.write', key='k', value={'text': 'before'}))");
        assert!(written.out().starts_with("ok "), "control: {}", written.out());
        let code = format!(
            "{LISTED}say(b.call('memory.write', key='k', value={{'text': 'x'}}))\nsay(b.call('memory.delete', key='k'))\nsay(b.call('memory.read', key='k'))"
        );
        let out = run(lab, &forbids("memory.write", ""), &code).out();
        let lines: Vec<_> = out.lines().collect();
        let [listed, written, deleted, read] = lines[..] else { panic!("as {}: {out}", lab.who.name) };
        assert_eq!(listed, "['memory.list', 'memory.read', 'memory.search']");
        assert!(written.starts_with("refused ") && deleted.starts_with("refused "), "{out}");
        assert!(read.starts_with("ok ") && read.contains("before"), "{out}");

        let out = run(lab, &forbids("memory.read", ""), &code).out();
        let lines: Vec<_> = out.lines().collect();
        let [listed, written, deleted, read] = lines[..] else { panic!("as {}: {out}", lab.who.name) };
        assert_eq!(listed, "['memory.delete', 'memory.write']");
        assert!(
            written.starts_with("ok ") && deleted.starts_with("ok ") && read.starts_with("refused "),
            "{out}"
        );
    });
}

#[test]
fn what_came_from_a_tool_changes_nothing_unless_the_operator_lets_it() {
    as_each(AGENTRC, |lab| {
        let lines = format!("{RW}\nTOOL utcp:shell\nALLOW invoke utcp:shell");
        let code = "b = Broker()\nsay(b.call('memory.write', key='a', value={'text': 'own'})[:7])\nsay(b.call('shell', command='echo x')[:2])\nsay(b.call('memory.write', key='b', value={'text': 'told'}))\nsay(b.call('memory.read', key='b'))";
        let outcome = run(lab, &lines, code);
        let out = outcome.out();
        assert!(
            out.contains("refused the agent has been given content from: tool"),
            "as {}: {out}",
            lab.who.name
        );
        assert!(out.ends_with("ok {\"found\":false}\n"), "{out}");
        if lab.who.uid != 0 {
            lab.file(lab.path("home/.config/agentrc/agentrc.toml"), "[memory]\nuntrusted = \"allow\"\n");
            let outcome = run(lab, &lines, code);
            assert!(outcome.out().contains("\"trust\":\"tool\""), "{}", outcome.out());
        }
    });
}

#[test]
fn what_a_tool_says_while_it_runs_is_untrusted_too() {
    as_each(AGENTRC, |lab| {
        let code = "import os, time\nb, other = Broker(), Broker()\n\
            b.send({'jsonrpc': '2.0', 'id': 9, 'method': 'tools/call', 'params': {'name': 'shell', 'arguments': {'command': 'echo said > /tmp/out; sleep 100'}}})\n\
            while not os.path.exists('/tmp/out'): time.sleep(0.01)\n\
            say(other.call('memory.write', key='k', value={'text': 'said'}))\n\
            b.socket.close()\n\
            say(other.call('memory.write', key='k', value={'text': 'said'}))";
        let outcome = run(lab, &format!("{RW}\nTOOL utcp:shell\nALLOW invoke utcp:shell"), code);
        let out = outcome.out();
        let refused = out
            .lines()
            .filter(|line| line.starts_with("refused the agent has been given content from: tool"));
        assert_eq!(refused.count(), 2, "as {}: {out}", lab.who.name);
    });
}
