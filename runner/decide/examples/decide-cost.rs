//! What a decision costs, by the number of policies; `benches/run --broker` runs it. Each policy is about a
//! tool of its own, as lines of an Agentfile are, and ten are about all tools.

use std::time::Instant;

use agentfile::plan::{Cedar, CedarPolicy, Origin};
use agentrc_decide::{Act, Call, Ceiling, Chain, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("| policies | p50 | p99 |\n|---|---|---|");
    for number in [10, 100, 1000] {
        let policy = |n: usize| CedarPolicy {
            id: format!("policy@{n}"),
            text: if n < 10 {
                format!(
                    "forbid(principal, action == AgentRC::Action::\"tool.invoke\", resource) when {{ context.path like \"/secret{n}/*\" }};"
                )
            } else {
                format!(
                    "permit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"tool{n}\") when {{ context.path like \"/work/*\" }};"
                )
            },
            approval: None,
            origin: Origin::builtin("example"),
        };
        let cedar = Cedar {
            schema_sha256: String::new(),
            policies: (0..=number).map(policy).collect(),
            entities: Vec::new(),
        };
        let chain = Chain::new(vec![Ceiling::load("example", &cedar)?]);
        let request = |n: usize| {
            let call = Call {
                name: format!("tool{}", 10 + n % (number - 9)),
                path: "/work/a".to_owned(),
                ..Call::default()
            };
            Request { agent: "example".to_owned(), act: Act::Tool { call, server: None } }
        };
        let mut times = Vec::new();
        for n in 0..20_000 {
            let request = request(n);
            let start = Instant::now();
            let decision = chain.decide(&request);
            times.push(start.elapsed());
            if !decision.allow {
                return Err(format!("call {n} must be permitted: {:?}", decision.denial).into());
            }
        }
        times.sort_unstable();
        let at =
            |share: usize| times.get(times.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6);
        println!("| {number} | {:.1} µs | {:.1} µs |", at(50), at(99));
    }
    Ok(())
}
