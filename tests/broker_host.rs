//! What the operator of a host has for every package: MCP servers beside the configuration, and what serves the tools of a framework.

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::{Lab, Outcome, as_each, servers};
use serde_json::json;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Runs `agentrc` with the host's files of this lab.
fn agentrc(lab: &Lab, words: &[&str]) -> Outcome {
    let mut command = lab.agentrc(words);
    command.env("XDG_CONFIG_HOME", lab.path("config"));
    lab.finish_command(command)
}

fn host(lab: &Lab, configuration: &str, table: Option<&str>) {
    lab.directory(lab.path("config"));
    lab.directory(lab.path("config/agentrc"));
    lab.file(lab.path("config/agentrc/agentrc.toml"), configuration);
    if let Some(table) = table {
        lab.file(lab.path("config/agentrc/mcp.json"), table);
    }
}

/// The table of a server `own` that lies outside of the project.
fn table(lab: &Lab) -> String {
    let text = servers::SERVER.replace("pass # MARK", "r['content'][0]['text'] = open('/own.py').name");
    let program = lab.outside("own.py");
    lab.file(&program, text);
    let bind = format!("BIND {} /own.py ro", program.display());
    json!({ "mcpServers": { "own": { "command": "/usr/bin/python3", "args": ["/own.py"], "boundaries": [bind] } } }).to_string()
}

#[test]
fn a_server_of_the_host_serves_whoever_consents_to_it() {
    as_each(AGENTRC, |lab| {
        host(lab, "", Some(&table(lab)));
        lab.script(lab.project("go.sh"), &python("say(Broker().call('own.act'))"));
        lab.agentfile(
            "AGENT caller\nMCP own\nTOOL mcp:own.act\nALLOW invoke mcp:own.act\nCMD /bin/sh ./go.sh\n",
        );
        let path = lab.project("Agentfile").to_string_lossy().into_owned();
        agentrc(lab, &["run", &path]).expect_refusal(&[
            "use the server `own` of this host",
            "config/agentrc/mcp.json",
            "let the server `own` read",
            "Agentfile:2:1",
        ]);
        agentrc(lab, &["allow", "--yes", &path]);
        let outcome = agentrc(lab, &["run", &path]);
        assert_eq!(outcome.out(), "ok /own.py\n", "as {}: {}", lab.who.name, outcome.stderr);
        // One that is not in the host's table any more is another plan, and here none.
        host(lab, "", Some(r#"{"mcpServers": {}}"#));
        agentrc(lab, &["run", &path]).expect_refusal(&["E095", "config/agentrc/mcp.json"]);
    });
}

#[test]
fn a_server_that_the_agent_could_rewrite_by_another_path_is_a_refusal() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        lab.file(
            lab.project("work/own.py"),
            servers::SERVER.replace("pass # MARK", "r['content'][0]['text'] = 'done'"),
        );
        let bind = format!("BIND {} /own.py ro", lab.project("work/own.py").display());
        let table = json!({ "mcpServers": { "own": {
            "command": "/usr/bin/python3", "args": ["/own.py"], "boundaries": [bind],
        } } });
        host(lab, "", Some(&table.to_string()));
        lab.script(lab.project("go.sh"), &python("say(Broker().call('own.act'))"));
        for (line, refused) in [
            ("BIND ./work /work rw", true),
            ("BIND . /work rw", true),
            ("BIND ./work/own.py /own.py rw", true),
            ("BIND ./work /work ro", false),
            ("BIND ./work /work copy", false),
        ] {
            let path = lab.agentfile(&format!(
                "AGENT caller\nMCP own\nTOOL mcp:own.act\nALLOW invoke mcp:own.act\n{line}\nCMD /bin/sh ./go.sh\n"
            ));
            let outcome = agentrc(lab, &["run", "--grant", &path.to_string_lossy()]);
            if refused {
                outcome.expect_refusal(&[
                    "could rewrite what `own` executes",
                    "Agentfile:2:1",
                    "Agentfile:5:1",
                ]);
            } else {
                assert_eq!(outcome.out(), "ok done\n", "as {}: {line}: {}", lab.who.name, outcome.stderr);
            }
        }
    });
}

#[test]
fn a_frameworks_tool_is_refused_unless_the_host_says_what_serves_it() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/a"), "of data\n");
        lab.script(lab.project("go.sh"), &python("say(Broker().call('file_read', path='/data/a'))"));
        let path = lab.agentfile(
            "AGENT caller\nTOOL strands:file_read\nALLOW invoke strands:file_read\nBIND ./data /data ro\nCMD /bin/sh ./go.sh\n",
        );
        let path = path.to_string_lossy().into_owned();
        agentrc(lab, &["run", &path]).expect_refusal(&[
            "`TOOL strands:file_read` is not yet enforced here",
            "Agentfile:2:1",
            "[tools.namespaces]",
        ]);
        host(lab, "[tools.namespaces]\nstrands = \"utcp\"\n", None);
        let plan = agentrc(lab, &["plan", &path]).out();
        assert!(
            plan.contains("utcp:file_read")
                && plan.contains("`strands:file_read` here")
                && plan.contains("agentrc.toml:2:"),
            "as {}: {plan}",
            lab.who.name
        );
        let outcome = agentrc(lab, &["run", &path]);
        assert!(
            outcome.out().contains("of data"),
            "as {}: {}{}",
            lab.who.name,
            outcome.out(),
            outcome.stderr
        );
        // What is built in has no such tool.
        let text = std::fs::read_to_string(&path).expect("the Agentfile").replace("file_read", "calculator");
        lab.agentfile(&text);
        agentrc(lab, &["run", &path]).expect_refusal(&["E081", "`calculator`"]);
        host(lab, "[tools.namespaces]\nstrands = \"local\"\n", None);
        agentrc(lab, &["run", &path]).expect_refusal(&["agentrc.toml:2:", "serves no tools"]);
    });
}
