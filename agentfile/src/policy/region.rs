//! Which paths a `filesystem.*` policy is about. Only conditions that name paths outright can be held by the kernel: it
//! knows paths, not policies. Everything else is an error that says what was met.

use std::collections::HashSet;

use cedar_policy::pst::{self, BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, PatternElem, Var};

/// A set of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Region {
    /// Every path.
    All,
    /// The union of these.
    Paths(Vec<Pattern>),
}

/// Some paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Pattern {
    /// This path, and, as for every rule on a folder, what is beneath it. `folder` when it was written as `…/*`.
    Subtree {
        /// Absolute and normalised.
        path: String,
        /// Written as a folder.
        folder: bool,
    },
    /// Every path whose text begins so (`like "/work*"`): not at the border of a part.
    Prefix(String),
}

impl Pattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Subtree { path, .. }, Self::Subtree { path: other, .. }) => {
                crate::path::is_beneath(other, path)
            }
            // A prefix as long as a path in the folder, slash included, stays in it.
            (Self::Subtree { path, .. }, Self::Prefix(prefix)) => {
                prefix.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }
            (Self::Prefix(prefix), Self::Subtree { path, .. }) => path.starts_with(prefix.as_str()),
            (Self::Prefix(prefix), Self::Prefix(other)) => other.starts_with(prefix.as_str()),
        }
    }
}

/// Why a condition cannot be held by a kernel layer.
pub(crate) type Unholdable = String;

impl Region {
    fn nothing() -> Self {
        Self::Paths(Vec::new())
    }

    fn of(pattern: Pattern) -> Self {
        Self::Paths(vec![pattern])
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, region) | (region, Self::All) => region,
            (Self::Paths(left), Self::Paths(right)) => {
                let mut both = Vec::new();
                let mut known = HashSet::new();
                for one in &left {
                    for other in &right {
                        let narrower = if one.covers(other) {
                            other
                        } else if other.covers(one) {
                            one
                        } else {
                            continue;
                        };
                        if known.insert(narrower) {
                            both.push(narrower.clone());
                        }
                    }
                }
                Self::Paths(both)
            }
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Paths(mut left), Self::Paths(right)) => {
                left.extend(right);
                Self::Paths(left)
            }
        }
    }
}

/// The paths that `body` speaks of when the agent `agent` asks.
pub(crate) fn of(body: &pst::Template, agent: &str) -> Result<Region, Unholdable> {
    let mut region = match &body.principal {
        pst::PrincipalConstraint::Any | pst::PrincipalConstraint::Is(_) => Region::All,
        pst::PrincipalConstraint::Eq(EntityOrSlot::Entity(uid))
        | pst::PrincipalConstraint::In(EntityOrSlot::Entity(uid))
        | pst::PrincipalConstraint::IsIn(_, EntityOrSlot::Entity(uid)) => principal(uid, agent),
        _ => return Err("a slot".to_owned()),
    };
    region = region.and(match &body.resource {
        pst::ResourceConstraint::Any => Region::All,
        pst::ResourceConstraint::Is(ty) => of_type(ty),
        pst::ResourceConstraint::Eq(EntityOrSlot::Entity(uid))
        | pst::ResourceConstraint::In(EntityOrSlot::Entity(uid)) => resource(uid)?,
        pst::ResourceConstraint::IsIn(ty, EntityOrSlot::Entity(uid)) => of_type(ty).and(resource(uid)?),
        _ => return Err("a slot".to_owned()),
    });
    for clause in body.clauses() {
        // What it is about already is no path; the rest is not about files.
        if region == Region::nothing() {
            break;
        }
        match clause {
            Clause::When(expression) => region = region.and(condition(expression, agent)?),
            Clause::Unless(_) => return Err("`unless`".to_owned()),
        }
    }
    Ok(region)
}

fn principal(uid: &EntityUID, agent: &str) -> Region {
    if uid.eid == agent { Region::All } else { Region::nothing() }
}

fn of_type(ty: &pst::EntityType) -> Region {
    if ty.0.id.as_str() == "Path" { Region::All } else { Region::nothing() }
}

fn resource(uid: &EntityUID) -> Result<Region, Unholdable> {
    if uid.ty.0.id.as_str() == "Path" { path(&uid.eid, false).map(Region::of) } else { Ok(Region::nothing()) }
}

fn path(text: &str, folder: bool) -> Result<Pattern, Unholdable> {
    match crate::path::inside(text) {
        Ok(path) => Ok(Pattern::Subtree { path, folder }),
        Err(crate::path::PathFault::Root) => Ok(Pattern::Prefix("/".to_owned())),
        Err(fault) => Err(format!("the path `{text}`, which {fault}")),
    }
}

fn condition(expression: &Expr, agent: &str) -> Result<Region, Unholdable> {
    match expression {
        Expr::Literal(Literal::Bool(true)) => Ok(Region::All),
        Expr::Literal(Literal::Bool(false)) => Ok(Region::nothing()),
        Expr::BinaryOp { op: BinaryOp::And, left, right } => {
            Ok(condition(left, agent)?.and(condition(right, agent)?))
        }
        Expr::BinaryOp { op: BinaryOp::Or, left, right } => {
            Ok(condition(left, agent)?.or(condition(right, agent)?))
        }
        Expr::BinaryOp { op: BinaryOp::Eq, left, right } => match (&**left, &**right) {
            (Expr::Literal(Literal::String(text)), other) | (other, Expr::Literal(Literal::String(text)))
                if is_context_path(other) =>
            {
                path(text, false).map(Region::of)
            }
            (Expr::Var(Var::Resource), Expr::Literal(Literal::EntityUID(uid)))
            | (Expr::Literal(Literal::EntityUID(uid)), Expr::Var(Var::Resource)) => resource(uid),
            (Expr::Var(Var::Principal), Expr::Literal(Literal::EntityUID(uid)))
            | (Expr::Literal(Literal::EntityUID(uid)), Expr::Var(Var::Principal)) => {
                Ok(principal(uid, agent))
            }
            _ => Err(format!("`{expression}`")),
        },
        Expr::BinaryOp { op: BinaryOp::In, left, right } if **left == Expr::Var(Var::Resource) => {
            match &**right {
                Expr::Literal(Literal::EntityUID(uid)) => resource(uid),
                Expr::Set(members) => {
                    members.iter().try_fold(Region::nothing(), |region, member| match &**member {
                        Expr::Literal(Literal::EntityUID(uid)) => Ok(region.or(resource(uid)?)),
                        _ => Err(format!("`{expression}`")),
                    })
                }
                _ => Err(format!("`{expression}`")),
            }
        }
        Expr::BinaryOp { op: BinaryOp::Contains, left, right } if is_context_path(right) => match &**left {
            Expr::Set(members) => {
                members.iter().try_fold(Region::nothing(), |region, member| match &**member {
                    Expr::Literal(Literal::String(text)) => Ok(region.or(Region::of(path(text, false)?))),
                    _ => Err(format!("`{expression}`")),
                })
            }
            _ => Err(format!("`{expression}`")),
        },
        Expr::Is { expr, entity_type, in_expr: None } if **expr == Expr::Var(Var::Resource) => {
            Ok(of_type(entity_type))
        }
        Expr::Like { expr, pattern } if is_context_path(expr) => {
            like(pattern).ok_or_else(|| format!("`{expression}`"))?
        }
        _ => Err(format!("`{expression}`")),
    }
}

fn is_context_path(expression: &Expr) -> bool {
    matches!(expression, Expr::GetAttr { expr, attr } if **expr == Expr::Var(Var::Context) && attr == "path")
}

/// `"/a/b"`, `"/a/*"`, `"/a*"`; nothing with a `*` elsewhere.
fn like(pattern: &[PatternElem]) -> Option<Result<Region, Unholdable>> {
    let (wildcard, literal) = match pattern.split_last() {
        Some((PatternElem::Wildcard, literal)) => (true, literal),
        _ => (false, pattern),
    };
    let text = literal
        .iter()
        .map(|element| match element {
            PatternElem::Char(character) => Some(*character),
            PatternElem::Wildcard => None,
        })
        .collect::<Option<String>>()?;
    Some(match (wildcard, text.strip_suffix('/')) {
        (false, _) => path(&text, false).map(Region::of),
        (true, Some("")) => Ok(Region::of(Pattern::Prefix("/".to_owned()))),
        (true, Some(folder)) => path(folder, true).map(Region::of),
        (true, None) if text.is_empty() => Ok(Region::All),
        (true, None) if text.starts_with('/') => Ok(Region::of(Pattern::Prefix(text))),
        (true, None) => Ok(Region::nothing()),
    })
}
