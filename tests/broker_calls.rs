//! The broker: what a call needs to be performed, and how everything else is refused. Seen from inside through the socket, and from
//! outside in the audit log and in files. (`shared/attacks.md`, "Broker".)

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::{Lab, Outcome, as_each};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Runs `code` in Python inside, with `lines` in the Agentfile.
#[track_caller]
fn run(lab: &Lab, lines: &str, code: &str) -> Outcome {
    lab.script(lab.project("go.sh"), &python(code));
    let outcome = lab.run(&format!("AGENT caller\n{lines}\nCMD /bin/sh ./go.sh\n"));
    assert_eq!(outcome.code(), 0, "as {}: {}{}", lab.who.name, outcome.out(), outcome.stderr);
    outcome
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

const TIME: &str = "TOOL utcp:current_time\nALLOW invoke utcp:current_time";
const READ: &str = "TOOL utcp:file_read\nALLOW invoke utcp:file_read";

#[test]
fn a_permitted_call_is_on_record_before_its_result() {
    as_each(AGENTRC, |lab| {
        let outcome = run(lab, TIME, "say(Broker().call('current_time'))");
        assert!(outcome.out().starts_with("ok {\"time\":\"20"), "as {}: {}", lab.who.name, outcome.out());
        let call = outcome.events_named("broker.call")[0];
        assert_eq!(text(call, "act"), "call current_time");
        assert!(text(call, "rule").contains("Agentfile:3:"), "{call}");
        assert_eq!(text(call, "program"), "python3", "{call}");
        let result = outcome.events_named("broker.result")[0];
        assert_eq!((text(result, "outcome"), result.get("call")), ("ok", call.get("call")));
        let seq = |event: &Value| event.get("seq").and_then(Value::as_u64);
        assert!(seq(call) < seq(result));
    });
}

#[test]
fn undeclared_misspelt_and_differently_cased_names_are_refused() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            TIME,
            "b = Broker()\nfor name in ['file_read', 'Current_time', 'CURRENT_TIME', 'current_time ', 'current\\u0000time', 'utcp:current_time', '']:\n    say(b.call(name))\nsay(b.call('current_time')[:3])",
        );
        let out = outcome.out();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.iter().filter(|line| line.starts_with("refused ")).count(), 7, "{out}");
        assert_eq!(lines.last(), Some(&"ok "));
        assert_eq!(outcome.events_named("denial").len(), 7, "as {}", lab.who.name);
        assert_eq!(outcome.events_named("broker.call").len(), 1);
    });
}

#[test]
fn a_tool_that_nothing_permits_does_not_exist_and_one_that_a_policy_forbids_is_refused() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            "TOOL utcp:current_time\nTOOL utcp:file_read\nTOOL utcp:shell\nALLOW invoke utcp:current_time\nALLOW invoke utcp:file_read\nPOLICY\n@id(\"never\")\nforbid(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"file_read\") when { context.path like \"/etc/*\" };\nEND",
            "b = Broker()\nsay(sorted(t['name'] for t in b.ask('tools/list')['result']['tools']))\nsay(b.call('shell', command='id'))\nsay(b.call('file_read', path='/etc/hostname'))",
        );
        let out = outcome.out();
        assert!(out.starts_with("['current_time', 'file_read']\n"), "{out}");
        assert!(out.contains("refused there is no tool `shell`"), "{out}");
        // Which policy forbids it, and where that stands.
        assert!(out.contains("refused `file_read` is refused") && out.contains("never [Agentfile:"), "{out}");
        let denial = outcome.denial_of("call file_read /etc/hostname");
        assert!(text(denial, "rule").starts_with("never [Agentfile:"), "{denial}");
        assert!(outcome.events_named("broker.call").is_empty(), "as {}", lab.who.name);
    });
}

#[test]
fn the_path_that_is_decided_about_is_the_path_that_is_opened() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/open/a"), "open\n");
        lab.file(lab.project("data/secret/b"), "hidden\n");
        lab.symlink("../secret", lab.project("data/open/way"));
        let outcome = run(
            lab,
            "BIND ./data /data ro\nTOOL utcp:file_read\nPOLICY\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"file_read\") when { context.path like \"/data/open/*\" };\nEND",
            "b = Broker()\nfor path in ['/data/open/a', '/data/open/../secret/b', '/data/secret/b', '/data/open/way/b', '/data/open/./a', '../data/open/a', '/data//secret/b']:\n    say(path, b.call('file_read', path=path))",
        );
        let out = outcome.out();
        for line in out.lines() {
            let (path, said) = line.split_once(' ').expect("two parts");
            let may = matches!(path, "/data/open/a" | "/data/open/./a");
            assert_eq!(
                said.starts_with("ok ") && said.contains("open\\n"),
                may || path == "../data/open/a",
                "{out}"
            );
            assert!(!said.contains("hidden"), "as {}: {out}", lab.who.name);
        }
        assert_eq!(out.lines().count(), 7, "{out}");
    });
}

#[test]
fn arguments_that_do_not_fit_the_schema_are_refused() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            READ,
            "b = Broker()\nsay(b.call('file_read'))\nsay(b.call('file_read', path=3))\nsay(b.call('file_read', path='/etc/passwd', more=1))\nsay(b.call('file_read', path='/etc/passwd', limit=0))\nsay(b.call('file_read', path='/etc/passwd')[:3])",
        );
        let out = outcome.out();
        assert_eq!(out.lines().filter(|line| line.starts_with("error the arguments")).count(), 4, "{out}");
        assert!(out.ends_with("ok \n"), "{out}");
        assert_eq!(outcome.events_named("broker.call").len(), 1, "as {}", lab.who.name);
        assert_eq!(outcome.events_named("denial").len(), 4, "as {}", lab.who.name);
    });
}

#[test]
fn messages_that_could_be_read_in_two_ways_are_refused() {
    as_each(AGENTRC, |lab| {
        let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"current_time","name":"current_time","arguments":{}}}"#;
        let outcome = run(
            lab,
            TIME,
            &format!(
                "b = Broker()\n\
                 def said(data):\n    b.raw(data + b'\\n')\n    a = b.hear()\n    say(a.get('error', {{}}).get('code') if a else None)\n\
                 said(b'''{call}''')\n\
                 said(b'''[{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}}]''')\n\
                 said(b'{{')\nsaid(b'\"x\"')\nsaid(b'{{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}}')\n\
                 said(b'\\xff\\xfe')\nsaid(b'[' * 100000)\nsaid(b'{{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}}')\n\
                 say(b.call('current_time')[:3])"
            ),
        );
        let out = outcome.out();
        assert_eq!(out.lines().filter(|line| line.starts_with("-32")).count(), 8, "{out}");
        assert!(out.ends_with("ok \n"), "as {}: {out}", lab.who.name);
        assert_eq!(outcome.events_named("broker.call").len(), 1);
    });
}

#[test]
fn frames_without_end_and_half_frames_are_outlived() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            TIME,
            "import os\n\
             b = Broker(hello=False)\n\
             try:\n    for _ in range(64): b.raw(b'x' * 65536)\nexcept OSError: pass\n\
             try: say('huge', (b.hear() or {}).get('error', {}).get('code'))\nexcept OSError: say('huge closed')\n\
             half = Broker(hello=False)\nhalf.raw(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"met')\nhalf.socket.close()\n\
             many = [Broker(hello=False) for _ in range(31)]\n\
             for one in many: one.raw(b'{')\n\
             for one in many: one.socket.close()\n\
             say(Broker().call('current_time')[:3])",
        );
        let out = outcome.out();
        assert!(
            out.contains("huge -32600") || out.contains("huge closed") || out.contains("huge None"),
            "{out}"
        );
        assert!(out.ends_with("ok \n"), "as {}: {out}", lab.who.name);
    });
}

#[test]
fn limits_hold_for_parallel_callers_together() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            &format!("{TIME}\nLIMIT tool_calls 20\nRATELIMIT utcp:current_time 5/hour"),
            "import multiprocessing\n\
             def work(_):\n    b = Broker()\n    return [b.call('current_time').split()[0] for _ in range(10)]\n\
             with multiprocessing.get_context('fork').Pool(4) as pool: got = sum(pool.map(work, range(4)), [])\n\
             say(got.count('ok'), got.count('refused'), len(got))",
        );
        assert_eq!(outcome.out(), "5 35 40\n", "as {}", lab.who.name);
        let limits = outcome.events_named("limit");
        let count = |event: &&Value| event.get("count").and_then(Value::as_u64).unwrap_or(0);
        assert_eq!(limits.iter().map(count).sum::<u64>(), 35, "{limits:?}");
        assert!(limits.iter().all(|event| text(event, "origin").contains("Agentfile:5:")), "{limits:?}");
    });
}

#[test]
fn a_policy_can_count_calls() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            "TOOL utcp:current_time\nPOLICY\npermit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"current_time\") when { context.call_count <= 2 };\nEND",
            "b = Broker()\nsay([b.call('current_time').split()[0] for _ in range(4)])",
        );
        assert_eq!(outcome.out(), "['ok', 'ok', 'refused', 'refused']\n", "as {}", lab.who.name);
    });
}

#[test]
fn the_socket_cannot_be_removed_replaced_or_shadowed() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            TIME,
            "import os\n\
             def tried(act):\n    try: act(); return 'done'\n    except OSError as e: return type(e).__name__\n\
             at = '/agentrc/broker.sock'\n\
             acts = [lambda: os.unlink(at), lambda: os.rename(at, '/tmp/s'), lambda: os.rename('/tmp', '/agentrc'), lambda: os.chmod(at, 0), lambda: os.link(at, '/tmp/l'), lambda: os.symlink('/tmp', '/agentrc/x')]\n\
             say([tried(act) for act in acts])\nsay(Broker().call('current_time')[:3])",
        );
        assert!(!outcome.out().contains("done"), "as {}: {}", lab.who.name, outcome.out());
        assert!(outcome.out().ends_with("ok \n"), "{}", outcome.out());
    });
}

#[test]
fn large_calls_whose_answers_nobody_reads_take_little_memory() {
    as_each(AGENTRC, |lab| {
        lab.script(
            lab.project("go.sh"),
            &python(
                "import threading, time\n\
                 # Small on the wire, large as values.\n\
                 large = '[' + ','.join(['0'] * 500000) + ']'\n\
                 line = lambda n: ('{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"current_time\",\"arguments\":{\"x\":%s}}}\\n' % (n + 10, large)).encode()\n\
                 many = [Broker() for _ in range(31)]\n\
                 # Until nothing more is taken of it, and all of it for a while that has an end.\n\
                 end = time.monotonic() + 15\n\
                 def flood(one):\n    try:\n        for n in range(40):\n            one.socket.settimeout(max(0.01, min(3, end - time.monotonic())))\n            one.raw(line(n))\n            if time.monotonic() > end: break\n    except OSError: pass\n\
                 threads = [threading.Thread(target=flood, args=(one,)) for one in many]\n\
                 for one in threads: one.start()\n\
                 for one in threads: one.join()\n\
                 say('flooded')\n\
                 sys.stdin = open('/dev/null')\n\
                 while not os.path.exists('/work/go'): time.sleep(0.01)\n\
                 for one in many: one.socket.close()\n\
                 say(Broker().call('current_time')[:3])",
            ),
        );
        lab.directory(lab.project("work"));
        let child = lab.start(&format!("AGENT caller\nBIND ./work /work rw\n{TIME}\nCMD /bin/sh ./go.sh\n"));
        child.wait_for("flooded");
        let path = format!("/proc/{pid}/task/{pid}/children", pid = child.pid());
        let children = std::fs::read_to_string(&path).expect("the supervisor's children");
        let most = children.split_whitespace().filter_map(|child| {
            let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
            status
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        });
        let most: u64 = most.max().expect("a child");
        lab.file(lab.project("work/go"), "");
        let outcome = child.finish();
        eprintln!("as {}: {most} KiB", lab.who.name);
        assert!(most < 256 * 1024, "as {}: {most} KiB", lab.who.name);
        assert!(outcome.out().ends_with("ok \n"), "as {}: {}{}", lab.who.name, outcome.out(), outcome.stderr);
    });
}
