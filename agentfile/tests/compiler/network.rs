//! What a URL line changes in the plan beside its destination: the ports of Landlock, the files that name the resolver, and
//! where requests are seen.

use agentfile::plan::{FileRights, Generated, MountSource, Plan, SYSTEM_BUNDLES};

use crate::support::{compiled, errors, findings, plan, with_policy};

fn of(lines: &str) -> Plan {
    plan(&format!("AGENT x\nCMD /bin/true\n{lines}\n"))
}

/// The text of a file of the plan's own, and where it was asked for.
fn file<'a>(plan: &'a Plan, target: &str) -> Option<(&'a str, String)> {
    let mount = plan.mounts.iter().find(|mount| mount.target == target)?;
    match &mount.source {
        MountSource::File { content, .. } => Some((content, mount.origin.to_string())),
        _ => None,
    }
}

#[test]
fn only_the_agents_own_destinations_open_a_port() {
    let ports = |lines: &str| -> Vec<(u16, String)> {
        of(lines).landlock.connect.iter().map(|rule| (rule.port, rule.origin.to_string())).collect()
    };
    let at = |port: u16, line: u32| (port, format!("Agentfile:{line}:1"));
    assert_eq!(ports(""), []);
    assert_eq!(ports("SERVER s https://a.example/mcp"), []);
    assert_eq!(
        ports("URL tcp://a.example:5432\nURL https://b.example\nURL https://c.example"),
        [at(53, 3), at(443, 4), at(5432, 3)]
    );
    assert_eq!(ports("URL https://a.example\nURL tcp://ns.example:53"), [at(53, 4), at(443, 3)]);
}

#[test]
fn names_are_asked_of_the_gateway_where_there_is_a_network_and_of_nobody_elsewhere() {
    let without = of("SERVER s https://a.example/mcp");
    assert_eq!(
        file(&without, "/etc/resolv.conf"),
        Some(("# No resolver: this sandbox has no network.\n", "policies/base.toml".to_owned()))
    );
    let with = of("URL https://a.example");
    let (text, origin) = file(&with, "/etc/resolv.conf").unwrap();
    assert_eq!(text, "nameserver 198.18.0.1\noptions timeout:2 attempts:2 edns0\n");
    assert_eq!(origin, "Agentfile:3:1");
    assert!(file(&with, "/etc/nsswitch.conf").unwrap().0.contains("\nhosts: files dns\n"));
}

#[test]
fn declared_names_are_at_their_addresses_inside_and_nothing_else_is_named() {
    let hosts = |lines: &str| {
        let plan = of(lines);
        let text = file(&plan, "/etc/hosts").unwrap().0.to_owned();
        let (own, names): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains(" localhost"));
        assert_eq!(own.len(), 2, "both families: {text}");
        names.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(hosts("SERVER s https://a.example/mcp").is_empty());
    assert_eq!(
        hosts(
            "URL https://a.example\nURL tcp://10.0.0.5:1\nURL http://b.example\nURL https://*.c.example\n\
             URL tcp://a.example:5432\nSERVER s https://d.example/mcp"
        ),
        [
            "198.18.0.16 a.example",
            "fd61:6765:6e74::10 a.example",
            "198.18.0.17 b.example",
            "fd61:6765:6e74::11 b.example"
        ]
    );
}

#[test]
fn an_empty_root_has_the_files_of_the_resolver_only_with_a_network() {
    let files = ["/etc/host.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];
    let without = of("FROM scratch");
    let with = of("FROM scratch\nURL https://a.example");
    for target in files {
        assert_eq!(file(&without, target), None);
        assert!(file(&with, target).is_some(), "{target}");
        let rule = with.landlock.rules.iter().find(|rule| rule.path == target).unwrap();
        assert_eq!(rule.rights, FileRights::Read, "{target}");
    }
    // What a line shows is whole: nothing of ours is made in it.
    let own = of("FROM scratch\nURL https://a.example\nBIND ./src /etc ro");
    assert!(own.mounts.iter().all(|mount| !mount.target.starts_with("/etc/")));
    let other = of("FROM scratch\nURL https://a.example\nBIND ./agent.py /etc/hosts ro");
    assert_eq!(file(&other, "/etc/hosts"), None);
    assert!(file(&other, "/etc/resolv.conf").is_some());
}

/// The destinations whose TLS is terminated, with these lines and a policy on them.
fn seen(lines: &str, policy: &str) -> Vec<String> {
    let plan = plan(&with_policy(lines, policy));
    let seen = plan.egress.into_iter().filter(|egress| egress.terminate_tls);
    seen.map(|egress| format!("{}{}", egress.host, egress.path.unwrap_or_default())).collect()
}

fn egress(effect: &str, resource: &str, when: &str) -> String {
    format!(
        "{effect}(principal, action == AgentRC::Action::\"network.egress\", {resource}) when {{ {when} }};"
    )
}

#[test]
fn a_policy_on_requests_has_them_seen() {
    let lines = "URL https://a.example\nURL https://*.b.example\nURL http://c.example";
    let all = ["a.example", "*.b.example"];
    for when in [
        "context.method == \"DELETE\"",
        "context.path like \"/admin/*\"",
        "context.url like \"*secret*\"",
        "context.bytes > 1000000",
        "context has method && context.host == \"a.example\"",
        "!(if context.port == 80 then [context.bytes].contains(0) else true)",
        "context.host == \"a.example\" && context.method != \"GET\"",
    ] {
        assert_eq!(seen(lines, &egress("forbid", "resource", when)), all, "{when}");
        assert_eq!(seen(lines, &egress("permit", "resource", when)), all, "{when}");
    }
    // Connections are judged without.
    for when in ["context.port == 80", "context.host like \"*.c.example\"", "context.scheme == \"http\""] {
        assert_eq!(seen(lines, &egress("forbid", "resource", when)), [""; 0], "{when}");
    }
}

#[test]
fn a_policy_on_requests_has_those_seen_that_its_scope_is_about() {
    let lines = "URL https://a.example\nURL https://*.b.example\nURL https://x.b.example:8443\nURL https://c.example/p";
    let of = |resource: &str| seen(lines, &egress("forbid", resource, "context.method == \"DELETE\""));
    let host = |name: &str| format!("AgentRC::Host::\"{name}\"");
    assert_eq!(of(&format!("resource == {}", host("a.example"))), ["a.example", "c.example/p"]);
    assert_eq!(
        of(&format!("resource in {}", host("*.b.example"))),
        ["*.b.example", "x.b.example", "c.example/p"]
    );
    assert_eq!(
        of(&format!("resource == {}", host("x.b.example"))),
        ["*.b.example", "x.b.example", "c.example/p"]
    );
    assert_eq!(of(&format!("resource is AgentRC::Host in {}", host("z.example"))), ["c.example/p"]);
    assert_eq!(of("resource is AgentRC::Host").len(), 4);
}

#[test]
fn a_policy_on_other_actions_or_for_another_agent_has_none_seen() {
    let lines = "URL https://a.example\nTOOL strands:t";
    let other = "forbid(principal, action == AgentRC::Action::\"tool.invoke\", resource) when { context.method == \"x\" };";
    assert_eq!(seen(lines, other), [""; 0]);
    let agent = "forbid(principal == AgentRC::Agent::\"y\", action == AgentRC::Action::\"network.egress\", resource) when { context.method == \"x\" };";
    assert_eq!(seen(lines, agent), [""; 0]);
    let two = "forbid(principal, action in [AgentRC::Action::\"tool.invoke\", AgentRC::Action::\"network.egress\"], resource) when { context.method == \"x\" };";
    assert_eq!(seen(lines, two), ["a.example"]);
    let any = "forbid(principal, action, resource) when { context has method && context.method == \"x\" };";
    let source = with_policy(lines, any);
    assert_eq!(errors(&source), ["E065"], "on files it is refused: {:?}", findings(&source));
}

#[test]
fn a_policy_on_requests_cannot_be_held_where_there_are_none() {
    let lines = "URL https://a.example\nURL tcp://db.example:5432";
    let code = |resource: &str, effect: &str, when: &str| {
        let source = with_policy(lines, &egress(effect, resource, when));
        findings(&source).into_iter().map(|(code, _)| code).filter(|code| *code != "W014").collect::<Vec<_>>()
    };
    let method = "context.method == \"DELETE\"";
    assert_eq!(code("resource", "forbid", method), ["E073"]);
    assert_eq!(code("resource", "permit", method), ["W027"]);
    assert_eq!(code("resource in AgentRC::Host::\"*.example\"", "forbid", method), ["E073"]);
    assert_eq!(code("resource == AgentRC::Host::\"a.example\"", "forbid", method), [""; 0]);
    assert_eq!(code("resource", "forbid", "context.port == 1"), [""; 0]);
}

#[test]
fn two_schemes_on_one_host_and_port_are_refused_and_both_lines_are_named() {
    let found = |lines: &str| {
        let source = format!("AGENT x\nCMD true\n{lines}\n");
        let found = compiled(&source).diagnostics.into_iter().filter(|found| found.code == "E079");
        let words = found.map(|found| {
            let at = |span: agentfile::span::Span| source[..span.start].matches('\n').count() + 1;
            (at(found.span), at(found.related[0].0), found.message)
        });
        words.collect::<Vec<_>>()
    };
    for (first, second) in [
        ("https://a.example/v1", "tcp://a.example:443"),
        ("tcp://a.example:443", "https://a.example"),
        ("https://a.example:80", "http://a.example"),
        ("http://127.0.0.1:5000", "tcp://127.0.0.1:5000"),
        ("https://[2001:db8::1]", "tcp://[2001:db8::1]:443"),
        ("https://*.example.com", "http://a.example.com:443"),
        ("tcp://b.a.example:443", "https://*.a.example"),
    ] {
        let found = found(&format!("URL {first}\n# between\nURL {second}"));
        assert_eq!(found.len(), 1, "{first} {second}");
        assert_eq!((found[0].0, found[0].1), (5, 3), "{first} {second}");
        assert!(found[0].2.ends_with("on line 3"), "{}", found[0].2);
    }
    for lines in [
        "URL https://a.example\nURL http://a.example\nURL tcp://a.example:22",
        "URL https://a.example/v1\nURL https://a.example/v2",
        "URL https://*.example.com\nURL tcp://b.a.example.com:443\nURL tcp://example.com:443",
        "URL https://a.b.example\nURL tcp://c.b.example:443",
        // The broker's connections are not the agent's.
        "URL tcp://a.example:443\nSERVER s https://a.example/mcp",
    ] {
        assert_eq!(found(lines), [], "{lines}");
    }
}

#[test]
fn the_runs_own_authority_is_trusted_where_requests_are_seen_and_only_there() {
    const BUNDLE: &str = "/agentrc/ca-bundle.pem";
    let bundles = |plan: &Plan| -> Vec<(String, bool, String)> {
        let made = MountSource::Generated { what: Generated::TrustBundle };
        let mounts = plan.mounts.iter().filter(|mount| mount.source == made);
        mounts.map(|mount| (mount.target.clone(), mount.optional, mount.origin.to_string())).collect()
    };
    let variables = |plan: &Plan| -> Vec<(String, String)> {
        let trust = plan.environment.iter().filter(|variable| variable.value == BUNDLE);
        trust.map(|variable| (variable.name.clone(), variable.origin.to_string())).collect()
    };
    for lines in ["", "URL https://a.example", "URL http://a.example/path", "SERVER s https://a.example/mcp"]
    {
        let plan = of(lines);
        assert!(bundles(&plan).is_empty() && variables(&plan).is_empty(), "{lines}");
    }
    let plan = of("URL https://a.example\nURL https://b.example/path\nURL https://c.example/path");
    let found = bundles(&plan);
    assert_eq!(found.len(), 1 + SYSTEM_BUNDLES.len());
    for (target, optional, origin) in &found {
        assert_eq!(origin, "Agentfile:4:1", "the first line that needs it");
        assert_eq!(*optional, target != BUNDLE, "{target}");
        assert!(target == BUNDLE || SYSTEM_BUNDLES.contains(&target.as_str()), "{target}");
    }
    let named = variables(&plan);
    assert_eq!(named.len(), 10);
    assert!(named.contains(&("SSL_CERT_FILE".to_owned(), "Agentfile:4:1".to_owned())));
    // An empty root shows none of the system's.
    let scratch = bundles(&of("FROM scratch\nURL https://b.example/path"));
    assert_eq!(scratch.iter().map(|(target, ..)| target.as_str()).collect::<Vec<_>>(), [BUNDLE]);
}

#[test]
fn a_denial_of_a_bundle_of_the_systems_wins() {
    let target = "/etc/ssl/certs/ca-certificates.crt";
    let plan = of(&format!("URL https://b.example/path\nDENY read {target}"));
    let mount = plan.mounts.iter().find(|mount| mount.target == target).unwrap();
    assert_eq!(mount.source, MountSource::Mask);
}

#[test]
fn a_policy_on_a_host_in_another_spelling_is_pointed_at() {
    let codes = |host: &str| {
        let resource = format!("resource in AgentRC::Host::\"{host}\"");
        let source =
            with_policy("URL https://a.example", &egress("forbid", &resource, "context.port == 443"));
        findings(&source).into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    for host in ["a.example", "*.example", "*.a.example", "10.0.0.5", "::1", "2001:db8::1", "localhost"] {
        assert_eq!(codes(host), [""; 0], "{host}");
    }
    for host in
        ["A.example", "a.example.", "https://a.example", "a.example:443", "*", "127.1", "[::1]", "0:0::1", ""]
    {
        assert_eq!(codes(host), ["W023"], "{host}");
    }
}

#[test]
fn the_broker_has_a_name_where_there_is_a_network_and_something_to_call() {
    let broker = |lines: &str| -> Vec<String> {
        let plan = of(lines);
        let found = plan.egress.iter().filter(|egress| egress.scheme == "mcp");
        found.map(|one| format!("{}:{} {} [{}]", one.host, one.port, one.agent, one.origin)).collect()
    };
    let tool = "TOOL utcp:current_time";
    assert_eq!(
        broker(&format!("URL https://a.example\n{tool}")),
        ["agentrc.internal:80 true [Agentfile:4:1]"]
    );
    for without in ["URL https://a.example", tool, "SERVER s https://a.example/mcp\nTOOL utcp:current_time"] {
        assert!(broker(without).is_empty(), "{without}");
    }
    let ports: Vec<u16> =
        of(&format!("URL https://a.example\n{tool}")).landlock.connect.iter().map(|rule| rule.port).collect();
    assert_eq!(ports, [53, 80, 443]);
}
