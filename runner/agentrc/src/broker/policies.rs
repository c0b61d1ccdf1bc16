//! The plan's policies, asked in the broker's process.

use agentfile::plan::Plan;
use agentrc_broker::judge::{Asked, Judge, Verdict};
use agentrc_decide::{Act, Call, Ceiling, Chain, Request};

/// The plan's policies.
pub(super) struct Policies {
    chain: Chain,
    agent: String,
}

impl Policies {
    /// Those of `plan`; when they cannot be read, nothing is permitted.
    pub(super) fn of(plan: &Plan) -> Self {
        let ceiling = Ceiling::load_or_deny(&format!("the Agentfile of {}", plan.agent), &plan.cedar);
        Self { chain: Chain::new(vec![ceiling]), agent: plan.agent.clone() }
    }
}

impl Judge for Policies {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let act = match *asked {
            Asked::Tool { name, namespace, arguments, seen, call_count, trust } => Act::Tool {
                call: Call {
                    name: name.to_owned(),
                    namespace: namespace.to_owned(),
                    arguments: arguments.to_owned(),
                    path: seen.path.clone(),
                    url: seen.url.clone(),
                    host: seen.host.clone(),
                    method: seen.method.clone(),
                    caller: "agent".to_owned(),
                    call_count: i64::try_from(call_count).unwrap_or(i64::MAX),
                    trust: trust.to_owned(),
                },
                server: None,
            },
            Asked::Memory { name, schema, write, trust } => {
                let (name, schema, trust) = (name.to_owned(), schema.to_owned(), trust.to_owned());
                if write {
                    Act::MemoryWrite { name, schema, trust }
                } else {
                    Act::MemoryRead { name, schema, trust }
                }
            }
        };
        let decision = self.chain.decide(&Request { agent: self.agent.clone(), act });
        let reason = match (&decision.denial, decision.approvals.first()) {
            (Some(denial), _) => denial.to_string(),
            // A plan that asks a person is refused before the start; this is the second lock on that.
            (None, Some(approval)) => {
                format!("a person must approve it first ({approval}), and cannot be asked yet")
            }
            (None, None) => String::new(),
        };
        let rules: Vec<_> =
            decision.determining.iter().map(|policy| format!("{} [{}]", policy.id, policy.origin)).collect();
        Verdict { permitted: decision.allow && reason.is_empty(), rule: rules.join(", "), reason }
    }
}
