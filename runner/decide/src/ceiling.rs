//! One set of policies, cut into slices when it is loaded: a decision costs about a microsecond for each policy that is
//! looked at, so only those whose scope can match are. Slices are judged one by one; since a forbid in any of them
//! denies, and a permit in any of them permits, the answer is that of the whole set.

use std::collections::HashMap;

use agentfile::plan::{Cedar, Origin};
use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, ResourceConstraint};

use crate::{Asked, Denial, Determining, Permit};

/// Why a set of policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A policy is not Cedar.
    #[error("policy `{id}` ({origin}): {fault}")]
    Unparseable {
        /// Its id.
        id: String,
        /// Its line.
        origin: Origin,
        /// What Cedar says.
        fault: String,
    },
    /// Two policies have the same id.
    #[error("two policies have the id `{0}`")]
    Duplicate(String),
}

/// Policies that bound what is allowed.
#[derive(Debug)]
pub struct Ceiling {
    name: String,
    state: State,
}

#[derive(Debug)]
enum State {
    Loaded { slices: HashMap<Key, PolicySet>, facts: HashMap<PolicyId, Facts> },
    Unreadable(String),
}

/// Which requests a slice is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// None: of every action.
    action: Option<String>,
    /// None: on every resource; otherwise the resource, or what it is in.
    resource: Option<EntityUid>,
}

#[derive(Debug)]
struct Facts {
    origin: Origin,
    approval: Option<String>,
}

impl Ceiling {
    /// The policies of a plan, under a name for denials.
    ///
    /// # Errors
    /// When a policy cannot be read.
    pub fn load(name: &str, cedar: &Cedar) -> Result<Self, LoadError> {
        let mut slices: HashMap<Key, PolicySet> = HashMap::new();
        let mut facts = HashMap::new();
        for written in &cedar.policies {
            let unparseable = |fault: String| LoadError::Unparseable {
                id: written.id.clone(),
                origin: written.origin.clone(),
                fault,
            };
            let id = PolicyId::new(&written.id);
            let policy = Policy::parse(Some(id.clone()), &written.text)
                .map_err(|error| unparseable(error.to_string()))?;
            for key in keys(&policy) {
                slices
                    .entry(key)
                    .or_default()
                    .add(policy.clone())
                    .map_err(|_| LoadError::Duplicate(written.id.clone()))?;
            }
            // An approval of a forbid would be a way round it.
            let approval = (policy.effect() == Effect::Permit).then(|| written.approval.clone()).flatten();
            let known = facts.insert(id, Facts { origin: written.origin.clone(), approval });
            if known.is_some() {
                return Err(LoadError::Duplicate(written.id.clone()));
            }
        }
        Ok(Self { name: name.to_owned(), state: State::Loaded { slices, facts } })
    }

    /// As [`Ceiling::load`], but one that cannot be read denies everything instead of being missing.
    #[must_use]
    pub fn load_or_deny(name: &str, cedar: &Cedar) -> Self {
        Self::load(name, cedar).unwrap_or_else(|error| Self {
            name: name.to_owned(),
            state: State::Unreadable(error.to_string()),
        })
    }

    /// The permits that hold, or why there is none.
    pub(crate) fn judge(&self, asked: &Asked) -> Result<Vec<Permit>, (Denial, Vec<Determining>)> {
        let ceiling = self.name.clone();
        let (slices, facts) = match &self.state {
            State::Loaded { slices, facts } => (slices, facts),
            State::Unreadable(fault) => {
                return Err((Denial::Unreadable { ceiling, fault: fault.clone() }, Vec::new()));
            }
        };
        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for key in wanted(asked) {
            let Some(slice) = slices.get(&key) else { continue };
            let response = asked.authorizer.is_authorized(&asked.request, slice, &asked.entities);
            // Cedar skips what fails, a forbid too: here it denies.
            if let Some(error) = response.diagnostics().errors().next() {
                return Err((Denial::Failed { ceiling, fault: error.to_string() }, Vec::new()));
            }
            let permitted = response.decision() == cedar_policy::Decision::Allow;
            for id in response.diagnostics().reason() {
                let Some(known) = facts.get(id) else {
                    let fault = format!("`{id}` is not one of its policies");
                    return Err((Denial::Failed { ceiling, fault }, Vec::new()));
                };
                let determining = Determining {
                    ceiling: ceiling.clone(),
                    id: id.to_string(),
                    origin: known.origin.clone(),
                };
                if permitted {
                    permits.push(Permit { determining, approval: known.approval.clone() });
                } else {
                    forbids.push(determining);
                }
            }
        }
        if !forbids.is_empty() {
            Err((Denial::Forbidden { ceiling }, forbids))
        } else if permits.is_empty() {
            Err((Denial::NotPermitted { ceiling }, Vec::new()))
        } else {
            Ok(permits)
        }
    }
}

/// The slices that `policy` belongs to: one for each action that it names.
fn keys(policy: &Policy) -> Vec<Key> {
    let resource = match policy.resource_constraint() {
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid)
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    };
    let key = |action: Option<&EntityUid>| Key {
        action: action.map(|uid| uid.id().unescaped().to_owned()),
        resource: resource.clone(),
    };
    let mut keys = match policy.action_constraint() {
        ActionConstraint::Any => vec![key(None)],
        ActionConstraint::Eq(uid) => vec![key(Some(&uid))],
        ActionConstraint::In(uids) => uids.iter().map(|uid| key(Some(uid))).collect(),
    };
    keys.sort_by(|one, other| one.action.cmp(&other.action));
    keys.dedup();
    keys
}

/// The slices that can match what is asked.
fn wanted(asked: &Asked) -> Vec<Key> {
    let resources = || std::iter::once(None).chain(asked.resources.iter().cloned().map(Some));
    [None, Some(asked.action.to_owned())]
        .into_iter()
        .flat_map(|action| resources().map(move |resource| Key { action: action.clone(), resource }))
        .collect()
}
