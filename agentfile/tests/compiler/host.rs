//! What the operator of a host has for every package.

use agentfile::compile::{Compiled, Validate, compile};
use agentfile::plan::unenforced::unenforced;
use agentfile::plan::{BrokerEntry, Plan, Target};

use crate::support::{Folder, errors, findings, plan};

const TABLE: &str = "/etc/agentrc/mcp.json";

fn with_table(text: &str, servers: &str) -> Compiled {
    let mut package = Folder::usual();
    package.0.insert(TABLE.to_owned(), format!(r#"{{"mcpServers": {{{servers}}}}}"#).into_bytes());
    compile("Agentfile", text.as_bytes(), &package, Validate::Always)
}

fn tools(plan: &Plan) -> Vec<(String, bool, Option<String>)> {
    let tools = plan.broker.iter().filter_map(|entry| match entry {
        BrokerEntry::Tool { namespace, name, definition, mapped, .. } => Some((
            format!("{namespace}:{name}"),
            definition.is_some(),
            mapped.as_ref().map(|mapped| format!("{} {}", mapped.written, mapped.by)),
        )),
        _ => None,
    });
    tools.collect()
}

#[test]
fn a_frameworks_tool_is_refused_unless_the_host_says_what_serves_it() {
    let open = plan("AGENT x\nCMD true\nTOOL strands:file_read\nALLOW invoke strands:file_read\n");
    let [one] = &unenforced(&open)[..] else { panic!("{:?}", unenforced(&open)) };
    assert_eq!(one.what, "TOOL strands:file_read");
    assert!(one.help.as_ref().unwrap().contains("`[tools.namespaces]`"));
    let [trace] = &unenforced(&plan("AGENT x\nCMD true\nTRACE on\n"))[..] else { panic!("one line") };
    assert_eq!(trace.help, None);
    let mapped = plan(
        "AGENT x\nCMD true\nTOOL langchain:file_read\nALLOW invoke langchain:file_read\nRATELIMIT langchain:file_read 1/s\n",
    );
    assert_eq!(unenforced(&mapped), []);
    let by = "langchain:file_read /etc/agentrc/agentrc.toml:2:1".to_owned();
    assert_eq!(tools(&mapped), [("utcp:file_read".to_owned(), true, Some(by))]);
    assert_eq!(mapped.limits.counted.first().unwrap().applies_to, [Target::Tool("file_read".to_owned())]);
    // It is the same tool, by whichever name, and whoever declares it.
    for line in ["DENY invoke langchain:file_read", "DENY invoke file_read"] {
        let denied = plan(&format!(
            "AGENT x\nCMD true\nTOOLSET utcp:read\nTOOL langchain:file_read\nPOLICY\npermit (principal, action == AgentRC::Action::\"tool.invoke\", resource);\nEND\n{line}\n"
        ));
        let forbids =
            |text: &str| text.starts_with("forbid") && text.contains("AgentRC::Tool::\"file_read\"");
        assert!(denied.cedar.policies.iter().any(|policy| forbids(&policy.text)), "{line}");
    }
    assert_eq!(
        errors("AGENT x\nCMD true\nTOOL langchain:file_read\nTOOL utcp:file_read\nALLOW invoke file_read\n"),
        ["E052"]
    );
    assert_eq!(errors("AGENT x\nCMD true\nTOOL langchain:calculator\n"), ["E081"]);
    assert!(findings("AGENT x\nCMD true\nTOOL unreadable:a\n").contains(&("E087", "unreadable:a")));
}

#[test]
fn a_server_of_the_host_is_consented_to() {
    let text = "AGENT x\nCMD true\nMCP math\nTOOL mcp:math.add\nALLOW invoke mcp:math.add\n";
    let found = with_table(
        text,
        r#""math": {"command": "/usr/bin/python3", "boundaries": ["BIND /srv/math /data ro"]}"#,
    );
    let plan = found.plan.unwrap_or_else(|| panic!("{:#?}", found.diagnostics));
    assert_eq!(unenforced(&plan), []);
    assert_eq!(tools(&plan)[0].0, "mcp:math.add");
    let asks: Vec<_> = plan.grants.iter().map(|grant| (grant.asks.as_str(), grant.origin.line)).collect();
    assert_eq!(
        asks,
        [
            ("use the server `math` of this host (`/etc/agentrc/mcp.json`)", 3),
            ("let the server `math` read `/srv/math` as `/data`", 3),
        ]
    );
    let own = plan.broker.iter().find_map(|entry| match entry {
        BrokerEntry::Mcp { plan, .. } => plan.as_deref(),
        _ => None,
    });
    let data = own.unwrap().mounts.iter().find(|mount| mount.target == "/data").unwrap();
    assert_eq!(data.origin.to_string(), "/etc/agentrc/mcp.json#math:1:1");
    // Without the table, nothing is that server.
    assert_eq!(errors(text), ["E095"]);
}

#[test]
fn a_packages_own_server_comes_first_and_a_host_s_needs_no_table_of_the_package() {
    let text = "AGENT x\nCMD true\nMCP notes\n";
    let mut package = Folder::usual();
    let table =
        |command: &str| format!(r#"{{"mcpServers": {{"notes": {{"command": "{command}"}}}}}}"#).into_bytes();
    package.0.insert(TABLE.to_owned(), table("/usr/bin/of-host"));
    package.0.insert("/etc/other/mcp.json".to_owned(), table("/usr/bin/of-another"));
    let command = |package: &Folder| {
        let plan = compile("Agentfile", text.as_bytes(), package, Validate::Always).plan.unwrap();
        let own = plan.broker.iter().find_map(|entry| match entry {
            BrokerEntry::Mcp { plan, .. } => plan.as_deref(),
            _ => None,
        });
        (own.unwrap().command.as_ref().unwrap().argv[0].clone(), plan.grants.len())
    };
    package.0.insert("mcp.json".to_owned(), table("/usr/bin/of-package"));
    assert_eq!(command(&package), ("/usr/bin/of-package".to_owned(), 0));
    package.0.insert("mcp.json".to_owned(), br#"{"mcpServers": {}}"#.to_vec());
    assert_eq!(command(&package), ("/usr/bin/of-host".to_owned(), 1));
    package.0.remove("mcp.json");
    assert_eq!(command(&package), ("/usr/bin/of-host".to_owned(), 1));
    package.0.remove(TABLE);
    assert_eq!(command(&package), ("/usr/bin/of-another".to_owned(), 1));
    // A table that cannot be read is not passed over.
    package.0.insert(TABLE.to_owned(), b"{".to_vec());
    let found = compile("Agentfile", text.as_bytes(), &package, Validate::Always);
    assert!(found.diagnostics[0].message.starts_with("`/etc/agentrc/mcp.json` is not JSON"), "{found:#?}");
}

#[test]
fn a_hosts_table_names_nothing_of_the_package_that_asks() {
    let refused = |server: &str| {
        let found = with_table("AGENT x\nCMD true\nMCP math\n", &format!(r#""math": {server}"#));
        assert!(found.plan.is_none(), "{server}");
        found.diagnostics[0].message.clone()
    };
    for server in [
        r#"{"command": "./agent.py"}"#,
        r#"{"command": "/usr/bin/python3", "args": ["./agent.py"]}"#,
        r#"{"command": "/usr/bin/python3", "boundaries": ["BIND ./src /src ro"]}"#,
        r#"{"command": "/usr/bin/python3", "boundaries": ["BIND . /src ro"]}"#,
        r#"{"command": "/usr/bin/python3", "boundaries": ["BIND ../x /src ro"]}"#,
        r#"{"command": "/usr/bin/python3", "boundaries": ["URL https://a.example", "CRED k file:./key host:a.example"]}"#,
        r#"{"command": "/usr/bin/python3", "boundaries": ["URL https://a.example", "CRED k file:key host:a.example"]}"#,
        r#"{"command": "/usr/bin/python3", "boundaries": ["URL https://a.example", "CRED k file:~key host:a.example"]}"#,
        r#"{"command": "/usr/bin/python3", "boundaries": ["URL https://a.example", "CRED k dotenv:KEY host:a.example"]}"#,
    ] {
        let said = refused(server);
        assert!(said.contains("which is one of a package's folder"), "{server}: {said}");
    }
}
