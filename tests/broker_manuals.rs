//! Tools of UTCP manuals, and toolsets, through the real broker: what an agent says becomes exactly its part of one word of a fixed
//! command, whatever it says.

#![allow(clippy::expect_used)]

use agentrc_test_support::{Lab, Outcome, World, as_each, servers};
use serde_json::{Value, json};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// A tool with the argument `x`.
fn tool(name: &str, command: &str) -> Value {
    json!({
        "name": name, "description": "A tool of the test's.",
        "inputs": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
        "tool_call_template": {
            "call_template_type": "cli", "commands": [{"command": command}], "env_vars": {"FIXED": "a b"},
        },
    })
}

fn manual(tools: &[Value]) -> String {
    json!({"utcp_version": "1.0.1", "manual_version": "1.0.0", "tools": tools}).to_string()
}

/// Runs `script` in a shell inside, beside a manual of `tools`, each of which is permitted.
#[track_caller]
fn run(lab: &Lab, tools: &[(&str, &str)], lines: &str, script: &str) -> Outcome {
    let all: Vec<_> = tools.iter().map(|(name, command)| tool(name, command)).collect();
    lab.directory(lab.project("rw"));
    lab.file(lab.project("tools/probe.utcp.json"), manual(&all));
    lab.script(lab.project("go.sh"), script);
    let declared: String =
        tools.iter().map(|(name, _)| format!("TOOL utcp:{name}\nALLOW invoke utcp:{name}\n")).collect();
    lab.run(&format!("AGENT caller\nBIND ./rw /rw rw\n{declared}{lines}\nCMD /bin/sh ./go.sh\n"))
}

#[test]
fn a_command_of_a_manual_runs_with_the_agents_words_in_their_places() {
    as_each(AGENTRC, |lab| {
        let tools = [
            ("show", "printf '<%s>' one 'two words' --x=UTCP_ARG_x_UTCP_END"),
            ("fixed", "./tools/fixed -- UTCP_ARG_x_UTCP_END"),
        ];
        lab.script(lab.project("tools/fixed"), "#!/bin/sh\necho \"$FIXED|$2\"\ncat\npwd\nexit 3\n");
        let script = "/agentrc/tools/show --x 'a b'\n/agentrc/tools/fixed --x hello; echo \"code $?\"\ncat /agentrc/tools/show.schema.json\n";
        let outcome = run(lab, &tools, "", script);
        outcome.expect_code(0);
        let out = outcome.out();
        assert!(out.starts_with("<one><two words><--x=a b>"), "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert!(out.contains("code 1") && out.contains("\"required\""), "{out}");
        let calls = outcome.events_named("broker.call");
        assert_eq!(calls.first().and_then(|call| call.get("arguments")?.as_str()), Some(r#"{"x":"a b"}"#));
    });
}

/// Each of these, put into a shell's text or taken for an option, would leave a file `ran`: the control shows it.
#[test]
fn nothing_that_an_agent_says_becomes_a_command_or_an_option() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("rw/data"), "data\n");
        let tools = [
            ("show", "printf '[%s]' UTCP_ARG_x_UTCP_END"),
            ("find", "find UTCP_ARG_x_UTCP_END -maxdepth 0"),
            ("git", "git log UTCP_ARG_x_UTCP_END"),
            ("list", "ls -- UTCP_ARG_x_UTCP_END"),
        ];
        let script = r#"
sh -c "printf x; touch /rw/control" >/dev/null
ask() { name=$1; python3 -c 'import json, sys; print(json.dumps({"x": sys.argv[1]}))' "$2" | /agentrc/tools/$name >/tmp/out 2>/tmp/err; echo "$name $? $(cat /tmp/out | tr '\n' ' ')$(cat /tmp/err | tr '\n' ' ')"; }
ask show '; touch /rw/ran'
ask show '$(touch /rw/ran)'
ask show '`touch /rw/ran`'
ask show 'a
touch /rw/ran'
ask show '| touch /rw/ran'
ask show "'; touch /rw/ran; '"
ask find '-exec'
ask find '/rw -exec touch /rw/ran ;'
ask git '-calias.x=!touch /rw/ran'
ask git '--exec-path=/rw'
ask git 'x; touch /rw/ran'
ask list '-la'
"#;
        let outcome = run(lab, &tools, "", script);
        outcome.expect_code(0);
        let out = outcome.out();
        assert!(
            lab.project("rw/control").exists(),
            "as {}: the control did nothing: {}",
            lab.who.name,
            outcome.stderr
        );
        assert!(!lab.project("rw/ran").exists(), "as {}: {out}", lab.who.name);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), 12, "{out}{}", outcome.stderr);
        for (line, wanted) in [
            (0, "show 0 [; touch /rw/ran]"),
            (1, "show 0 [$(touch /rw/ran)]"),
            (2, "show 0 [`touch /rw/ran`]"),
            (3, "show 0 [a touch /rw/ran]"),
            (6, "find 1 "),
            (7, "find 1 "),
            (8, "git 1 "),
            (9, "git 1 "),
            (10, "git 1 "),
            (11, "list 1 "),
        ] {
            assert!(
                lines.get(line).is_some_and(|line| line.starts_with(wanted)),
                "as {}: {wanted}: {out}",
                lab.who.name
            );
        }
        for line in [6, 8, 9, 11] {
            assert!(lines.get(line).is_some_and(|line| line.contains("taken for an option")), "{out}");
        }
        // All of it is on record before it ran.
        assert_eq!(outcome.events_named("broker.call").len(), 12);
    });
}

#[test]
fn arguments_that_do_not_fit_and_names_that_are_not_declared_reach_no_command() {
    as_each(AGENTRC, |lab| {
        let tools = [("show", "printf '[%s]' UTCP_ARG_x_UTCP_END")];
        let script = r#"
for given in '{}' '{"x": 1}' '{"x": ["a"]}' '{"x": null}' '{"x": "a", "x": "b"}' '{"x": "a", "y": "b"}' '{"x": "a\u0000b"}'; do
  echo "$given" | /agentrc/tools/show >/tmp/out 2>&1; echo "$?"
done
for name in Show sHOW show2 'show ' utcp:show; do
  echo '{"x": "a"}' | /agentrc/bin/mcp call "$name" >/dev/null 2>&1; echo "$?"
done
"#;
        let outcome = run(lab, &tools, "", script);
        let out = outcome.out();
        let codes: Vec<_> = out.lines().collect();
        assert_eq!(codes.len(), 12, "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert!(codes.iter().all(|code| *code != "0"), "as {}: {out}", lab.who.name);
        let ran = outcome
            .events_named("broker.result")
            .iter()
            .any(|event| event.get("outcome").and_then(Value::as_str) == Some("ok"));
        assert!(!ran, "as {}", lab.who.name);
    });
}

#[test]
fn a_command_has_the_sandbox_of_a_call_and_ends_with_it() {
    as_each(AGENTRC, |lab| {
        lab.script(
            lab.project("tools/fixed"),
            "#!/bin/sh\ngrep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status\nls /agentrc/broker.sock /sys/class/net 2>&1\n(setsid sleep 1000 &)\n",
        );
        let tools = [("fixed", "./tools/fixed UTCP_ARG_x_UTCP_END")];
        let outcome = run(lab, &tools, "", "/agentrc/tools/fixed --x a; echo \"code $?\"\n");
        let out = outcome.out();
        assert!(
            out.contains("CapEff:\t0000000000000000")
                && out.contains("NoNewPrivs:\t1")
                && out.contains("Seccomp:\t2"),
            "as {}: {out}{}",
            lab.who.name,
            outcome.stderr
        );
        assert!(out.contains("code 0"), "{out}");
    });
}

#[test]
fn the_tools_of_toolsets_are_served_as_far_as_they_are_permitted() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("rw/data"), "data\n");
        lab.file(
            lab.project("toolsets/mine.toml"),
            "tools = [\n  \"utcp:file_list\",\n  \"utcp:show\",\n  \"utcp:shell\",\n]\n",
        );
        lab.file(
            lab.project("tools/probe.utcp.json"),
            manual(&[tool("show", "printf '[%s]' UTCP_ARG_x_UTCP_END")]),
        );
        lab.script(
            lab.project("go.sh"),
            "cd /agentrc/tools; ls | grep -v '[.]' | tr '\\n' ' '; echo\n./file_read --path /rw/data\n./show --x a\n/agentrc/bin/mcp call shell --command id; echo $?\n",
        );
        let outcome = lab.run(
            "AGENT caller\nBIND ./rw /rw rw\nTOOLSET utcp:read\nTOOLSET local:./toolsets/mine.toml\nALLOW invoke utcp:file_read\n\
             ALLOW invoke utcp:show\nCMD /bin/sh ./go.sh\n",
        );
        let out = outcome.out();
        assert!(out.starts_with("file_read show \n"), "as {}: {out}{}", lab.who.name, outcome.stderr);
        assert!(out.contains("data\\n") && out.contains("[a]"), "{out}");
        assert!(!out.contains("uid=") && !out.ends_with("\n0\n"), "{out}");
    });
}

#[test]
fn a_request_of_a_manual_is_decided_about_by_the_url_that_it_makes() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let mut wanted = tool("user", "");
        wanted["tool_call_template"] =
            json!({"call_template_type": "http", "url": "https://api.example.com/users/{x}"});
        lab.file(lab.project("tools/probe.utcp.json"), manual(&[wanted]));
        let lines = "URL https://api.example.com\nTOOL utcp:user\nPOLICY\npermit (principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"user\") when { context.url like \"https://api.example.com/users/*\" && context.method == \"GET\" };\nforbid (principal, action == AgentRC::Action::\"tool.invoke\", resource) when { context.url == \"https://api.example.com/users/root\" };\nEND";
        let script = "cd /agentrc/tools\nfor x in ann root a/../b a%2fb 'a b'; do ./user --x \"$x\" >/tmp/out 2>/tmp/err; printf '%s\\n' \"$x $? $(cat /tmp/out /tmp/err)\"; done";
        let outcome = world.run(lines, script);
        let out = outcome.out();
        assert_eq!(outcome.code(), 0, "as {}: {out}{}", lab.who.name, outcome.stderr);
        let lines: Vec<_> = out.lines().filter(|line| !line.is_empty()).collect();
        assert!(
            lines[0].starts_with("ann 0 ") && lines[0].contains("hello from /users/ann"),
            "as {}: {out}{}",
            lab.who.name,
            outcome.stderr
        );
        assert!(lines[1].starts_with("root 77 ") && lines[1].contains("forbids it"), "{out}");
        assert!(lines[2].starts_with("a/../b 1 ") && lines[3].starts_with("a%2fb 1 "), "{out}");
        assert!(lines[4].starts_with("a b 0 "), "{out}");
        assert_eq!(
            world.asked(),
            ["GET https://api.example.com/users/ann", "GET https://api.example.com/users/a%20b"]
        );
    });
}

#[test]
fn a_tool_of_a_manual_may_be_one_of_a_server() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("own.py"), servers::SERVER);
        lab.file(lab.project("mcp.json"), servers::table(&[]));
        let entry = json!({"command": "/usr/bin/python3", "args": ["./own.py"]});
        let template = json!({"call_template_type": "mcp", "config": {"mcpServers": {"own": entry}}});
        let wanted = json!({"name": "own.act", "description": "Acts.", "tool_call_template": template});
        lab.file(lab.project("tools/own.utcp.json"), manual(&[wanted]));
        lab.script(lab.project("go.sh"), "/agentrc/mcp/own/act --path /a");
        let outcome = lab.run(
            "AGENT caller\nMCP own\nTOOL utcp:own.act\nALLOW invoke utcp:own.act\nCMD /bin/sh ./go.sh\n",
        );
        assert_eq!(
            (outcome.code(), outcome.out().trim()),
            (0, "done"),
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
    });
}
