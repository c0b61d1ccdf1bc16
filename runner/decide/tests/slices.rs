//! A ceiling looks only at the slices of its policies that can match. For any policies and any request that decides as the whole set does:
//! the same policies with their scopes written as conditions, which all are in the one slice that is always looked at.

#[cfg(test)]
mod slices {
    use agentfile::plan::{Cedar, CedarPolicy, Origin};
    use agentrc_decide::{Act, Call, Ceiling, Chain, Request};
    use proptest::prelude::*;

    const ACTIONS: [&str; 3] = ["tool.invoke", "function.invoke", "memory.read"];
    const RESOURCES: [&str; 6] = [
        "Tool::\"a\"",
        "Tool::\"b\"",
        "MCPServer::\"s\"",
        "Function::\"a\"",
        "Memory::\"a\"",
        "MCPServer::\"t\"",
    ];
    const KINDS: [&str; 3] = ["Tool", "Function", "Memory"];
    const CONDITIONS: [&str; 5] = [
        "",
        "context.name == \"a\"",
        "context has path && context.path like \"/work/*\"",
        "context has call_count && context.call_count <= 2",
        // Fails in evaluation.
        "context has call_count && context.call_count + 9223372036854775807 > 0",
    ];

    /// A policy's scope and condition, by number.
    #[derive(Debug, Clone)]
    struct Written {
        permit: bool,
        actions: Vec<usize>,
        /// 0: any; then `==`, `in`, `is`.
        relation: usize,
        resource: usize,
        condition: usize,
    }

    impl Written {
        /// In the scope, and as a condition.
        fn resource(&self) -> (String, String) {
            let uid = format!("AgentRC::{}", RESOURCES[self.resource]);
            let kind = format!("AgentRC::{}", KINDS[self.resource % KINDS.len()]);
            let (relation, what) = match self.relation {
                0 => return ("resource".to_owned(), "true".to_owned()),
                1 => ("==", uid),
                2 => ("in", uid),
                _ => ("is", kind),
            };
            let text = format!("resource {relation} {what}");
            (text.clone(), text)
        }

        fn action(&self) -> (String, String) {
            let uids: Vec<_> =
                self.actions.iter().map(|n| format!("AgentRC::Action::\"{}\"", ACTIONS[*n])).collect();
            match &uids[..] {
                [] => ("action".to_owned(), "true".to_owned()),
                [one] => (format!("action == {one}"), format!("action == {one}")),
                several => {
                    let list = several.join(", ");
                    (format!("action in [{list}]"), format!("action in [{list}]"))
                }
            }
        }

        fn text(&self, scoped: bool) -> String {
            let effect = if self.permit { "permit" } else { "forbid" };
            let ((action, action_when), (resource, resource_when)) = (self.action(), self.resource());
            let condition = CONDITIONS[self.condition];
            let condition = if condition.is_empty() { "true" } else { condition };
            if scoped {
                format!("{effect}(principal, {action}, {resource}) when {{ {condition} }};")
            } else {
                format!(
                    "{effect}(principal, action, resource) when {{ {action_when} && {resource_when} && {condition} }};"
                )
            }
        }
    }

    fn written() -> impl Strategy<Value = Written> {
        let actions = proptest::sample::subsequence(vec![0, 1, 2], 0..=3);
        (any::<bool>(), actions, 0..4_usize, 0..RESOURCES.len(), 0..CONDITIONS.len()).prop_map(
            |(permit, actions, relation, resource, condition)| Written {
                permit,
                actions,
                relation,
                resource,
                condition,
            },
        )
    }

    fn act() -> impl Strategy<Value = Act> {
        let call = (0..2_usize, any::<bool>(), 1..4_i64).prop_map(|(name, inside, call_count)| Call {
            name: ["a", "b"][name].to_owned(),
            path: if inside { "/work/x" } else { "/etc/x" }.to_owned(),
            call_count,
            ..Call::default()
        });
        (call, proptest::option::of(0..2_usize), 0..3_usize).prop_map(|(call, server, kind)| match kind {
            0 => Act::Tool { call, server: server.map(|n| ["s", "t"][n].to_owned()) },
            1 => Act::Function { call },
            _ => Act::MemoryRead { name: call.name, schema: String::new(), trust: "trusted".to_owned() },
        })
    }

    fn decide(policies: &[Written], scoped: bool, act: &Act) -> (bool, Vec<String>) {
        let policy = |(n, written): (usize, &Written)| CedarPolicy {
            id: format!("policy@{n}"),
            text: written.text(scoped),
            approval: None,
            origin: Origin::builtin("test"),
        };
        let cedar = Cedar {
            schema_sha256: String::new(),
            policies: policies.iter().enumerate().map(policy).collect(),
            entities: Vec::new(),
        };
        let chain = Chain::new(vec![Ceiling::load("test", &cedar).unwrap()]);
        let decision = chain.decide(&Request { agent: "x".to_owned(), act: act.clone() });
        (decision.allow, decision.determining.into_iter().map(|policy| policy.id).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_slice_decides_as_the_whole_set(policies in proptest::collection::vec(written(), 0..12), act in act()) {
            let (sliced, whole) = (decide(&policies, true, &act), decide(&policies, false, &act));
            prop_assert_eq!(sliced.0, whole.0);
            // What failed has no determining policy, and which of several fails first is not the same.
            prop_assert_eq!(sliced.1, whole.1);
        }
    }
}
