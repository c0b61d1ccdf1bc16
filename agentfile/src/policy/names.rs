//! What a policy names: entities, actions, prefixes.

use cedar_policy::pst::{
    self, ActionConstraint, Clause, EntityOrSlot, EntityUID, Expr, Literal, PatternElem,
};

/// Calls `visit` on `expression` and everything in it. Depth is bounded by what `policy::parse` lets through.
pub(crate) fn walk<'a>(expression: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    visit(expression);
    match expression {
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. }
        | Expr::Is { expr, in_expr: None, .. } => walk(expr, visit),
        Expr::BinaryOp { left, right, .. } => {
            walk(left, visit);
            walk(right, visit);
        }
        Expr::Is { expr, in_expr: Some(other), .. } => {
            walk(expr, visit);
            walk(other, visit);
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            walk(cond, visit);
            walk(then_expr, visit);
            walk(else_expr, visit);
        }
        Expr::Set(members) => {
            for member in members {
                walk(member, visit);
            }
        }
        Expr::Record(fields) => {
            for field in fields.values() {
                walk(field, visit);
            }
        }
        _ => {}
    }
}

/// Calls `visit` on everything in the conditions of `body`.
pub(crate) fn clauses<'a>(body: &'a pst::Template, visit: &mut dyn FnMut(&'a Expr)) {
    for clause in body.clauses() {
        match clause {
            Clause::When(expression) | Clause::Unless(expression) => walk(expression, visit),
        }
    }
}

/// Entities that `body` names, in scope and conditions, actions included.
pub(crate) fn of(body: &pst::Template) -> Vec<EntityUID> {
    let mut found = Vec::new();
    if let pst::PrincipalConstraint::Eq(EntityOrSlot::Entity(uid))
    | pst::PrincipalConstraint::In(EntityOrSlot::Entity(uid))
    | pst::PrincipalConstraint::IsIn(_, EntityOrSlot::Entity(uid)) = &body.principal
    {
        found.push(uid.clone());
    }
    match &body.action {
        ActionConstraint::Any => {}
        ActionConstraint::Eq(uid) => found.push(uid.clone()),
        ActionConstraint::In(uids) => found.extend(uids.iter().cloned()),
    }
    if let pst::ResourceConstraint::Eq(EntityOrSlot::Entity(uid))
    | pst::ResourceConstraint::In(EntityOrSlot::Entity(uid))
    | pst::ResourceConstraint::IsIn(_, EntityOrSlot::Entity(uid)) = &body.resource
    {
        found.push(uid.clone());
    }
    clauses(body, &mut |expression| {
        if let Expr::Literal(Literal::EntityUID(uid)) = expression {
            found.push(uid.clone());
        }
    });
    found
}

/// What stands before the `*` of each `like "…*"`.
pub(crate) fn prefixes(body: &pst::Template) -> Vec<String> {
    let mut found = Vec::new();
    clauses(body, &mut |expression| {
        if let Expr::Like { pattern, .. } = expression
            && let Some((PatternElem::Wildcard, literal)) = pattern.split_last()
        {
            let text = literal.iter().map(|element| match element {
                PatternElem::Char(character) => Some(*character),
                PatternElem::Wildcard => None,
            });
            found.extend(text.collect::<Option<String>>());
        }
    });
    found
}

/// Whether `action` names actions, all of which begin with `prefix`.
pub(crate) fn only_actions(action: &ActionConstraint, prefix: &str) -> bool {
    match action {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(uid) => uid.eid.starts_with(prefix),
        ActionConstraint::In(uids) => uids.iter().all(|uid| uid.eid.starts_with(prefix)),
    }
}

/// Whether the scope of `body` is for one agent, and that is not `agent`.
pub(crate) fn other_principal(body: &pst::Template, agent: &str) -> bool {
    match &body.principal {
        pst::PrincipalConstraint::Eq(EntityOrSlot::Entity(uid))
        | pst::PrincipalConstraint::In(EntityOrSlot::Entity(uid))
        | pst::PrincipalConstraint::IsIn(_, EntityOrSlot::Entity(uid)) => uid.eid != agent,
        _ => false,
    }
}

/// Whether `action` takes in the action of that name.
pub(crate) fn has_action(action: &ActionConstraint, name: &str) -> bool {
    match action {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid.eid == name,
        ActionConstraint::In(uids) => uids.iter().any(|uid| uid.eid == name),
    }
}
