//! What the host's configuration asks about, whatever the broker says.

use agentfile::plan::{BrokerEntry, Plan};
use agentrc_broker::judge::Operator;

/// For every entry of the plan's broker, whether it is a program that the host asks about.
pub(super) fn insisted(plan: &Plan, operator: &Operator) -> Vec<bool> {
    let asks = |action: &str, called: &str| {
        let on = |name: &Option<String>| name.as_ref().is_none_or(|name| name == called);
        operator.asks.iter().any(|rule| rule.action == action && on(&rule.name))
    };
    let insists = |entry: &BrokerEntry| match entry {
        BrokerEntry::Tool { entity, .. } => asks("tool.invoke", entity),
        BrokerEntry::Function { symbol, .. } => asks("function.invoke", symbol),
        BrokerEntry::Skill { definition: Some(skill), .. } => asks("skill.invoke", &skill.name),
        _ => false,
    };
    plan.broker.iter().map(insists).collect()
}
