//! Which written policies judge requests, not only connections: they need what is seen only where TLS is terminated, and
//! what is never seen on `tcp://`.

use cedar_policy::pst::{self, EntityOrSlot, Expr, ResourceConstraint, Var};

use super::{Policy, names};

/// What `context` holds of a request, and of no connection (`policies/agentrc.cedarschema`).
const OF_REQUESTS: &[&str] = &["method", "path", "url", "bytes"];

/// The hosts that a policy's scope takes in. What its conditions say of the host does not count: that may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every host.
    All,
    /// A host, or those below `*.suffix`.
    Of(String),
}

/// The hosts whose requests `policy` judges; none when it judges no request of `agent`'s.
pub(crate) fn judged(policy: &Policy, agent: &str) -> Option<Scope> {
    let body = &policy.body;
    if !names::has_action(&body.action, "network.egress")
        || names::other_principal(body, agent)
        || !mentions_requests(body)
    {
        return None;
    }
    match &body.resource {
        ResourceConstraint::Eq(EntityOrSlot::Entity(uid))
        | ResourceConstraint::In(EntityOrSlot::Entity(uid))
        | ResourceConstraint::IsIn(_, EntityOrSlot::Entity(uid)) => {
            (uid.ty.0.id.as_str() == "Host").then(|| Scope::Of(uid.eid.to_string()))
        }
        ResourceConstraint::Is(ty) => (ty.0.id.as_str() == "Host").then_some(Scope::All),
        _ => Some(Scope::All),
    }
}

/// Whether a condition looks at what only a request has, or at `context` as a whole.
fn mentions_requests(body: &pst::Template) -> bool {
    let (mut mentioned, mut uses, mut of_attributes) = (false, 0_usize, 0_usize);
    let is_context = |expression: &Expr| *expression == Expr::Var(Var::Context);
    names::clauses(body, &mut |expression| match expression {
        Expr::GetAttr { expr, attr } if is_context(expr) => {
            of_attributes += 1;
            mentioned |= OF_REQUESTS.contains(&attr.as_str());
        }
        Expr::HasAttr { expr, attrs } if is_context(expr) => {
            of_attributes += 1;
            mentioned |= OF_REQUESTS.contains(&attrs.head.as_str());
        }
        Expr::Var(Var::Context) => uses += 1,
        _ => {}
    });
    mentioned || uses > of_attributes
}
