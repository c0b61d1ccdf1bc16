//! Authority as Cedar: each declared boundary becomes a permit scoped to exactly what its line names, each ALLOW and
//! DENY a policy; written policies follow as they stand. Policies are built as trees, never by pasting text: a name with
//! a quote in it stays a name.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::pst::{
    self, ActionConstraint, BinaryOp, Clause, Effect, EntityOrSlot, EntityType, EntityUID, Expr, Literal,
    Name, PatternElem, PrincipalConstraint, PstConstructionError, ResourceConstraint, Var,
};
use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use super::egress::scheme_word;
use crate::base::CEDAR_SCHEMA;
use crate::boundary::{Boundaries, Host, Object, Via};
use crate::place::Place;
use crate::plan::{Cedar, CedarPolicy, digest};
use crate::policy::names;
use crate::syntax::Verb;

/// A policy that cannot be built: a fault of the compiler, since names are data in the tree.
#[derive(Debug, thiserror::Error)]
#[error("policy for `{origin}` cannot be built: {source}")]
pub(crate) struct CedarFault {
    /// The line.
    origin: String,
    /// What Cedar says.
    source: PstConstructionError,
}

/// One made policy.
pub(crate) struct Made {
    id: String,
    place: Place,
    body: pst::Template,
}

impl Made {
    /// The policy without its names and literals. Whether a policy fits the schema depends on nothing else, but for the
    /// names of actions, which stay.
    pub(crate) fn shape(&self) -> String {
        let text = self.body.to_string();
        let mut shape = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('"') {
            shape.push_str(before);
            let mut escaped = false;
            let end = after.find(|character| {
                let closes = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                closes
            });
            let (literal, behind) = after.split_at_checked(end.unwrap_or(after.len())).unwrap_or((after, ""));
            if before.ends_with("Action::") {
                shape.push_str(literal);
            }
            rest = behind.strip_prefix('"').unwrap_or_default();
        }
        shape.push_str(rest);
        shape
    }

    /// Ready to be validated.
    pub(crate) fn policy(self) -> Result<cedar_policy::Policy, CedarFault> {
        let fault = |source| CedarFault { origin: self.place.origin.to_string(), source };
        let fixed = pst::StaticPolicy::try_from(self.body).map_err(|error| fault(error.into()))?;
        cedar_policy::Policy::from_pst(pst::Policy::Static(fixed)).map_err(fault)
    }
}

/// The Cedar part of the plan.
pub(super) fn lower(boundaries: &Boundaries) -> Result<Cedar, CedarFault> {
    let made = made(boundaries)?;
    let mut entities = BTreeSet::new();
    let mut placed: Vec<(usize, CedarPolicy)> = Vec::new();
    let mut name = |body: &pst::Template| {
        let named = names::of(body).into_iter().filter(|uid| uid.ty.0.id.as_str() != "Action");
        entities.extend(named.map(|uid| uid.to_string()));
    };
    for made in made {
        name(&made.body);
        let (id, at, origin) = (made.id.clone(), made.place.span.start, made.place.origin.clone());
        let mut text = made.body.to_string();
        if !text.starts_with("permit") && !text.starts_with("forbid") {
            // Cedar could not write it; its reason, or its other way of writing.
            text = made.policy()?.to_string();
        }
        placed.push((at, CedarPolicy { id, text, approval: None, origin }));
    }
    for policy in &boundaries.policies {
        name(&policy.body);
        let written = CedarPolicy {
            id: policy.id.clone(),
            text: policy.text.clone(),
            approval: policy.approval.clone(),
            origin: policy.place.origin.clone(),
        };
        placed.push((policy.place.span.start, written));
    }
    placed.sort_by_key(|(at, _)| *at);
    Ok(Cedar {
        schema_sha256: digest::sha256_hex(CEDAR_SCHEMA.as_bytes()),
        policies: placed.into_iter().map(|(_, policy)| policy).collect(),
        entities: entities.into_iter().collect(),
    })
}

/// The policies that lines other than POLICY come to.
pub(crate) fn made(boundaries: &Boundaries) -> Result<Vec<Made>, CedarFault> {
    let mut maker = Maker { agent: &boundaries.agent, made: Vec::new(), types: Types::default() };
    for share in &boundaries.shares {
        let actions: &[&str] =
            if share.writable() { &["filesystem.read", "filesystem.write"] } else { &["filesystem.read"] };
        let directive = match share.content {
            crate::boundary::Content::Bind { .. } => "bind",
            crate::boundary::Content::Private { .. } => "mount",
        };
        maker.add(
            directive,
            &share.place,
            Effect::Permit,
            actions,
            Scope::In("Path", &share.target),
            vec![],
        )?;
    }
    for host in &boundaries.hosts {
        maker.egress("url", host)?;
    }
    for server in &boundaries.servers {
        maker.egress("server", &server.host)?;
        let scope = Scope::Is("MCPServer", &server.name);
        maker.add(
            "server-request",
            &server.host.place,
            Effect::Permit,
            &["mcp.request"],
            scope,
            vec![calls()],
        )?;
    }
    for mcp in &boundaries.mcp {
        let scope = Scope::Is("MCPServer", &mcp.name);
        maker.add("mcp", &mcp.place, Effect::Permit, &["mcp.request"], scope, vec![calls()])?;
    }
    for credential in boundaries.credentials.iter().filter(|credential| !credential.hosts.is_empty()) {
        let hosts = credential.hosts.iter().map(|host| host_is(host)).reduce(or);
        let scope = Scope::Is("Credential", &credential.name);
        let conditions = hosts.into_iter().collect();
        maker.add("cred", &credential.place, Effect::Permit, &["cred.resolve"], scope, conditions)?;
    }
    for memory in &boundaries.memories {
        let actions: &[&str] =
            if memory.writable { &["memory.read", "memory.write"] } else { &["memory.read"] };
        maker.add(
            "memory",
            &memory.place,
            Effect::Permit,
            actions,
            Scope::Is("Memory", &memory.name),
            vec![],
        )?;
    }
    for rule in &boundaries.rules {
        let (directive, effect) =
            if rule.allow { ("allow", Effect::Permit) } else { ("deny", Effect::Forbid) };
        let (action, scope) = match &rule.object {
            Object::Tool(name) => ("tool.invoke", Scope::Is("Tool", name)),
            Object::Function(name) => ("function.invoke", Scope::Is("Function", name)),
            Object::Skill(name) => ("skill.invoke", Scope::Is("Skill", name)),
            Object::Host(name) => ("network.egress", Scope::In("Host", name)),
            Object::Credential(name) => ("cred.resolve", Scope::Is("Credential", name)),
            Object::Path(path) if rule.verb == Verb::Write => ("filesystem.write", Scope::In("Path", path)),
            Object::Path(path) => ("filesystem.read", Scope::In("Path", path)),
        };
        maker.add(directive, &rule.place, effect, &[action], scope, vec![])?;
    }
    Ok(maker.made)
}

/// The resource of a made policy.
enum Scope<'a> {
    /// `resource == Type::"id"`
    Is(&'static str, &'a str),
    /// `resource in Type::"id"`
    In(&'static str, &'a str),
}

struct Maker<'a> {
    agent: &'a str,
    made: Vec<Made>,
    types: Types,
}

/// Names of entity types, each read once and as a name: to read anything else Cedar makes its whole grammar ready.
#[derive(Default)]
struct Types {
    known: HashMap<&'static str, EntityType>,
}

impl Types {
    fn uid(&mut self, ty: &'static str, id: &str) -> Result<EntityUID, PstConstructionError> {
        let ty = match self.known.entry(ty) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(match format!("AgentRC::{ty}").parse::<EntityTypeName>() {
                Ok(name) => EntityUID::from(EntityUid::from_type_name_and_id(name, EntityId::new(""))).ty,
                Err(_) => EntityType::from_name(Name::qualified(["AgentRC"], ty)?),
            }),
        };
        Ok(EntityUID { ty: ty.clone(), eid: id.into() })
    }
}

impl Maker<'_> {
    fn egress(&mut self, directive: &str, host: &Host) -> Result<(), CedarFault> {
        // What the agent may fetch itself, the broker may fetch for it.
        let via = (host.via == Via::Broker).then(|| equals(context("via"), text(host.via.word())));
        let mut conditions: Vec<_> = via.into_iter().collect();
        conditions.extend([
            equals(context("scheme"), text(scheme_word(host.scheme))),
            equals(context("port"), Expr::Literal(Literal::Long(i64::from(host.port)))),
        ]);
        if let Some(path) = &host.path {
            let folder = path.strip_suffix('/').unwrap_or(path);
            let beneath = like(context("path"), &format!("{folder}/"), "");
            conditions.push(or(equals(context("path"), text(folder)), beneath));
        }
        let condition = conditions.into_iter().reduce(and);
        let scope = Scope::In("Host", &host.host);
        let conditions = condition.into_iter().collect();
        self.add(directive, &host.place, Effect::Permit, &["network.egress"], scope, conditions)
    }

    fn add(
        &mut self,
        directive: &str,
        place: &Place,
        effect: Effect,
        actions: &[&str],
        scope: Scope<'_>,
        conditions: Vec<Expr>,
    ) -> Result<(), CedarFault> {
        let id = format!("{directive}@{}", place.origin.line);
        let fault = |source| CedarFault { origin: place.origin.to_string(), source };
        let body = self.body(&id, effect, actions, scope, conditions).map_err(fault)?;
        self.made.push(Made { id, place: place.clone(), body });
        Ok(())
    }

    fn body(
        &mut self,
        id: &str,
        effect: Effect,
        actions: &[&str],
        scope: Scope<'_>,
        conditions: Vec<Expr>,
    ) -> Result<pst::Template, PstConstructionError> {
        let mut entity = |ty, id: &str| self.types.uid(ty, id).map(EntityOrSlot::Entity);
        let resource = match scope {
            Scope::Is(ty, id) => ResourceConstraint::Eq(entity(ty, id)?),
            Scope::In(ty, id) => ResourceConstraint::In(entity(ty, id)?),
        };
        let principal = PrincipalConstraint::Eq(entity("Agent", self.agent)?);
        let actions =
            actions.iter().map(|action| self.types.uid("Action", action)).collect::<Result<Vec<_>, _>>()?;
        let action = match <[EntityUID; 1]>::try_from(actions) {
            Ok([action]) => ActionConstraint::Eq(action),
            Err(actions) => ActionConstraint::In(actions),
        };
        pst::Template::new(id, effect, principal, action, resource)
            .try_with_clauses(conditions.into_iter().map(|condition| Clause::When(Arc::new(condition))))
    }
}

fn context(attribute: &str) -> Expr {
    Expr::GetAttr { expr: Arc::new(Expr::Var(Var::Context)), attr: attribute.into() }
}

fn text(literal: &str) -> Expr {
    Expr::Literal(Literal::String(literal.into()))
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { op, left: Arc::new(left), right: Arc::new(right) }
}

fn equals(left: Expr, right: Expr) -> Expr {
    binary(BinaryOp::Eq, left, right)
}

fn and(left: Expr, right: Expr) -> Expr {
    binary(BinaryOp::And, left, right)
}

fn or(left: Expr, right: Expr) -> Expr {
    binary(BinaryOp::Or, left, right)
}

/// `of like "before*after"`, with nothing in `before` and `after` special.
fn like(of: Expr, before: &str, after: &str) -> Expr {
    let characters = |text: &str| text.chars().map(PatternElem::Char).collect::<Vec<_>>();
    let mut pattern = characters(before);
    pattern.push(PatternElem::Wildcard);
    pattern.append(&mut characters(after));
    Expr::Like { expr: Arc::new(of), pattern }
}

/// Calls of a server's tools: resources, prompts, and what a server asks for need a policy that says so.
fn calls() -> Expr {
    equals(context("method"), text("tools/call"))
}

/// `context.host` is that host, or below it for `*.suffix`.
fn host_is(host: &str) -> Expr {
    match host.strip_prefix('*') {
        Some(suffix) => like(context("host"), "", suffix),
        None => equals(context("host"), text(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::{Origin, Span};

    #[test]
    fn a_shape_keeps_everything_but_names_and_literals() {
        let place = Place { span: Span::default(), origin: Origin::builtin("test") };
        let mut maker = Maker { agent: "x", made: Vec::new(), types: Types::default() };
        for name in ["a", "b\"c\\", "\\"] {
            let conditions = vec![equals(context("host"), text(name))];
            let scope = Scope::Is("Credential", name);
            maker.add("cred", &place, Effect::Permit, &["cred.resolve"], scope, conditions).unwrap();
        }
        maker.add("deny", &place, Effect::Forbid, &["tool.invoke"], Scope::Is("Tool", "t"), vec![]).unwrap();
        let shapes: Vec<_> = maker.made.iter().map(Made::shape).collect();
        assert_eq!(shapes[0], shapes[1]);
        assert_eq!(shapes[0], shapes[2]);
        assert_eq!(
            shapes[0],
            "permit(principal == AgentRC::Agent::, action == AgentRC::Action::cred.resolve, resource == AgentRC::Credential::) when { context.host ==  };"
        );
        assert_ne!(shapes[0], shapes[3]);
    }
}
