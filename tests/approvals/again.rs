//! After an approval everything is decided again; and what is asked is bounded.

use std::time::Duration;

use agentrc_test_support::as_each;
use agentrc_test_support::outcome::within;

use crate::support::*;

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
            lock = threading.Lock()\n\
            def one(n):\n\
            \x20   told = Broker().call('probe', n=n)\n\
            \x20   with lock: say(told)\n\
            all = [threading.Thread(target=one, args=(n,)) for n in range(14)]\n\
            for t in all: t.start()\n\
            for t in all: t.join()";
        let child = start(lab, ASKED, code, &[]);
        let refused =
            || child.out().lines().filter(|line| line.contains("12 calls wait for one already")).count();
        assert!(within(Duration::from_secs(30), || refused() == 2), "as {}: {}", lab.who.name, child.out());
        for ticket in waiting(lab, &child, 12) {
            approvals(lab, &["deny", id(&ticket)]).expect_code(0);
        }
        let out = end(child).out();
        assert!(out.contains("longer than anybody can look at"), "as {}: {out}", lab.who.name);
        let many = out.lines().filter(|line| line.contains("12 calls wait for one already"));
        assert_eq!(many.count(), 2, "{out}");
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
