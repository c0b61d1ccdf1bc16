//! What the broker and the gateway serve, by class, in the order of the text.

use super::egress::scheme_word;
use super::{remote, sources};
use crate::boundary::{Boundaries, Skill};
use crate::plan::{BrokerEntry, Mapped, SKILLS, SkillDefinition, digest};
use crate::policy::permits::Permits;

/// All entries.
pub(super) fn lower(boundaries: &Boundaries, permits: &Permits) -> Vec<BrokerEntry> {
    let mut entries = Vec::new();
    entries.extend(boundaries.tools.iter().map(|tool| BrokerEntry::Tool {
        namespace: tool.namespace.clone(),
        name: tool.name.clone(),
        entity: tool.entity.clone(),
        permitted: permits.tool(&tool.entity),
        definition: tool.definition.clone().map(Box::new),
        toolset: tool.toolset.clone(),
        mapped: tool.mapped.clone().map(|(written, by)| Mapped { written, by }),
        origin: tool.place.origin.clone(),
    }));
    entries.extend(boundaries.toolsets.iter().map(|toolset| BrokerEntry::Toolset {
        reference: toolset.reference.clone(),
        origin: toolset.place.origin.clone(),
    }));
    entries.extend(boundaries.functions.iter().map(|function| BrokerEntry::Function {
        path: function.path.clone(),
        symbol: function.symbol.clone(),
        permitted: permits.function(&function.symbol),
        definition: function.definition.clone().map(Box::new),
        origin: function.place.origin.clone(),
    }));
    entries.extend(boundaries.skills.iter().map(|skill| BrokerEntry::Skill {
        reference: skill.reference.clone(),
        permitted: permits.skill(&skill.entity),
        definition: served(boundaries, skill).cloned().map(Box::new),
        origin: skill.place.origin.clone(),
    }));
    entries.extend(boundaries.servers.iter().map(|server| BrokerEntry::Server {
        name: server.name.clone(),
        host: server.host.host.clone(),
        port: server.host.port,
        scheme: scheme_word(server.host.scheme).to_owned(),
        path: server.host.path.clone(),
        credential: remote::credentials(boundaries, permits, server).next().map(|one| one.name.clone()),
        more: permits.server(&server.name),
        origin: server.host.place.origin.clone(),
    }));
    entries.extend(boundaries.mcp.iter().map(|mcp| BrokerEntry::Mcp {
        reference: mcp.reference.clone(),
        name: mcp.name.clone(),
        plan: mcp.plan.as_ref().map(|plan| {
            let mut plan = plan.clone();
            plan.sources = sources::of_others(boundaries, &mcp.name);
            plan
        }),
        more: permits.server(&mcp.name),
        origin: mcp.place.origin.clone(),
    }));
    entries.extend(boundaries.memories.iter().map(|memory| {
        let (readable, writable) = permits.memory(&memory.name);
        BrokerEntry::Memory {
            name: memory.name.clone(),
            schema_path: memory.schema_path.clone(),
            schema_type: memory.schema_type.clone(),
            readable,
            writable: memory.writable && writable,
            schema_sha256: digest::sha256_hex(memory.schema.as_bytes()),
            origin: memory.place.origin.clone(),
        }
    }));
    entries.extend(boundaries.credentials.iter().map(|credential| BrokerEntry::Credential {
        name: credential.name.clone(),
        source: credential.source.clone(),
        hosts: credential.hosts.clone(),
        inject: credential.inject.clone(),
        older_form: credential.older_form,
        origin: credential.place.origin.clone(),
    }));
    entries.extend(boundaries.brokers.iter().map(|broker| BrokerEntry::CredentialBroker {
        family: broker.reference.clone(),
        origin: broker.place.origin.clone(),
    }));
    entries.extend(boundaries.health_check.iter().map(|check| BrokerEntry::HealthCheck {
        interval_seconds: check.interval_seconds,
        timeout_seconds: check.timeout_seconds,
        retries: check.retries,
        argv: check.argv.clone(),
        origin: check.place.origin.clone(),
    }));
    entries.extend(boundaries.trace.iter().map(|trace| BrokerEntry::Trace {
        target: trace.reference.clone(),
        origin: trace.place.origin.clone(),
    }));
    entries
}

/// What makes a skill a tool. One whose script is what CMD executes is the run, and no tool of it.
pub(super) fn served<'a>(boundaries: &Boundaries, skill: &'a Skill) -> Option<&'a SkillDefinition> {
    skill.definition.as_ref().filter(|_| !is_run(boundaries, skill))
}

/// Whether what CMD executes is one of the skill's.
pub(crate) fn is_run(boundaries: &Boundaries, skill: &Skill) -> bool {
    let program = boundaries.command.as_ref().and_then(|command| command.argv.first());
    let folder = format!("{SKILLS}/{}/", skill.entity);
    program.is_some_and(|program| program.starts_with(&folder))
}
