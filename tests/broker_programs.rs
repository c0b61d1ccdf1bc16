//! Tools that are programs: each runs in a sandbox of its own, that is no wider than the agent's, and what it says is bounded. Called
//! through `/agentrc/tools/NAME`, as a shell does.

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::{Lab, Outcome, as_each};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const ANYTHING: &str = r#"{"description": "A tool of the test's.", "inputSchema": {"type": "object"}}"#;

/// Runs `script` in a shell inside, with a tool `probe` that is `tool`, and `lines` in the Agentfile.
#[track_caller]
fn run(lab: &Lab, tool: &str, lines: &str, script: &str) -> Outcome {
    lab.script(lab.project("tools/probe"), tool);
    lab.file(lab.project("tools/probe.schema.json"), ANYTHING);
    lab.script(lab.project("go.sh"), script);
    lab.run(&format!(
        "AGENT caller\nTOOL local:./tools/probe\nALLOW invoke local:./tools/probe\n{lines}\nCMD /bin/sh ./go.sh\n"
    ))
}

#[test]
fn a_local_tool_is_given_its_arguments_and_gives_its_result() {
    as_each(AGENTRC, |lab| {
        let tool = "#!/bin/sh\nread -r given\nprintf '{\"given\": %s}\\n' \"$given\"\n";
        let outcome = run(
            lab,
            tool,
            "",
            "printf '%s\\n' '{\"b\": 1, \"a\": [\"x\\n\"]}' | /agentrc/tools/probe\n/agentrc/tools/probe </dev/null\ncat /agentrc/tools/probe.schema.json\n",
        );
        outcome.expect_code(0);
        let out = outcome.out();
        let mut lines = out.lines();
        assert_eq!(
            lines.next(),
            Some(r#"{"given":{"a":["x\n"],"b":1}}"#),
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        assert_eq!(lines.next(), Some(r#"{"given":{}}"#));
        assert!(out.contains("\"type\""), "{out}");
        let call = outcome.events_named("broker.call")[0];
        assert_eq!(call.get("arguments").and_then(Value::as_str), Some(r#"{"a":["x\n"],"b":1}"#));
        assert_eq!(call.get("program").and_then(Value::as_str), Some("probe"), "{call}");
    });
}

#[test]
fn exit_codes_say_whether_it_failed_or_was_refused() {
    as_each(AGENTRC, |lab| {
        let tool = "#!/bin/sh\nread -r given\necho \"words for people\" >&2\ncase $given in *3*) exit 3;; *77*) exit 77;; *9*) kill -9 $$;; esac\n";
        let script = "for n in 0 3 77 9; do echo \"{\\\"n\\\": $n}\" | /agentrc/tools/probe; echo \"$n: $?\"; done\n/agentrc/tools/undeclared; echo $?\n";
        let outcome = run(lab, tool, "", script);
        let out = outcome.out();
        for wanted in ["0: 0", "3: 1", "77: 77", "9: 1"] {
            assert!(out.contains(&format!("{wanted}\n")), "as {}: {out}{}", lab.who.name, outcome.stderr);
        }
        assert!(out.ends_with("127\n"), "{out}");
        assert!(outcome.stderr.contains("words for people"), "{}", outcome.stderr);
        let ended: Vec<_> = outcome
            .events_named("broker.result")
            .iter()
            .filter_map(|event| event.get("outcome")?.as_str())
            .collect();
        assert_eq!(ended, ["ok", "error", "refused", "error"]);
    });
}

#[test]
fn what_policy_refuses_exits_with_77_and_names_the_line() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            "#!/bin/sh\necho ran\n",
            "POLICY\nforbid(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"probe\") when { context.namespace == \"local\" };\nEND",
            "/agentrc/tools/probe; echo $?\n",
        );
        assert_eq!(outcome.out(), "77\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert!(outcome.stderr.contains("Agentfile:5:"), "{}", outcome.stderr);
        assert!(outcome.events_named("broker.call").is_empty());
    });
}

#[test]
fn a_tool_sees_the_agents_files_and_nothing_else_of_it() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        lab.directory(lab.project("fixed"));
        let tool = "#!/bin/sh\n\
            echo \"tmp $(cat /tmp/of-agent)\"\n\
            echo \"pids $(ls /proc | grep -c '^[0-9]')\"\n\
            grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status\n\
            echo x > /work/from-tool && echo wrote\n\
            echo x > /fixed/from-tool || echo held\n\
            cat /proc/1/root/etc/hostname >/dev/null 2>&1 && echo root\n\
            kill -9 -1 2>/dev/null\nexit 0\n";
        let outcome = run(
            lab,
            tool,
            "BIND ./work /work rw\nBIND ./fixed /fixed ro",
            "echo mine > /tmp/of-agent\nfor n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done\n/agentrc/tools/probe </dev/null\necho alive\n",
        );
        let out = outcome.out();
        assert!(
            out.contains("tmp mine\n") && out.contains("wrote\n") && out.contains("held\n"),
            "as {}: {out}{}",
            lab.who.name,
            outcome.stderr
        );
        assert!(
            out.contains("CapEff:\t0000000000000000")
                && out.contains("NoNewPrivs:\t1")
                && out.contains("Seccomp:\t2"),
            "{out}"
        );
        assert!(out.ends_with("alive\n"), "{out}");
        let pids = out.lines().find_map(|line| line.strip_prefix("pids ")?.parse::<u32>().ok());
        assert!(pids.is_some_and(|pids| pids < 10) && !out.contains("root\n"), "{out}");
        assert!(lab.project("work/from-tool").exists() && !lab.project("fixed/from-tool").exists());
    });
}

#[test]
fn a_tool_has_no_network_and_no_way_to_the_broker() {
    as_each(AGENTRC, |lab| {
        let tool = format!(
            "#!/bin/sh\n{}",
            python(
                "def tried(act):\n    try: act(); return 'done'\n    except Exception as e: return type(e).__name__\n\
                 say(tried(Broker), tried(lambda: socket.create_connection(('api.example.com', 443), 2)))"
            )
        );
        // The agent itself does what the tool tries.
        let script = "/agentrc/src/tools/probe </dev/null\n/agentrc/tools/probe </dev/null\n";
        let outcome = run(lab, &tool, "URL tcp://api.example.com:443", script);
        let out = outcome.out();
        let (agent, tool) = out.split_once('\n').expect("two lines");
        assert_eq!(agent, "done done", "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert!(!tool.contains("done") && tool.trim_end().contains(' '), "as {}: {out}", lab.who.name);
    });
}

#[test]
fn output_and_time_are_bounded_and_nothing_outlives_the_call() {
    as_each(AGENTRC, |lab| {
        let tool = "#!/bin/sh\nread -r given\ncase $given in *flood*) exec cat /dev/zero;; *daemon*) (setsid sleep 1000 &) ; echo '{}';; *) echo '{}';; esac\n";
        let outcome = run(
            lab,
            tool,
            "LIMIT max_output 4KiB",
            "echo '{\"do\": \"flood\"}' | /agentrc/tools/probe; echo $?\necho '{\"do\": \"daemon\"}' | /agentrc/tools/probe; echo $?\n",
        );
        assert_eq!(outcome.out(), "1\n{}\n0\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert!(outcome.stderr.contains("4096 bytes"), "{}", outcome.stderr);
    });
}

#[test]
fn a_caller_that_goes_away_takes_its_program_with_it() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        let tool = "#!/bin/sh\nwhile :; do echo alive >> /work/alive; sleep 0.02; done\n";
        let outcome = run(
            lab,
            tool,
            "BIND ./work /work rw",
            "size() { wc -c </work/alive; }\n\
             /agentrc/tools/probe </dev/null &\nwhile [ ! -s /work/alive ]; do sleep 0.01; done\n\
             before=$(size); for n in $(seq 200); do sleep 0.1; [ \"$before\" != \"$(size)\" ] && echo lives && break; done\n\
             kill -9 $!\nwait\n\
             for n in $(seq 60); do before=$(size); sleep 0.3; [ \"$before\" = \"$(size)\" ] && echo gone && break; done\n",
        );
        assert_eq!(outcome.out(), "lives\ngone\n", "as {}: {}", lab.who.name, outcome.stderr);
        let results = outcome.events_named("broker.result");
        assert!(
            results.iter().any(|event| event.get("outcome").and_then(Value::as_str) == Some("cancelled")),
            "as {}: {results:?}",
            lab.who.name
        );
    });
}

#[test]
fn what_an_argument_of_a_local_tool_is_called_means_nothing_to_the_broker() {
    as_each(AGENTRC, |lab| {
        let script = "echo '{\"timeout_seconds\": 18446744073709551615}' | /agentrc/tools/probe\necho '{\"timeout_seconds\": 0}' | /agentrc/tools/probe\n";
        let outcome = run(lab, "#!/bin/sh\nsleep 0.1\ncat\n", "", script);
        let wanted = "{\"timeout_seconds\":18446744073709551615}\n{\"timeout_seconds\":0}\n";
        assert_eq!(outcome.out(), wanted, "as {}: {}", lab.who.name, outcome.stderr);
    });
}

#[test]
fn the_form_that_is_decided_about_has_to_fit_the_schema_too() {
    as_each(AGENTRC, |lab| {
        lab.script(lab.project("tools/look"), "#!/bin/sh\ncat\n");
        lab.file(
            lab.project("tools/look.schema.json"),
            r#"{"description": "Looks.", "inputSchema": {"type": "object", "properties": {"at": {"type": "string", "pattern": "^/data/"}}}, "facts": {"path": "at"}}"#,
        );
        let outcome = run(
            lab,
            "#!/bin/sh\n",
            "TOOL local:./tools/look\nALLOW invoke local:./tools/look",
            "/agentrc/tools/look --at /data/a\n/agentrc/tools/look --at /data/../etc/passwd; echo $?\n",
        );
        assert_eq!(outcome.out(), "{\"at\":\"/data/a\"}\n1\n", "as {}: {}", lab.who.name, outcome.stderr);
    });
}

#[test]
fn the_built_in_file_tools_do_what_the_agent_may_do() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("work/a"), "one\ntwo words\n");
        lab.file(lab.project("fixed/b"), "three\n");
        let lines = "BIND ./work /work rw\nBIND ./fixed /fixed ro\n\
            TOOL utcp:file_read\nTOOL utcp:file_write\nTOOL utcp:file_list\nTOOL utcp:file_search\nTOOL utcp:shell\n\
            ALLOW invoke utcp:file_read\nALLOW invoke utcp:file_write\nALLOW invoke utcp:file_list\nALLOW invoke utcp:file_search\nALLOW invoke utcp:shell";
        let outcome = run(
            lab,
            "#!/bin/sh\n",
            lines,
            "cd /agentrc/tools\n./file_read /work/a; echo $?\n./file_list --path /work --depth 2; echo $?\n./file_search --path=/fixed --text=three; echo $?\n\
             printf '%s\\n' '{\"path\": \"/work/new\", \"content\": \"n\\u00e9w\\n\"}' | ./file_write; echo $?\n./file_write --path /fixed/b --content x; echo $?\n\
             ./shell 'echo out; echo err >&2; exit 4'; echo $?\n./file_read --help | head -1\n",
        );
        let out = outcome.out();
        assert!(
            out.contains("two words") && out.contains("\"a\""),
            "as {}: {out}{}",
            lab.who.name,
            outcome.stderr
        );
        assert!(out.contains(r#"[{"line":1,"path":"b","text":"three"}]"#), "{out}");
        assert!(
            out.contains("\"exit_code\":4")
                && out.contains("\"stdout\":\"out\\n\"")
                && out.contains("\"stderr\":\"err\\n\""),
            "{out}"
        );
        assert_eq!(std::fs::read_to_string(lab.project("work/new")).expect("the new file"), "néw\n");
        assert_eq!(std::fs::read_to_string(lab.project("fixed/b")).expect("the old file"), "three\n");
    });
}
