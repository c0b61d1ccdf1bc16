//! Memories that content which is not trusted changes.

use agentrc_test_support::as_each;

use crate::support::*;

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
