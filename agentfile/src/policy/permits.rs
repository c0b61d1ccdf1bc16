//! Which tools, functions, skills and servers something permits, as far as scopes and lists say. A condition on anything else may
//! hold, and so permits: this answers "could it ever be used", not "may it be used now", which is Cedar's to say.

use std::collections::HashSet;

use cedar_policy::pst::{self, BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, Var};

use super::names;
use crate::boundary::{Boundaries, Object};
use crate::server::tool_of;

/// What is permitted.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    tools: Kind,
    functions: Kind,
    skills: Kind,
    /// By a forbid without a condition: whatever permits it, it is never used.
    forbidden_tools: Kind,
    forbidden_functions: Kind,
    /// Memories, whose lines permit what they say.
    forbidden_reads: Kind,
    forbidden_writes: Kind,
    /// By written policies that name it: the line of a server permits the calls of its tools, and nothing else of it.
    servers: HashSet<String>,
    /// Skills are files, and shown or not for the whole run: only permits without a condition count, and a forbid
    /// that may hold does.
    forbidden_skills: Kind,
}

#[derive(Debug, Default)]
struct Kind {
    all: bool,
    named: HashSet<String>,
    /// Servers, whose tools they are.
    of: HashSet<String>,
}

impl Kind {
    fn holds(&self, name: &str) -> bool {
        let server = tool_of(name).map(|(server, _)| server);
        self.all || self.named.contains(name) || server.is_some_and(|server| self.of.contains(server))
    }

    fn take(&mut self, ty: &str, resources: &Resources) {
        match resources {
            Resources::Any => self.all = true,
            Resources::Type(name) => self.all |= name == ty,
            Resources::Named(uids) => {
                for uid in uids {
                    let of = uid.ty.0.id.as_str();
                    if of == ty {
                        self.named.insert(uid.eid.to_string());
                    } else if ty == "Tool" && of == "MCPServer" {
                        self.of.insert(uid.eid.to_string());
                    }
                }
            }
        }
    }
}

impl Permits {
    /// Of everything that `boundaries` declares.
    pub(crate) fn of(boundaries: &Boundaries) -> Self {
        let mut permits = Self::default();
        for rule in boundaries.rules.iter().filter(|rule| rule.allow) {
            match &rule.object {
                Object::Tool(name) => permits.tools.named.insert(name.clone()),
                Object::Function(name) => permits.functions.named.insert(name.clone()),
                Object::Skill(name) => permits.skills.named.insert(name.clone()),
                Object::Path(_) | Object::Host(_) | Object::Credential(_) => false,
            };
        }
        for rule in boundaries.rules.iter().filter(|rule| !rule.allow) {
            match &rule.object {
                Object::Tool(name) => permits.forbidden_tools.named.insert(name.clone()),
                Object::Function(name) => permits.forbidden_functions.named.insert(name.clone()),
                Object::Skill(name) => permits.forbidden_skills.named.insert(name.clone()),
                Object::Path(_) | Object::Host(_) | Object::Credential(_) => false,
            };
        }
        for policy in &boundaries.policies {
            let resources = resources(&policy.body);
            let skills = if policy.permits() { &mut permits.skills } else { &mut permits.forbidden_skills };
            let unconditional = policy.body.clauses().is_empty() && policy.approval.is_none();
            if (unconditional || !policy.permits()) && names::has_action(&policy.body.action, "skill.invoke")
            {
                skills.take("Skill", &resources);
            }
            let all = policy.body.principal == pst::PrincipalConstraint::Any;
            let take = |action, kind: &mut Kind, ty| {
                if names::has_action(&policy.body.action, action) {
                    kind.take(ty, &resources);
                }
            };
            if policy.permits() {
                take("tool.invoke", &mut permits.tools, "Tool");
                take("function.invoke", &mut permits.functions, "Function");
                if let Resources::Named(uids) = &resources
                    && names::has_action(&policy.body.action, "mcp.request")
                {
                    let named = uids.iter().filter(|uid| uid.ty.0.id.as_str() == "MCPServer");
                    permits.servers.extend(named.map(|uid| uid.eid.to_string()));
                }
            } else if unconditional && all {
                take("tool.invoke", &mut permits.forbidden_tools, "Tool");
                take("function.invoke", &mut permits.forbidden_functions, "Function");
                take("memory.read", &mut permits.forbidden_reads, "Memory");
                take("memory.write", &mut permits.forbidden_writes, "Memory");
            }
        }
        permits
    }

    /// Whether `Tool::"name"` may be used.
    pub(crate) fn tool(&self, name: &str) -> bool {
        self.tools.holds(name) && !self.forbidden_tools.holds(name)
    }

    /// Whether `Function::"name"` may be used.
    pub(crate) fn function(&self, name: &str) -> bool {
        self.functions.holds(name) && !self.forbidden_functions.holds(name)
    }

    /// Whether `Tool::"name"` or `Function::"name"` is forbidden, whatever else is said.
    pub(crate) fn forbids(&self, name: &str) -> bool {
        self.forbidden_tools.holds(name) || self.forbidden_functions.holds(name)
    }

    /// Whether `Memory::"name"` may be read, and written, as far as its line says so.
    pub(crate) fn memory(&self, name: &str) -> (bool, bool) {
        (!self.forbidden_reads.holds(name), !self.forbidden_writes.holds(name))
    }

    /// Whether `MCPServer::"name"` may be asked for, or ask for, more than calls of its tools.
    pub(crate) fn server(&self, name: &str) -> bool {
        self.servers.contains(name)
    }

    /// Whether `Skill::"name"` may be used throughout the run.
    pub(crate) fn skill(&self, name: &str) -> bool {
        self.skills.holds(name) && !self.forbidden_skills.holds(name)
    }
}

enum Resources {
    Any,
    Type(String),
    Named(Vec<EntityUID>),
}

fn resources(body: &pst::Template) -> Resources {
    let scope = match &body.resource {
        pst::ResourceConstraint::Eq(EntityOrSlot::Entity(uid))
        | pst::ResourceConstraint::In(EntityOrSlot::Entity(uid))
        | pst::ResourceConstraint::IsIn(_, EntityOrSlot::Entity(uid)) => {
            return Resources::Named(vec![uid.clone()]);
        }
        pst::ResourceConstraint::Is(ty) => Resources::Type(ty.0.id.as_str().to_owned()),
        _ => Resources::Any,
    };
    let listed = body.clauses().iter().find_map(|clause| match clause {
        Clause::When(expression) => listed(expression),
        Clause::Unless(_) => None,
    });
    listed.map_or(scope, Resources::Named)
}

/// The entities of `resource in [A, B]`, `resource == A`, and of those joined by `||`, or by `&&` with anything.
fn listed(expression: &Expr) -> Option<Vec<EntityUID>> {
    let Expr::BinaryOp { op, left, right } = expression else { return None };
    match op {
        BinaryOp::And => listed(left).or_else(|| listed(right)),
        BinaryOp::Or => {
            let mut both = listed(left)?;
            both.extend(listed(right)?);
            Some(both)
        }
        BinaryOp::Eq | BinaryOp::In if **left == Expr::Var(Var::Resource) => match &**right {
            Expr::Literal(Literal::EntityUID(uid)) => Some(vec![uid.clone()]),
            Expr::Set(members) => members
                .iter()
                .map(|member| match &**member {
                    Expr::Literal(Literal::EntityUID(uid)) => Some(uid.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        },
        _ => None,
    }
}
