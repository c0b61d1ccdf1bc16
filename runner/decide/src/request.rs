//! What can be asked. Every act carries all that its action's context holds (`policies/agentrc.cedarschema`), so that a
//! condition never meets a missing attribute; names are checked to be canonical, so that one thing has one name.

use std::collections::{HashMap, HashSet};
use std::str::FromStr as _;
use std::sync::LazyLock;

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
};

use crate::Asked;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Name of the agent that asks.
    pub agent: String,
    /// What it wants to do.
    pub act: Act,
}

/// An action on a resource, with the facts that policies may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Act {
    /// `tool.invoke` on `Tool::"name"`. `server` for a tool of an MCP server.
    Tool { call: Call, server: Option<String> },
    /// `function.invoke` on `Function::"name"`.
    Function { call: Call },
    /// `skill.invoke` on `Skill::"name"`.
    Skill { name: String },
    /// `cred.resolve` on `Credential::"name"`.
    Resolve { name: String, host: String, port: u16, inject: String },
    /// `network.egress` on `Host::"host"`. `bytes`: announced length of the request's body, `i64::MAX` when it is not
    /// announced; 0, and the texts empty, where requests are not seen.
    Egress {
        via: String,
        scheme: String,
        host: String,
        port: u16,
        method: String,
        path: String,
        url: String,
        bytes: i64,
    },
    /// `filesystem.read` on `Path::"path"`.
    Read { path: String },
    /// `filesystem.write` on `Path::"path"`.
    Write { path: String },
    /// `memory.read` on `Memory::"name"`.
    MemoryRead { name: String, schema: String, trust: String },
    /// `memory.write` on `Memory::"name"`.
    MemoryWrite { name: String, schema: String, trust: String },
    /// `mcp.request` on `MCPServer::"server"`.
    Mcp { server: String, method: String, tool: String, url: String },
    /// `agent.delegate` on `Agent::"to"`.
    Delegate { to: String, depth: i64 },
}

/// A call of a tool or function. Facts that it does not have are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Its name, as policies know it.
    pub name: String,
    /// `utcp`, `mcp`, `local`, …
    pub namespace: String,
    /// Its arguments as canonical JSON.
    pub arguments: String,
    /// A path that the arguments name.
    pub path: String,
    /// A URL that they name.
    pub url: String,
    /// The host of that URL.
    pub host: String,
    /// A method that they name.
    pub method: String,
    /// Who asks: `agent`.
    pub caller: String,
    /// How often this one was called in this run, this call included.
    pub call_count: i64,
    /// The least trusted of what the agent has been given in this run: `trusted`, `tool`, `network`.
    pub trust: String,
}

impl Call {
    /// What policies compare has to be canonical, or absent.
    fn check(&self) -> Result<(), NotCanonical> {
        // The root, too, can be listed.
        if !matches!(self.path.as_str(), "" | "/") {
            canonical_path(&self.path)?;
        }
        if !self.host.is_empty() {
            canonical_host(&self.host)?;
        }
        Ok(())
    }
}

/// A name in a form that policies cannot be expected to match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a canonical {kind}")]
pub struct NotCanonical {
    /// The name.
    pub name: String,
    /// `path`, `host`, `request`.
    pub kind: &'static str,
}

enum Fact {
    Text(String),
    Number(i64),
}

impl Request {
    /// What Cedar is asked.
    pub(crate) fn asked(&self) -> Result<Asked, NotCanonical> {
        let (action, kind, id, facts) = self.parts();
        let parents = self.parents()?;
        let resource = uid(kind, &id)?;
        let above = parents.iter().map(|(kind, id)| uid(kind, id)).collect::<Result<Vec<_>, _>>()?;
        let principal = uid("Agent", &self.agent)?;

        let context = Context::from_pairs(facts.into_iter().map(|(name, fact)| {
            let value = match fact {
                Fact::Text(text) => RestrictedExpression::new_string(text),
                Fact::Number(number) => RestrictedExpression::new_long(number),
            };
            (name.to_owned(), value)
        }))
        .map_err(|_| unusable(&id))?;
        let request = cedar_policy::Request::new(
            principal.clone(),
            uid("Action", action)?,
            resource.clone(),
            context,
            None,
        )
        .map_err(|_| unusable(&id))?;
        let entity = Entity::new_no_attrs(resource.clone(), above.iter().cloned().collect::<HashSet<_>>());
        // An agent that delegates to itself is one entity.
        let entities: HashMap<_, _> = above
            .iter()
            .map(|uid| Entity::with_uid(uid.clone()))
            .chain([Entity::with_uid(principal), entity])
            .map(|entity| (entity.uid(), entity))
            .collect();
        let entities = Entities::from_entities(entities.into_values(), None).map_err(|_| unusable(&id))?;
        let resources = std::iter::once(resource).chain(above).collect();
        Ok(Asked { action, resources, request, entities, authorizer: Authorizer::new() })
    }

    /// Action, kind and id of the resource, and the context.
    fn parts(&self) -> (&'static str, &'static str, String, Vec<(&'static str, Fact)>) {
        let text = |text: &String| Fact::Text(text.clone());
        let call = |call: &Call| {
            vec![
                ("name", text(&call.name)),
                ("namespace", text(&call.namespace)),
                ("args", text(&call.arguments)),
                ("path", text(&call.path)),
                ("url", text(&call.url)),
                ("host", text(&call.host)),
                ("method", text(&call.method)),
                ("caller", text(&call.caller)),
                ("call_count", Fact::Number(call.call_count)),
                ("trust", text(&call.trust)),
            ]
        };
        let memory = |name, schema, trust| {
            vec![("name", text(name)), ("schema", text(schema)), ("trust", text(trust))]
        };
        match &self.act {
            Act::Tool { call: made, .. } => ("tool.invoke", "Tool", made.name.clone(), call(made)),
            Act::Function { call: made } => ("function.invoke", "Function", made.name.clone(), call(made)),
            Act::Skill { name } => ("skill.invoke", "Skill", name.clone(), vec![("name", text(name))]),
            Act::Resolve { name, host, port, inject } => (
                "cred.resolve",
                "Credential",
                name.clone(),
                vec![("host", text(host)), ("port", Fact::Number((*port).into())), ("inject", text(inject))],
            ),
            Act::Egress { via, scheme, host, port, method, path, url, bytes } => (
                "network.egress",
                "Host",
                host.clone(),
                vec![
                    ("via", text(via)),
                    ("scheme", text(scheme)),
                    ("host", text(host)),
                    ("port", Fact::Number((*port).into())),
                    ("method", text(method)),
                    ("path", text(path)),
                    ("url", text(url)),
                    ("bytes", Fact::Number(*bytes)),
                ],
            ),
            Act::Read { path } => ("filesystem.read", "Path", path.clone(), vec![("path", text(path))]),
            Act::Write { path } => ("filesystem.write", "Path", path.clone(), vec![("path", text(path))]),
            Act::MemoryRead { name, schema, trust } => {
                ("memory.read", "Memory", name.clone(), memory(name, schema, trust))
            }
            Act::MemoryWrite { name, schema, trust } => {
                ("memory.write", "Memory", name.clone(), memory(name, schema, trust))
            }
            Act::Mcp { server, method, tool, url } => (
                "mcp.request",
                "MCPServer",
                server.clone(),
                vec![
                    ("server", text(server)),
                    ("method", text(method)),
                    ("tool", text(tool)),
                    ("url", text(url)),
                ],
            ),
            Act::Delegate { to, depth } => {
                ("agent.delegate", "Agent", to.clone(), vec![("depth", Fact::Number(*depth))])
            }
        }
    }

    /// What the resource is in: folders, `*.suffix`es, the server.
    fn parents(&self) -> Result<Vec<(&'static str, String)>, NotCanonical> {
        match &self.act {
            Act::Read { path } | Act::Write { path } => {
                canonical_path(path)?;
                let folders = agentfile::path::ancestors(path).map(|folder| ("Path", folder.to_owned()));
                Ok(folders.chain([("Path", "/".to_owned())]).collect())
            }
            Act::Egress { host, .. } => {
                canonical_host(host)?;
                let suffixes = host.match_indices('.').filter_map(|(at, _)| host.get(at..));
                // The suffixes of an address are not names.
                let is_address = host.parse::<std::net::IpAddr>().is_ok();
                Ok(suffixes.filter(|_| !is_address).map(|suffix| ("Host", format!("*{suffix}"))).collect())
            }
            Act::Resolve { host, .. } => canonical_host(host).map(|()| Vec::new()),
            Act::Tool { call, server } => {
                call.check()?;
                Ok(server.iter().map(|server| ("MCPServer", server.clone())).collect())
            }
            Act::Function { call } => call.check().map(|()| Vec::new()),
            _ => Ok(Vec::new()),
        }
    }
}

fn unusable(name: &str) -> NotCanonical {
    NotCanonical { name: name.to_owned(), kind: "request" }
}

/// The kinds of entities that requests are about. Parsed once: Cedar's parser takes longer than its decision.
static KINDS: LazyLock<HashMap<&str, EntityTypeName>> = LazyLock::new(|| {
    let kinds =
        ["Action", "Agent", "Credential", "Function", "Host", "MCPServer", "Memory", "Path", "Skill", "Tool"];
    let parsed = |kind| Some((kind, EntityTypeName::from_str(&format!("AgentRC::{kind}")).ok()?));
    kinds.into_iter().filter_map(parsed).collect()
});

fn uid(kind: &str, id: &str) -> Result<EntityUid, NotCanonical> {
    // Kinds are words of this file; ids are data, and stay so.
    let kind = KINDS.get(kind).ok_or_else(|| unusable(id))?;
    Ok(EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id)))
}

/// Absolute and normalised.
fn canonical_path(path: &str) -> Result<(), NotCanonical> {
    if agentfile::path::inside(path).as_deref() == Ok(path) {
        Ok(())
    } else {
        Err(NotCanonical { name: path.to_owned(), kind: "path" })
    }
}

/// A DNS name in lower case without a trailing dot, or an address as Rust writes it. A name that ends in a number is one
/// of the odd spellings of an address (`127.1`, `0x7f.1`, `2130706433`).
fn canonical_host(host: &str) -> Result<(), NotCanonical> {
    let label = |label: &str| {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(fits)
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let number = last.starts_with(|first: char| first.is_ascii_digit());
    let name = host.len() <= 253 && host.split('.').all(label) && !number;
    let address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_string() == host);
    if name || address { Ok(()) } else { Err(NotCanonical { name: host.to_owned(), kind: "host" }) }
}
