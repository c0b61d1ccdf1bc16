//! What this version parses, checks and plans, and cannot yet enforce: `run` refuses a plan for which this is not empty.

use super::{Base, BrokerEntry, CountedLimit, HostPath, MountSource, Origin, Plan, Runs, Target, words};

/// Each part of `plan` that nothing enforces, in words, with its line.
#[must_use]
pub fn unenforced(plan: &Plan) -> Vec<(String, Origin)> {
    let mut found = Vec::new();
    if let Base::Reference { reference, origin } = &plan.base {
        found.push((format!("FROM {reference}"), origin.clone()));
    }
    for entry in plan.broker.iter().filter(|entry| !is_served(entry)) {
        let (directive, name, _) = words::entry(entry);
        let why = if is_request(entry) { " (over HTTP: it needs http_request)" } else { "" };
        found.push((format!("{directive} {name}{why}"), words::entry_origin(entry).clone()));
    }
    for counted in plan.limits.counted.iter().filter(|counted| !is_counted(plan, counted)) {
        let amount = words::rate(counted.value, counted.per_seconds);
        found.push((format!("the limit {} ({amount})", counted.name), counted.origin.clone()));
    }
    if let Some(disk) = &plan.limits.disk_bytes {
        // The upper layer of a copy lies on the host's disk, which has no quota for it.
        for mount in &plan.mounts {
            if let MountSource::Copy { source, .. } = &mount.source {
                let source: String = HostPath::into(source.clone());
                found.push((format!("LIMIT disk for the copy of {source}"), disk.origin.clone()));
            }
        }
    }
    for policy in plan.cedar.policies.iter().filter(|policy| policy.approval.is_some()) {
        found.push((format!("@approval of the policy `{}`", policy.id), policy.origin.clone()));
    }
    found
}

/// Whether the broker, the gateway or the projection of files holds it.
fn is_served(entry: &BrokerEntry) -> bool {
    match entry {
        BrokerEntry::Tool { definition, .. } => definition.is_some() && !is_request(entry),
        BrokerEntry::Memory { .. }
        | BrokerEntry::Credential { .. }
        | BrokerEntry::CredentialBroker { .. } => true,
        // Shown when it is permitted without a condition, otherwise not there at all.
        BrokerEntry::Skill { reference, .. } => reference.starts_with("./"),
        BrokerEntry::Toolset { .. }
        | BrokerEntry::Function { .. }
        | BrokerEntry::Server { .. }
        | BrokerEntry::Mcp { .. }
        | BrokerEntry::HealthCheck { .. }
        | BrokerEntry::Trace { .. } => false,
    }
}

/// Whether it is a tool that is a request of a manual's.
fn is_request(entry: &BrokerEntry) -> bool {
    let BrokerEntry::Tool { definition: Some(definition), .. } = entry else { return false };
    matches!(definition.runs, Runs::Http(_))
}

/// Whether somebody counts it: the broker the calls of what it serves, and what they return; the gateway what goes to the
/// agent's destinations.
fn is_counted(plan: &Plan, counted: &CountedLimit) -> bool {
    let is_served_tool = |name: &str| {
        plan.broker.iter().any(
            |entry| matches!(entry, BrokerEntry::Tool { entity, .. } if entity == name && is_served(entry)),
        )
    };
    !counted.applies_to.is_empty()
        && counted.applies_to.iter().all(|target| match target {
            // One of the few that there are.
            Target::Run | Target::Memory(_) | Target::Host(_) => true,
            Target::Tool(name) => is_served_tool(name),
            Target::Function(_) | Target::Skill(_) | Target::Credential(_) | Target::Server(_) => false,
        })
}
