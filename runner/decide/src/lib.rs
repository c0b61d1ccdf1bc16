//! Decisions: may this agent do this, on that, now? Asked by the broker and the gateway while a run lasts; files and
//! processes are the kernel's to decide, by mounts, Landlock and seccomp.
//!
//! A request is allowed only if *every* [`Ceiling`] of the [`Chain`] (the host's, each parent's, the Agentfile's own)
//! allows it: the policy sets are intersected, never joined. Everything that goes wrong denies: a policy that cannot be
//! read, one that fails in evaluation (Cedar would skip it, a `forbid` too), a request that is not in canonical form, a
//! chain without ceilings.
#![forbid(unsafe_code)]

mod ceiling;
mod request;

pub use ceiling::{Ceiling, LoadError};
pub use request::{Act, Call, NotCanonical, Request};

use agentfile::plan::Origin;
use cedar_policy::{Authorizer, Entities};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request is allowed by every ceiling.
    pub allow: bool,
    /// What decided: the permits of every ceiling, or the forbids of the first that denies.
    pub determining: Vec<Determining>,
    /// Why it is denied; for people, and for the audit log.
    pub denial: Option<Denial>,
    /// The permits for which a person has to be asked first (`@approval`): every one that holds, of every ceiling, also where
    /// another holds that asks nobody. Empty: no one has to be.
    pub approvals: Vec<Approval>,
}

/// A permit that holds once a person has approved it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Approval {
    /// The permit.
    pub policy: Determining,
    /// Why, as its `@approval` says.
    pub reason: String,
}

/// A policy that decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Determining {
    /// Name of its ceiling.
    pub ceiling: String,
    /// Its id.
    pub id: String,
    /// The line that it came from.
    pub origin: Origin,
}

/// Why a request is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// A `forbid` holds.
    #[error("`{ceiling}` forbids it")]
    Forbidden {
        /// Name of the ceiling.
        ceiling: String,
    },
    /// Nothing permits it.
    #[error("nothing in `{ceiling}` permits it")]
    NotPermitted {
        /// Name of the ceiling.
        ceiling: String,
    },
    /// The request cannot be judged as it is.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    /// A policy failed in evaluation, so nothing of its ceiling counts.
    #[error("a policy of `{ceiling}` failed: {fault}")]
    Failed {
        /// Name of the ceiling.
        ceiling: String,
        /// What Cedar says.
        fault: String,
    },
    /// The ceiling's policies could not be read.
    #[error("the policies of `{ceiling}` cannot be read: {fault}")]
    Unreadable {
        /// Name of the ceiling.
        ceiling: String,
        /// What was wrong.
        fault: String,
    },
    /// There is no ceiling, so nothing permits anything.
    #[error("no policies are in force")]
    NoCeiling,
}

/// Ceilings from the widest (the host's) to the narrowest (the Agentfile's own).
#[derive(Debug, Default)]
pub struct Chain {
    ceilings: Vec<Ceiling>,
}

impl Chain {
    /// A chain of these.
    #[must_use]
    pub fn new(ceilings: Vec<Ceiling>) -> Self {
        Self { ceilings }
    }

    /// Decides `request`.
    #[must_use]
    pub fn decide(&self, request: &Request) -> Decision {
        let asked = match request.asked() {
            Ok(asked) => asked,
            Err(fault) => return denied(fault.into(), Vec::new()),
        };
        if self.ceilings.is_empty() {
            return denied(Denial::NoCeiling, Vec::new());
        }
        let mut determining = Vec::new();
        let mut approvals = Vec::new();
        for ceiling in &self.ceilings {
            match ceiling.judge(&asked) {
                Ok(permits) => {
                    approvals.extend(permits.iter().filter_map(|permit| {
                        let reason = permit.approval.clone()?;
                        Some(Approval { policy: permit.determining.clone(), reason })
                    }));
                    determining.extend(permits.into_iter().map(|permit| permit.determining));
                }
                Err((denial, forbids)) => return denied(denial, forbids),
            }
        }
        approvals.sort();
        approvals.dedup();
        determining.sort();
        Decision { allow: true, determining, denial: None, approvals }
    }
}

fn denied(denial: Denial, mut determining: Vec<Determining>) -> Decision {
    determining.sort();
    Decision { allow: false, determining, denial: Some(denial), approvals: Vec::new() }
}

/// A permit that holds.
struct Permit {
    determining: Determining,
    approval: Option<String>,
}

/// What Cedar is asked, made once for all ceilings.
struct Asked {
    action: &'static str,
    /// The resource and what it is in, from the nearest.
    resources: Vec<cedar_policy::EntityUid>,
    request: cedar_policy::Request,
    entities: Entities,
    authorizer: Authorizer,
}
