//! How the broker and its servers end: with the run, however that ends; and the run with them.

#![allow(clippy::expect_used)]

use std::fs;
use std::time::{Duration, Instant};

use agentrc_test_support::broker::python;
use agentrc_test_support::outcome::{prompt, within};
use agentrc_test_support::servers::{self, table};
use agentrc_test_support::{as_each, audit, outside, service};
use rustix::process::Signal;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const OWN: &str = "MCP own\nTOOL mcp:own.act\nALLOW invoke mcp:own.act";

#[test]
fn a_run_that_waits_for_a_server_hears_a_signal() {
    as_each(AGENTRC, |lab| {
        // It writes more to its standard error than a pipe holds, and then greets nobody.
        let own = "import os, sys\nsys.stderr.write('x' * (1 << 20))\nsys.stderr.flush()\nos.execv('/bin/sleep', ['silent', '60'])";
        lab.file(lab.project("own.py"), own);
        lab.file(lab.project("mcp.json"), table(&[]));
        let child = lab.start(&format!("AGENT caller\n{OWN}\nCMD /bin/touch /work/ran\n"));
        let silent = || outside::all().into_iter().any(|pid| outside::command(pid).starts_with("silent"));
        assert!(within(Duration::from_secs(15), silent), "as {}: nobody hears it", lab.who.name);
        child.signal(Signal::INT);
        let outcome = child.finish();
        outcome.expect_refusal(&["signal 2 arrived before the command started"]);
        assert!(within(Duration::from_secs(5), || !silent()), "as {}", lab.who.name);
    });
}

#[test]
fn servers_end_with_the_run_however_it_ends() {
    as_each(AGENTRC, |lab| {
        // It does not hear that it is to end.
        let own =
            format!("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{}", servers::SERVER);
        lab.file(lab.project("own.py"), own);
        lab.file(lab.project("mcp.json"), table(&[]));
        lab.script(
            lab.project("go.sh"),
            &python("say(Broker().call('own.act'))\nimport time\ntime.sleep(60)"),
        );
        prompt(Duration::from_secs(1), || {
            let child = lab.start(&format!("AGENT caller\n{OWN}\nCMD /bin/sh ./go.sh\n"));
            child.wait_for("ok done");
            // Its own: another test's are called so, too.
            let serves = |pid: &u32| outside::command(*pid).contains("own.py");
            let servers: Vec<_> = outside::tree(child.pid()).into_iter().filter(serves).collect();
            assert!(!servers.is_empty(), "control");
            let killed = Instant::now();
            child.signal(Signal::KILL);
            lab.supervisor_was_killed();
            let gone = within(Duration::from_secs(20), || !servers.iter().any(serves));
            let took = killed.elapsed();
            assert!(gone, "as {}", lab.who.name);
            drop(child.finish());
            took
        });
    });
}

#[test]
fn when_the_broker_is_killed_the_run_ends_within_a_second_and_the_log_says_why() {
    as_each(AGENTRC, |lab| {
        // Without a network the broker is the supervisor's one child in its own namespaces.
        let code = "say(Broker().call('current_time')[:2])\nimport time\ntime.sleep(60)";
        lab.script(lab.project("go.sh"), &python(code));
        let lines = "TOOL utcp:current_time\nALLOW invoke utcp:current_time";
        prompt(Duration::from_secs(1), || {
            let child = lab.start(&format!("AGENT caller\n{lines}\nCMD /bin/sh ./go.sh\n"));
            child.wait_for("ok");
            let memory = outside::most_memory(outside::gateway(child.pid()));
            assert_eq!(memory, Some(service::MEMORY), "as {}", lab.who.name);
            service::killed(child, "broker")
        });
    });
}

#[test]
fn a_server_that_hears_no_sigterm_is_killed_and_its_log_has_an_end() {
    as_each(AGENTRC, |lab| {
        // Nor that nobody is there any more.
        let own = format!(
            "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{}\nimport time\ntime.sleep(60)\n",
            servers::SERVER
        );
        lab.file(lab.project("own.py"), own);
        lab.file(lab.project("mcp.json"), table(&[]));
        lab.script(lab.project("go.sh"), &python("say(Broker().call('own.act'))"));
        let outcome = lab.run(&format!("AGENT caller\n{OWN}\nCMD /bin/sh ./go.sh\n"));
        assert_eq!((outcome.code(), outcome.out().as_str()), (0, "ok done\n"), "{}", outcome.stderr);
        assert_eq!(audit::serving(&lab.state()).len(), 1, "control");
        let verified = lab.finish_command(lab.agentrc(["audit", "verify"]));
        assert_eq!(verified.code(), 0, "as {}: {}{}", lab.who.name, verified.out(), verified.stderr);
    });
}

#[test]
fn what_a_broker_could_not_say_at_the_end_is_not_passed_over() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("go.sh"), &python("say(Broker().call('current_time')[:2])\nwait()"));
        let lines = "TOOL utcp:current_time\nALLOW invoke utcp:current_time";
        let mut child = lab.start(&format!("AGENT caller\n{lines}\nCMD /bin/sh ./go.sh\n"));
        child.wait_for("ok");
        let broker = outside::gateway(child.pid());
        // It is stopped, as one that hangs: the run ends all the same, and does not end well.
        let pid = rustix::process::Pid::from_raw(i32::try_from(broker).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, Signal::STOP).expect("kill");
        child.send("\n");
        let outcome = child.finish();
        outcome.expect_code(137);
        let reason = "the broker did not end within 10 s of the agent";
        assert!(outcome.stderr.contains(reason), "as {}: {}", lab.who.name, outcome.stderr);
        assert!(outcome.events_named("run.killed")[0].to_string().contains(reason), "as {}", lab.who.name);
        assert!(!outside::all().contains(&broker), "as {}: it is left", lab.who.name);
    });
}

#[test]
fn a_server_that_comes_back_as_another_is_not_asked() {
    as_each(AGENTRC, |lab| {
        let another = "again = os.path.exists('/state/x')\nopen('/state/x', 'w').close()\nDESCRIPTION = 'Something else.' if again else";
        let own = servers::SERVER.replace("DESCRIPTION =", another).replace("pass # MARK", "os._exit(1)");
        lab.file(lab.project("own.py"), own);
        lab.file(lab.project("state/.keep"), "");
        lab.file(lab.project("mcp.json"), table(&["BIND ./state /state rw"]));
        let code = "b = Broker()\nsay(b.call('own.act'))\nwait()\nsay(b.call('own.act'))";
        lab.script(lab.project("go.sh"), &python(code));
        let mut child = lab.start(&format!("AGENT caller\n{OWN}\nCMD /bin/sh ./go.sh\n"));
        child.wait_for("error ");
        let changed = "is not what it was at its first use";
        // A server that is being started again has a folder, too, and nothing in it yet.
        let log = lab.runs().first().expect("the run").join("audit.jsonl");
        let said = || fs::read_to_string(&log).expect("its log");
        assert!(within(Duration::from_secs(30), || said().contains(changed)), "as {}", lab.who.name);
        child.send("\n");
        let outcome = child.finish();
        let out = outcome.out();
        assert!(out.lines().count() == 2 && out.lines().all(|line| line.starts_with("error ")), "{out}");
        let ended: Vec<_> = outcome.events_named("server").iter().map(ToString::to_string).collect();
        assert!(
            ended.iter().any(|event| event.contains(changed) && event.contains("Something else.")),
            "as {}: {ended:#?}",
            lab.who.name
        );
    });
}
