//! What is refused, as it is told to the supervisor.

use serde::{Deserialize, Serialize};

use crate::channel::cut;
use crate::limit::Limit;

/// Something that is denied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// What was tried: `resolve evil.example`, `GET https://…`, `call file_read`.
    pub act: String,
    /// What whoever tried it got: `NXDOMAIN`, `reset`, `403`, `refused`, `limited`.
    pub verdict: String,
    /// Why, as a clause in lower case.
    pub reason: String,
    /// The rule that decided, or the line that set the limit; empty when there is none.
    pub rule: String,
    /// The limit that is reached, if that is the reason.
    pub limit: Option<String>,
}

impl Denied {
    /// By a rule, or for want of one.
    #[must_use]
    pub fn new(act: &str, verdict: &str, reason: &str, rule: &str) -> Self {
        Self {
            act: act.to_owned(),
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
            rule: rule.to_owned(),
            limit: None,
        }
        .cut()
    }

    /// Because a limit is reached.
    #[must_use]
    pub fn limited(limit: &Limit, act: &str) -> Self {
        let reason = format!("the limit `{}` is reached", limit.name());
        Self { limit: Some(limit.name().to_owned()), ..Self::new(act, "limited", &reason, limit.origin()) }
    }

    /// The same with every text cut, whoever made it.
    #[must_use]
    pub fn cut(self) -> Self {
        Self {
            act: cut(&self.act),
            verdict: cut(&self.verdict),
            reason: cut(&self.reason),
            rule: cut(&self.rule),
            limit: self.limit.as_deref().map(cut),
        }
    }
}
