//! What an agent is told about itself, in `/agentrc/proc`: what is recorded, its limits, its policies, and what it can ask for. Nothing in it
//! is of the host: no path but those inside, and no source of a credential.

use super::describe::{Line, audit as recorded, limits as bounds};
use super::{AuditLevel, BrokerEntry, Plan, words};

/// What is recorded of the run: the level, and what that is.
#[must_use]
pub fn audit(plan: &Plan) -> String {
    let level = match plan.audit.level {
        AuditLevel::Off => "off",
        AuditLevel::Basic => "basic",
        AuditLevel::All => "all",
        AuditLevel::Compliance => "compliance",
    };
    format!("level: {level}\n{}", lines(&recorded(plan)))
}

/// What the run may use, a line each.
#[must_use]
pub fn limits(plan: &Plan) -> String {
    lines(&bounds(plan))
}

/// The policies, as Cedar, each behind its id and where it was written.
#[must_use]
pub fn policy(plan: &Plan) -> String {
    let policies = plan.cedar.policies.iter();
    policies
        .map(|policy| format!("// {} [{}]\n{}\n\n", policy.id, policy.origin, policy.text.trim()))
        .collect()
}

/// Which agent it is, by the digest of its plan, and what it can ask for.
#[must_use]
pub fn status(plan: &Plan, plan_sha256: &str) -> String {
    let mut text = format!("agent: {}\nplan: sha256:{plan_sha256}\n", plan.agent);
    for destination in plan.egress.iter().filter(|egress| egress.agent) {
        let url = words::url(&destination.scheme, &destination.host, destination.port);
        text += &format!("network: {url}{}\n", destination.path.as_deref().unwrap_or_default());
    }
    for entry in &plan.broker {
        text += &match entry {
            BrokerEntry::Tool { entity, permitted: true, .. } => format!("tool: {entity}\n"),
            BrokerEntry::Function { symbol, permitted: true, definition: Some(_), .. } => {
                format!("function: {symbol}\n")
            }
            BrokerEntry::Skill { definition: Some(skill), permitted: true, .. } => {
                format!("skill: {}\n", skill.name)
            }
            BrokerEntry::Mcp { name, more, .. } | BrokerEntry::Server { name, more, .. }
                if *more || plan.tools_of(name).any(|(_, _, permitted)| permitted) =>
            {
                format!("server: {name}\n")
            }
            BrokerEntry::Memory { name, readable: true, writable, .. } => {
                format!("memory: {name} {}\n", if *writable { "rw" } else { "ro" })
            }
            BrokerEntry::Memory { name, readable: false, writable: true, .. } => {
                format!("memory: {name} wo\n")
            }
            BrokerEntry::Credential { name, .. } => format!("credential: {name}\n"),
            _ => String::new(),
        };
    }
    text
}

fn lines(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{} [{}]\n", line.text, line.origin)).collect()
}
