//! Decisions over ceilings: what is allowed, and that everything else is denied.

#[cfg(test)]
mod ceilings {
    use agentfile::plan::{Cedar, CedarPolicy, Origin};
    use agentrc_decide::{Act, Call, Ceiling, Chain, Decision, Denial, Request};

    fn cedar(policies: &[(&str, &str)]) -> Cedar {
        let policy = |(line, (id, text)): (usize, &(&str, &str))| CedarPolicy {
            id: (*id).to_owned(),
            text: (*text).to_owned(),
            approval: None,
            origin: Origin {
                file: "Agentfile".to_owned(),
                line: u32::try_from(line).unwrap() + 1,
                column: 1,
            },
        };
        Cedar {
            schema_sha256: String::new(),
            policies: policies.iter().enumerate().map(policy).collect(),
            entities: Vec::new(),
        }
    }

    fn chain(policies: &[(&str, &str)]) -> Chain {
        Chain::new(vec![Ceiling::load("Agentfile", &cedar(policies)).unwrap()])
    }

    fn invoke(name: &str) -> Request {
        let call = Call { name: name.to_owned(), namespace: "utcp".to_owned(), ..Call::default() };
        Request { agent: "reviewer".to_owned(), act: Act::Tool { call, server: None } }
    }

    fn egress(host: &str, port: u16) -> Request {
        let act = Act::Egress {
            via: "agent".to_owned(),
            scheme: "https".to_owned(),
            host: host.to_owned(),
            port,
            method: String::new(),
            path: String::new(),
            url: String::new(),
            bytes: 0,
        };
        Request { agent: "reviewer".to_owned(), act }
    }

    fn read(path: &str) -> Request {
        Request { agent: "reviewer".to_owned(), act: Act::Read { path: path.to_owned() } }
    }

    fn ids(decision: &Decision) -> Vec<&str> {
        decision.determining.iter().map(|policy| policy.id.as_str()).collect()
    }

    const PERMIT_READ: (&str, &str) = (
        "allow@1",
        r#"permit(principal == AgentRC::Agent::"reviewer", action == AgentRC::Action::"tool.invoke", resource == AgentRC::Tool::"file_read");"#,
    );

    #[test]
    fn cedar_permit() {
        let decision = chain(&[PERMIT_READ]).decide(&invoke("file_read"));
        assert!(decision.allow);
        assert_eq!(ids(&decision), ["allow@1"]);
        assert_eq!(decision.determining[0].origin.to_string(), "Agentfile:1:1");
        assert_eq!(decision.denial, None);
    }

    #[test]
    fn what_nothing_permits_is_denied() {
        let chain = chain(&[PERMIT_READ]);
        for name in ["file_write", "FILE_READ", "file_read ", "file_read\u{200b}"] {
            let decision = chain.decide(&invoke(name));
            assert!(!decision.allow, "{name}");
            assert!(matches!(decision.denial, Some(Denial::NotPermitted { .. })), "{name}");
        }
        let other = Request { agent: "someone".to_owned(), ..invoke("file_read") };
        assert!(!chain.decide(&other).allow);
    }

    #[test]
    fn forbid_overrides_permit() {
        // In the same slice, in the slice of any resource, and in the slice of any action.
        for forbid in [
            r#"forbid(principal, action == AgentRC::Action::"tool.invoke", resource == AgentRC::Tool::"file_read");"#,
            r#"forbid(principal, action == AgentRC::Action::"tool.invoke", resource);"#,
            r#"forbid(principal, action, resource == AgentRC::Tool::"file_read");"#,
            r#"forbid(principal, action in [AgentRC::Action::"skill.invoke", AgentRC::Action::"tool.invoke"], resource);"#,
            r#"forbid(principal, action, resource);"#,
        ] {
            let decision = chain(&[PERMIT_READ, ("policy@2", forbid)]).decide(&invoke("file_read"));
            assert!(!decision.allow, "{forbid}");
            assert_eq!(ids(&decision), ["policy@2"], "{forbid}");
            assert!(matches!(decision.denial, Some(Denial::Forbidden { .. })));
        }
    }

    #[test]
    fn policy_unparseable_denies() {
        let broken = cedar(&[PERMIT_READ, ("policy@2", "forbid(principal, action, resource) when {")]);
        assert!(Ceiling::load("Agentfile", &broken).is_err());
        let chain = Chain::new(vec![Ceiling::load_or_deny("Agentfile", &broken)]);
        let decision = chain.decide(&invoke("file_read"));
        assert!(!decision.allow);
        assert!(matches!(decision.denial, Some(Denial::Unreadable { .. })));
    }

    #[test]
    fn policy_eval_error_denies() {
        // Each passes the schema and fails in evaluation; a forbid that fails would be skipped by Cedar.
        for (id, failing) in [
            (
                "policy@2",
                r#"forbid(principal, action == AgentRC::Action::"network.egress", resource) when { context.port + 9223372036854775807 > 0 };"#,
            ),
            (
                "policy@2",
                r#"permit(principal, action == AgentRC::Action::"network.egress", resource) when { context.port * 9223372036854775807 == 0 };"#,
            ),
        ] {
            let permit = (
                "url@1",
                r#"permit(principal, action == AgentRC::Action::"network.egress", resource == AgentRC::Host::"api.example.com");"#,
            );
            let decision = chain(&[permit, (id, failing)]).decide(&egress("api.example.com", 443));
            assert!(!decision.allow, "{failing}");
            assert!(matches!(decision.denial, Some(Denial::Failed { .. })), "{failing}");
            assert!(chain(&[permit]).decide(&egress("api.example.com", 443)).allow);
        }
    }

    #[test]
    fn the_announced_length_of_a_request_can_be_limited() {
        let chain = chain(&[
            (
                "url@1",
                r#"permit(principal, action == AgentRC::Action::"network.egress", resource == AgentRC::Host::"api.example.com");"#,
            ),
            (
                "policy@2",
                r#"forbid(principal, action == AgentRC::Action::"network.egress", resource) when { context.bytes > 1000 };"#,
            ),
        ]);
        let of = |announced: i64| {
            let mut request = egress("api.example.com", 443);
            if let Act::Egress { bytes, .. } = &mut request.act {
                *bytes = announced;
            }
            chain.decide(&request).allow
        };
        assert!(of(0) && of(1000));
        assert!(!of(1001));
        assert!(!of(i64::MAX), "a length that is not announced may be any");
    }

    #[test]
    fn every_ceiling_of_the_chain_must_allow() {
        let permit = Ceiling::load("Agentfile", &cedar(&[PERMIT_READ])).unwrap();
        let all = r#"permit(principal, action, resource);"#;
        let host = |policies: &[(&str, &str)]| Ceiling::load("host", &cedar(policies)).unwrap();

        let both = Chain::new(vec![host(&[("all", all)]), permit]);
        let decision = both.decide(&invoke("file_read"));
        assert!(decision.allow);
        assert_eq!(ids(&decision), ["allow@1", "all"]);
        // The wider ceiling's permit is not the narrower's.
        assert!(!both.decide(&invoke("shell")).allow);

        let permit = Ceiling::load("Agentfile", &cedar(&[PERMIT_READ])).unwrap();
        let none = Chain::new(vec![host(&[]), permit]);
        let denial = none.decide(&invoke("file_read")).denial;
        assert_eq!(denial, Some(Denial::NotPermitted { ceiling: "host".to_owned() }));

        assert_eq!(Chain::new(Vec::new()).decide(&invoke("file_read")).denial, Some(Denial::NoCeiling));
    }

    /// As far as decisions go: whatever a child permits or leaves out, its parent's forbid holds. That a package which tries is refused
    /// as a whole, with both lines, is for packages to show.
    #[test]
    fn child_widens_forbid_fails() {
        let forbid = "forbid (principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"shell\");";
        let all = ("all", "permit (principal, action, resource);");
        let child = || Ceiling::load("child", &cedar(&[all])).unwrap();
        assert!(Chain::new(vec![child()]).decide(&invoke("shell")).allow, "control");
        let parent = Ceiling::load("parent", &cedar(&[all, ("no-shell", forbid)])).unwrap();
        let chain = Chain::new(vec![parent, child()]);
        let decision = chain.decide(&invoke("shell"));
        assert!(!decision.allow);
        assert_eq!(ids(&decision), ["no-shell"]);
        assert_eq!(decision.determining[0].ceiling, "parent");
        assert!(chain.decide(&invoke("file_read")).allow, "what both permit");
    }

    #[test]
    fn a_folder_takes_in_what_is_beneath_it_and_not_its_namesakes() {
        let chain = chain(&[(
            "bind@1",
            r#"permit(principal, action == AgentRC::Action::"filesystem.read", resource in AgentRC::Path::"/workspace");"#,
        )]);
        assert!(chain.decide(&read("/workspace")).allow);
        assert!(chain.decide(&read("/workspace/a/b")).allow);
        assert!(!chain.decide(&read("/workspace-evil/a")).allow);
        for path in
            ["/workspace/../etc/shadow", "/workspace//a", "/workspace/.", "workspace/a", "/workspace/a/", ""]
        {
            let decision = chain.decide(&read(path));
            assert!(matches!(decision.denial, Some(Denial::NotCanonical(_))), "{path}");
        }
    }

    #[test]
    fn a_suffix_takes_in_the_names_below_it_and_nothing_else() {
        let chain = chain(&[(
            "url@1",
            r#"permit(principal, action == AgentRC::Action::"network.egress", resource in AgentRC::Host::"*.example.com");"#,
        )]);
        assert!(chain.decide(&egress("api.example.com", 443)).allow);
        assert!(chain.decide(&egress("a.b.example.com", 443)).allow);
        for host in ["example.com", "evilexample.com", "api.example.com.evil", "1.2.3.4"] {
            assert!(!chain.decide(&egress(host, 443)).allow, "{host}");
        }
        for host in [
            "API.example.com",
            "api.example.com.",
            "api..example.com",
            "0x7f.1",
            "api.example.com\r\n",
            "127.1",
            "2130706433",
            "",
        ] {
            let decision = chain.decide(&egress(host, 443));
            assert!(matches!(decision.denial, Some(Denial::NotCanonical(_))), "{host}");
        }
    }

    #[test]
    fn a_tool_is_in_its_server() {
        let chain = chain(&[(
            "policy@1",
            r#"permit(principal, action == AgentRC::Action::"tool.invoke", resource in AgentRC::MCPServer::"github");"#,
        )]);
        let on = |server: Option<&str>| {
            let call = Call { name: "get_issue".to_owned(), ..Call::default() };
            Request {
                agent: "reviewer".to_owned(),
                act: Act::Tool { call, server: server.map(str::to_owned) },
            }
        };
        assert!(chain.decide(&on(Some("github"))).allow);
        assert!(!chain.decide(&on(Some("gitlab"))).allow);
        assert!(!chain.decide(&on(None)).allow);
    }

    #[test]
    fn an_approval_is_asked_for_whatever_else_permits_it_too() {
        let mut asking = cedar(&[PERMIT_READ]);
        asking.policies[0].approval = Some("reads files".to_owned());
        let asked = |cedars: &[Cedar]| {
            let ceilings = cedars.iter().map(|cedar| Ceiling::load("Agentfile", cedar).unwrap()).collect();
            let decision = Chain::new(ceilings).decide(&invoke("file_read"));
            assert!(decision.allow);
            let asked = decision.approvals.into_iter();
            asked.map(|approval| (approval.policy.id, approval.reason)).collect::<Vec<_>>()
        };
        let one = [("allow@1".to_owned(), "reads files".to_owned())];
        assert_eq!(asked(&[asking.clone()]), one);
        // Another permit, and another ceiling, that ask nobody take nothing from it.
        let mut both = asking.clone();
        both.policies.push(CedarPolicy {
            id: "other".to_owned(),
            approval: None,
            ..asking.policies[0].clone()
        });
        assert_eq!(asked(&[both]), one);
        assert_eq!(asked(&[cedar(&[PERMIT_READ]), asking]), one);
        assert!(asked(&[cedar(&[PERMIT_READ])]).is_empty());
    }

    #[test]
    fn two_policies_of_one_id_are_refused() {
        let twice = cedar(&[PERMIT_READ, ("allow@1", r#"forbid(principal, action, resource);"#)]);
        assert!(Ceiling::load("Agentfile", &twice).is_err());
        assert!(
            !Chain::new(vec![Ceiling::load_or_deny("Agentfile", &twice)]).decide(&invoke("file_read")).allow
        );
    }

    #[test]
    fn a_name_with_quotes_stays_a_name() {
        let chain = chain(&[(
            "policy@1",
            r#"permit(principal, action, resource == AgentRC::Tool::"a\" || true || \"");"#,
        )]);
        assert!(chain.decide(&invoke("a\" || true || \"")).allow);
        assert!(!chain.decide(&invoke("a")).allow);
    }

    #[test]
    fn a_call_whose_path_or_host_is_not_canonical_is_denied() {
        let chain = chain(&[("all", "permit(principal, action, resource);")]);
        let decide = |path: &str, host: &str| {
            let call = Call {
                name: "t".to_owned(),
                path: path.to_owned(),
                host: host.to_owned(),
                ..Call::default()
            };
            chain.decide(&Request { agent: "a".to_owned(), act: Act::Tool { call, server: None } }).allow
        };
        assert!(decide("/work/a", "api.example.com") && decide("", "") && decide("/", ""));
        for path in ["/work/../etc", "work", "/work/", "/work//a"] {
            assert!(!decide(path, ""), "{path}");
        }
        for host in ["API.example.com", "api.example.com.", "127.1", "a b"] {
            assert!(!decide("", host), "{host}");
        }
    }

    #[test]
    fn a_policy_sees_how_often_and_with_what_trust_a_tool_is_called() {
        let chain = chain(&[(
            "some",
            "permit(principal, action, resource) when { context.call_count <= 2 && context.trust != \"network\" };",
        )]);
        let decide = |call_count, trust: &str| {
            let call = Call { name: "t".to_owned(), call_count, trust: trust.to_owned(), ..Call::default() };
            chain.decide(&Request { agent: "a".to_owned(), act: Act::Tool { call, server: None } }).allow
        };
        assert!(decide(2, "trusted") && !decide(3, "trusted") && !decide(1, "network"));
    }

    #[test]
    fn a_policy_sees_the_facts_of_a_call_by_their_names() {
        let call = Call {
            name: "t".to_owned(),
            arguments: r#"{"a":1}"#.to_owned(),
            path: "/a".to_owned(),
            url: "https://h.example/a".to_owned(),
            host: "h.example".to_owned(),
            caller: "agent".to_owned(),
            call_count: 1,
            trust: "tool".to_owned(),
            ..Call::default()
        };
        for (fact, value) in [
            ("args", r#""{\"a\":1}""#),
            ("path", r#""/a""#),
            ("url", r#""https://h.example/a""#),
            ("host", r#""h.example""#),
            ("caller", r#""agent""#),
            ("call_count", "1"),
            ("trust", r#""tool""#),
        ] {
            let decide = |comparison: &str| {
                let policy = format!(
                    "permit(principal, action, resource) when {{ context.{fact} {comparison} {value} }};"
                );
                let act = Act::Tool { call: call.clone(), server: None };
                chain(&[("some", &policy)]).decide(&Request { agent: "a".to_owned(), act }).allow
            };
            assert!(decide("==") && !decide("!="), "{fact}");
        }
    }
}
