//! Who decides, for what that holds, and how a ticket ends.

use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::{as_each, servers};

use crate::support::*;

#[test]
fn another_process_approves_and_the_call_goes_on() {
    as_each(AGENTRC, |lab| {
        let child = start(lab, ASKED, CALL, &[]);
        let ticket = only(lab, &child);
        let told = format!("agentrc approvals approve {ticket}");
        assert!(within(Duration::from_secs(20), || child.err().contains(&told)), "{}", child.err());
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
        let code = "if os.fork() == 0:\n    say(Broker().call('probe'))\nelse:\n    wait()";
        let mut child = start(lab, ASKED, code, &[]);
        let ticket = only(lab, &child);
        child.send("\n");
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
        let code = "b = Broker()\nb.send({'jsonrpc': '2.0', 'id': 9, 'method': 'tools/call', 'params': {'name': 'probe', 'arguments': {}}})\nwait()\nb.socket.close()\nwait()";
        let mut child = start(lab, ASKED, code, &[]);
        let ticket = only(lab, &child);
        child.send("\n");
        assert!(within(Duration::from_secs(20), || waiting_here(lab) == 0), "as {}: it waits", lab.who.name);
        let late = approvals(lab, &["approve", &ticket]);
        assert_eq!(late.code(), 1, "as {}: {}", lab.who.name, late.out());
        child.send("\n");
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

#[test]
fn functions_and_tools_of_servers_ask_as_tools_do() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("f.py"), "def f(n: int) -> int:\n    'Adds one.'\n    return n + 1\n");
        lab.file(lab.project("own.py"), servers::SERVER);
        lab.file(lab.project("mcp.json"), servers::table(&[]));
        let agentfile = "AGENT asker\nFUNCTION ./f.py:f\nMCP own\nTOOL mcp:own.act\nPOLICY\n\
            @id(\"f\") @approval(\"it computes\") permit(principal, action == AgentRC::Action::\"function.invoke\", resource == AgentRC::Function::\"f\");\n\
            @id(\"act\") @approval(\"it acts\") permit(principal, action == AgentRC::Action::\"tool.invoke\", resource in AgentRC::MCPServer::\"own\");\nEND\n";
        let code = "b = Broker()\nsay(b.call('function.f', n=1))\nsay(b.call('own.act', n=1))\nsay(b.call('own.act', n=2))";
        let child = start(lab, agentfile, code, &[]);
        for (act, word) in
            [("call function.f", "approve"), ("call own.act", "approve"), ("call own.act", "deny")]
        {
            let ticket = only(lab, &child);
            let shown = approvals(lab, &["show", &ticket]).out();
            assert!(shown.contains(act), "as {}: {shown}", lab.who.name);
            approvals(lab, &[word, &ticket]).expect_code(0);
            assert!(within(Duration::from_secs(10), || here(lab).iter().all(|one| id(one) != ticket)));
        }
        let outcome = end(child);
        let out = outcome.out();
        assert!(out.starts_with("ok 2\nok done\nrefused "), "as {}: {out}", lab.who.name);
        assert_eq!(outcome.events_named("broker.call").len(), 2);
    });
}
