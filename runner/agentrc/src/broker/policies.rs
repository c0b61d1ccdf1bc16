//! The plan's policies on calls, asked in the broker's process.

use agentrc_broker::judge::{Asked, Asking, Called, Judge, RULES, Verdict};
use agentrc_decide::{Act, Call};

use crate::policies::{Answer, Policies};

impl Judge for Policies {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let act = match *asked {
            Asked::Call { kind, name, namespace, arguments, seen, call_count, trust, server } => {
                let call = Call {
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
                };
                match kind {
                    Called::Tool => Act::Tool { call, server: server.map(str::to_owned) },
                    Called::Function => Act::Function { call },
                }
            }
            Asked::Server { name, method, tool, url } => Act::Mcp {
                server: name.to_owned(),
                method: method.to_owned(),
                tool: tool.to_owned(),
                url: url.to_owned(),
            },
            Asked::Skill { name } => Act::Skill { name: name.to_owned() },
            Asked::Memory { name, schema, write, trust } => {
                let (name, schema, trust) = (name.to_owned(), schema.to_owned(), trust.to_owned());
                if write {
                    Act::MemoryWrite { name, schema, trust }
                } else {
                    Act::MemoryRead { name, schema, trust }
                }
            }
        };
        let Answer { permitted, determining, approvals, reason } = self.decide(act);
        let rules: Vec<_> =
            determining.iter().map(|policy| format!("{} [{}]", policy.id, policy.origin)).collect();
        let approvals = approvals.into_iter().map(|approval| Asking {
            reason: approval.reason,
            id: approval.policy.id,
            origin: approval.policy.origin.to_string(),
        });
        Verdict { permitted, rule: rules.join(RULES), reason, approvals: approvals.collect() }
    }
}
