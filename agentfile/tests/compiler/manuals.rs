//! `TOOL utcp:NAME` of a manual beside the Agentfile.

use agentfile::compile::{Compiled, Validate, compile};
use agentfile::plan::unenforced::unenforced;
use agentfile::plan::{BrokerEntry, Part, Runs, describe};
use serde_json::{Value, json};

use crate::support::Folder;

fn manual(tools: &Value) -> Vec<u8> {
    json!({"utcp_version": "1.0.1", "manual_version": "1.0.0", "tools": tools}).to_string().into_bytes()
}

fn tool(name: &str, command: &str) -> Value {
    json!({
        "name": name, "description": "Does something.", "tags": ["git"],
        "inputs": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
        "outputs": {"type": "string"},
        "tool_call_template": {"call_template_type": "cli", "commands": [{"command": command}]},
    })
}

fn compiled(lines: &str, manuals: &[(&str, Vec<u8>)]) -> Compiled {
    let mut folder = Folder::usual();
    folder.0.extend(manuals.iter().map(|(name, bytes)| (format!("tools/{name}"), bytes.clone())));
    compile("Agentfile", format!("AGENT x\nCMD true\n{lines}\n").as_bytes(), &folder, Validate::Always)
}

#[track_caller]
fn refused(lines: &str, manuals: &[(&str, Vec<u8>)], code: &str, what: &str) {
    let found = compiled(lines, manuals);
    assert!(found.plan.is_none(), "{lines}");
    let said: Vec<_> = found.diagnostics.iter().map(|one| (one.code, one.message.as_str())).collect();
    assert!(said.iter().any(|(of, message)| *of == code && message.contains(what)), "{said:#?}");
}

#[test]
fn a_command_of_a_manual_is_planned_word_by_word() {
    let manuals = [("git.utcp.json", manual(&json!([tool("git_log", "git log -- UTCP_ARG_x_UTCP_END")])))];
    let found = compiled("TOOL utcp:git_log\nALLOW invoke utcp:git_log", &manuals);
    assert!(found.diagnostics.is_empty(), "{:#?}", found.diagnostics);
    let plan = found.plan.unwrap();
    assert!(unenforced(&plan).is_empty());
    let BrokerEntry::Tool { entity, definition: Some(definition), .. } = &plan.broker[0] else { panic!() };
    assert_eq!(entity, "git_log");
    let Runs::Command(command) = &definition.runs else { panic!("{definition:?}") };
    assert_eq!(command.words.len(), 4);
    assert_eq!(command.words[3], [Part::Argument("x".to_owned())]);
    assert!(plan.mounts.iter().any(|mount| mount.target == "/agentrc/tools/git_log"));
    let text = format!("{:?}", describe::describe(&plan));
    assert!(text.contains("the command `git log -- ‹x›` in a sandbox of its own"), "{text}");
}

#[test]
fn a_program_beside_the_agentfile_is_shown_and_named_by_its_place() {
    let manuals =
        [("x.utcp.json", manual(&json!([tool("probe", "./tools/lint --file=UTCP_ARG_x_UTCP_END")])))];
    let plan = compiled("TOOL utcp:probe\nALLOW invoke probe", &manuals).plan.unwrap();
    let BrokerEntry::Tool { definition: Some(definition), .. } = &plan.broker[0] else { panic!() };
    let Runs::Command(command) = &definition.runs else { panic!() };
    assert_eq!(command.words[0], [Part::Text("/agentrc/src/tools/lint".to_owned())]);
    assert!(plan.mounts.iter().any(|mount| mount.target == "/agentrc/src/tools/lint"));
    let gone = [("x.utcp.json", manual(&json!([tool("probe", "./tools/none UTCP_ARG_x_UTCP_END")])))];
    refused("TOOL utcp:probe\nALLOW invoke probe", &gone, "E048", "tools/none");
}

#[test]
fn what_is_built_in_is_not_defined_again_and_one_manual_has_a_tool() {
    let read = || manual(&json!([tool("file_read", "cat -- UTCP_ARG_x_UTCP_END")]));
    refused(
        "TOOL utcp:file_read",
        &[("x.utcp.json", read())],
        "E085",
        "`tools/x.utcp.json` has a tool `file_read`, which is built in",
    );
    let http = manual(&json!([tool("http_request", "curl -- UTCP_ARG_x_UTCP_END")]));
    refused("TOOL utcp:http_request", &[("x.utcp.json", http)], "E085", "which is built in");
    let mine = || manual(&json!([tool("mine", "cat -- UTCP_ARG_x_UTCP_END")]));
    let twice = [("a.utcp.json", mine()), ("b.utcp.json", mine())];
    refused("TOOL utcp:mine", &twice, "E085", "`tools/a.utcp.json` and `tools/b.utcp.json`");
    refused("TOOL utcp:theirs", &twice, "E081", "no manual has it");
    // A manual that cannot be read might be the one; a built-in tool does not depend on it.
    let broken = [("a.utcp.json", mine()), ("b.utcp.json", b"{".to_vec())];
    refused("TOOL utcp:mine", &broken, "E085", "`tools/b.utcp.json` is not JSON");
    refused("TOOL utcp:theirs", &broken, "E085", "`tools/b.utcp.json` is not JSON");
    assert!(compiled("TOOL utcp:file_read\nALLOW invoke file_read", &broken).plan.is_some());
    let many: Vec<_> = (0..65).map(|n| format!("{n}.utcp.json")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), manual(&json!([])))).collect();
    refused("TOOL utcp:mine", &many, "E085", "65 manuals");
}

#[test]
fn what_would_be_an_injection_is_refused_with_manual_and_tool() {
    for (command, what) in [
        ("git log UTCP_ARG_x_UTCP_END | head", "needs a shell"),
        ("git log UTCP_ARG_x_UTCP_END; id", "needs a shell"),
        ("sh -c 'git log UTCP_ARG_x_UTCP_END'", "`sh` takes code"),
        ("UTCP_ARG_x_UTCP_END", "choose the program"),
    ] {
        let manuals = [("git.utcp.json", manual(&json!([tool("git_log", command)])))];
        refused("TOOL utcp:git_log", &manuals, "E085", "`tools/git.utcp.json`: the tool `git_log` ");
        refused("TOOL utcp:git_log", &manuals, "E085", what);
    }
    // A toolset may have one of a manual, too, and what is wrong is said with its place.
    let manuals = [
        ("git.utcp.json", manual(&json!([tool("git_log", "a; b")]))),
        ("set.toml", b"tools = [\"utcp:git_log\"]".to_vec()),
    ];
    refused("TOOLSET local:./tools/set.toml", &manuals, "E085", "tools/set.toml:1:10: `tools/git.utcp.json`");
}

#[test]
fn a_request_is_planned_and_made_by_the_gateway() {
    let mut wanted = tool("user", "");
    wanted["tool_call_template"] =
        json!({"call_template_type": "http", "url": "https://api.example.com/users/{x}"});
    let found = compiled(
        "TOOL utcp:user\nALLOW invoke user\nRATELIMIT user 1/s",
        &[("x.utcp.json", manual(&json!([wanted])))],
    );
    assert!(found.diagnostics.is_empty(), "{:#?}", found.diagnostics);
    let plan = found.plan.unwrap();
    assert!(unenforced(&plan).is_empty() && plan.broker_connects());
    let text = format!("{:?}", describe::describe(&plan));
    assert!(text.contains("the request `GET https://api.example.com:443/users/‹x›`"), "{text}");
}

#[test]
fn a_tool_of_a_server_is_one_of_the_server_that_a_line_declares() {
    let of = |entry: Value| {
        let template = json!({"call_template_type": "mcp", "config": {"mcpServers": {"files": entry}}});
        let wanted = json!({"name": "files.read", "description": "Reads.", "tool_call_template": template});
        ("x.utcp.json", manual(&json!([wanted])))
    };
    let table = || {
        let entry = json!({"command": "node", "args": ["a.js"], "env": {"A": "b"}});
        ("../mcp.json", json!({"mcpServers": {"files": entry}}).to_string().into_bytes())
    };
    let compiled = |lines: &str, files: &[(&str, Vec<u8>)]| {
        let mut folder = Folder::usual();
        for (name, bytes) in files {
            let path = name.strip_prefix("../").map_or_else(|| format!("tools/{name}"), str::to_owned);
            folder.0.insert(path, bytes.clone());
        }
        compile("Agentfile", format!("AGENT x\nCMD true\n{lines}\n").as_bytes(), &folder, Validate::Always)
    };
    let same = of(json!({"transport": "stdio", "command": "node", "args": ["a.js"], "env": {"A": "b"}}));
    let lines = "MCP files\nTOOL utcp:files.read\nALLOW invoke utcp:files.read";
    let found = compiled(lines, &[same.clone(), table()]);
    assert!(found.diagnostics.is_empty(), "{:#?}", found.diagnostics);
    let plan = found.plan.unwrap();
    assert!(unenforced(&plan).is_empty());
    let tools: Vec<_> = plan.tools_of("files").map(|(tool, _, permitted)| (tool, permitted)).collect();
    assert_eq!(tools, [("read", true)]);

    let refused = |lines: &str, files: &[(&str, Vec<u8>)], code: &str, what: &str| {
        let found = compiled(lines, files);
        let said: Vec<_> = found.diagnostics.iter().map(|one| (one.code, one.message.as_str())).collect();
        let is_said = said.iter().any(|(of, message)| *of == code && message.contains(what));
        assert!(found.plan.is_none() && is_said, "{lines}: {said:#?}");
    };
    let other = of(json!({"command": "node", "args": ["b.js"], "env": {"A": "b"}}));
    refused(lines, &[other, table()], "E085", "another server `files` than the line `MCP files`");
    refused(lines, &[of(json!({"url": "https://a.example/mcp"})), table()], "E085", "`MCP files` declares");
    refused(
        "TOOL utcp:files.read\nALLOW invoke files.read",
        std::slice::from_ref(&same),
        "E096",
        "no line declares the server",
    );
    refused(&format!("TOOL mcp:files.read\n{lines}"), &[same.clone(), table()], "E052", "declared twice");

    let remote = "SERVER files https://a.example/mcp\nTOOL utcp:files.read\nALLOW invoke utcp:files.read";
    let there = of(json!({"transport": "http", "url": "https://A.example:443/mcp"}));
    let found = compiled(remote, &[there]);
    assert!(found.plan.is_some(), "{:#?}", found.diagnostics);
    refused(remote, &[of(json!({"url": "https://a.example/other"}))], "E085", "`SERVER files` declares");
    refused(remote, &[of(json!({"url": "nonsense"}))], "E085", "`SERVER files` declares");
    refused(remote, &[same], "E085", "`SERVER files` declares");
}
