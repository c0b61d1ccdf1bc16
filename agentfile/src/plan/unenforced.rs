//! What this version parses, checks and plans, and cannot yet enforce: `run` refuses a plan for which this is not empty.

use cedar_policy::ActionConstraint;

use super::{Base, BrokerEntry, CountedLimit, HostPath, MountSource, Origin, Plan, Target, words};
use crate::host::NAMESPACES;
use crate::server::tool_of;

/// A part of a plan that nothing enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unenforced {
    /// What it is, in words.
    pub what: String,
    /// Its line.
    pub origin: Origin,
    /// What can be done about it, where that is more than to remove the line.
    pub help: Option<String>,
}

impl Unenforced {
    fn new(what: String, origin: &Origin) -> Self {
        Self { what, origin: origin.clone(), help: None }
    }
}

/// Each part of `plan` that nothing enforces.
#[must_use]
pub fn unenforced(plan: &Plan) -> Vec<Unenforced> {
    let mut found = Vec::new();
    if let Base::Reference { reference, origin } = &plan.base {
        found.push(Unenforced::new(format!("FROM {reference}"), origin));
    }
    for entry in plan.broker.iter().filter(|entry| !is_served(plan, entry)) {
        let (directive, name, _) = words::entry(entry);
        let what = format!("{directive} {name}");
        found.push(Unenforced { help: help(entry), ..Unenforced::new(what, words::entry_origin(entry)) });
    }
    for entry in &plan.broker {
        match entry {
            BrokerEntry::Mcp { plan: Some(part), .. } => found.extend(unenforced(part)),
            BrokerEntry::Skill { definition: Some(skill), .. } => {
                found.extend(skill.plan.iter().flat_map(|part| unenforced(part)));
            }
            _ => {}
        }
    }
    for counted in plan.limits.counted.iter().filter(|counted| !is_counted(plan, counted)) {
        let amount = words::rate(counted.value, counted.per_seconds);
        found.push(Unenforced::new(format!("the limit {} ({amount})", counted.name), &counted.origin));
    }
    if let Some(disk) = &plan.limits.disk_bytes {
        // The upper layer of a copy lies on the host's disk, which has no quota for it.
        for mount in &plan.mounts {
            if let MountSource::Copy { source, .. } = &mount.source {
                let source: String = HostPath::into(source.clone());
                let what = format!("LIMIT disk for the copy of {source}");
                found.push(Unenforced::new(what, &disk.origin));
            }
        }
    }
    for policy in plan.cedar.policies.iter().filter(|policy| policy.approval.is_some()) {
        if let Some(why) = waits_for_nobody(&policy.text) {
            let id = &policy.id;
            found.push(Unenforced::new(format!("@approval of the policy `{id}` {why}"), &policy.origin));
        }
    }
    found
}

/// What a person can be asked about: calls, which wait. A connection, a credential on its way and the kernel do not.
const ASKED: [&str; 5] = ["tool.invoke", "function.invoke", "skill.invoke", "memory.read", "memory.write"];

/// Of which actions a permit speaks that nobody can be asked about, as the end of a sentence.
fn waits_for_nobody(text: &str) -> Option<String> {
    let asked = || format!("a person is asked about {} alone: name these in its scope", ASKED.join(", "));
    let Ok(policy) = cedar_policy::Policy::parse(None, text) else {
        return Some("(which cannot be read)".to_owned());
    };
    let named = match policy.action_constraint() {
        ActionConstraint::Any => return Some(format!("on every action ({})", asked())),
        ActionConstraint::Eq(uid) => vec![uid],
        ActionConstraint::In(uids) => uids,
    };
    let mut others: Vec<_> = named
        .iter()
        .map(|uid| uid.id().unescaped().to_owned())
        .filter(|name| !ASKED.contains(&name.as_str()))
        .collect();
    others.sort();
    (!others.is_empty()).then(|| format!("on {} ({})", others.join(", "), asked()))
}

/// A tool of a namespace that is a framework's inside an agent has no place here to be decided about, unless the host says what
/// serves it.
fn help(entry: &BrokerEntry) -> Option<String> {
    let BrokerEntry::Tool { namespace, name, .. } = entry else { return None };
    let theirs = !NAMESPACES.contains(&namespace.as_str());
    theirs.then(|| {
        format!(
            "only a framework inside the agent could serve `{namespace}:{name}`: remove the line, or say in the host's configuration what serves it here, such as `{namespace} = \"utcp\"` in `[tools.namespaces]` (docs/configuration.md)"
        )
    })
}

/// Whether the broker, the gateway, the supervisor or the projection of files holds it.
fn is_served(plan: &Plan, entry: &BrokerEntry) -> bool {
    match entry {
        BrokerEntry::Tool { namespace, name, definition, .. } => {
            definition.is_some() || namespace == "mcp" && tool_of(name).is_some_and(|(server, _)| is_asked(plan, server))
        }
        BrokerEntry::Mcp { plan, .. } => plan.is_some(),
        // One without a file beside the Agentfile is known to nobody.
        BrokerEntry::Function { definition, .. } => definition.is_some(),
        BrokerEntry::Memory { .. }
        | BrokerEntry::Credential { .. }
        | BrokerEntry::CredentialBroker { .. }
        | BrokerEntry::HealthCheck { .. }
        // A destination of tools, and with tools of its own a server that is asked.
        | BrokerEntry::Server { .. } => true,
        // Shown when it is permitted without a condition, otherwise not there at all.
        BrokerEntry::Skill { reference, .. } => reference.starts_with("./"),
        BrokerEntry::Toolset { .. } | BrokerEntry::Trace { .. } => false,
    }
}

/// Whether `server` is one that is started, or one that is reached over HTTP and has tools.
fn is_asked(plan: &Plan, server: &str) -> bool {
    plan.broker.iter().any(|entry| match entry {
        BrokerEntry::Mcp { name, plan: Some(_), .. } => name == server,
        BrokerEntry::Server { name, more, .. } => {
            name == server && (*more || plan.tools_of(name).next().is_some())
        }
        _ => false,
    })
}

/// Whether somebody counts it: the broker the calls of what it serves, and what they return; the gateway what goes to the
/// agent's destinations.
fn is_counted(plan: &Plan, counted: &CountedLimit) -> bool {
    let is_served_tool = |name: &str| {
        plan.broker.iter().any(
            |entry| matches!(entry, BrokerEntry::Tool { entity, .. } if entity == name && is_served(plan, entry)),
        )
    };
    let is_served_function = |name: &str| {
        plan.broker.iter().any(
            |entry| matches!(entry, BrokerEntry::Function { symbol, definition: Some(_), .. } if symbol == name),
        )
    };
    let is_served_skill = |name: &str| {
        plan.broker.iter().any(
            |entry| matches!(entry, BrokerEntry::Skill { definition: Some(skill), .. } if skill.name == name),
        )
    };
    !counted.applies_to.is_empty()
        && counted.applies_to.iter().all(|target| match target {
            // One of the few that there are.
            Target::Run | Target::Memory(_) | Target::Host(_) => true,
            Target::Tool(name) => is_served_tool(name),
            Target::Function(name) => is_served_function(name),
            Target::Skill(name) => is_served_skill(name),
            // The calls of its tools.
            Target::Server(server) => is_asked(plan, server),
            Target::Credential(_) => false,
        })
}
