//! A ticket, and what is decided about it, as they are kept.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One call that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// [`super::FORMAT`].
    pub format: u32,
    /// Its name.
    pub id: String,
    /// The run.
    pub run: String,
    /// Name of the agent.
    pub agent: String,
    /// What is called: `call file_write /work/a`.
    pub act: String,
    /// All of its arguments, as canonical JSON.
    pub arguments: String,
    /// SHA-256 (hex) of them.
    pub arguments_sha256: String,
    /// What it does to a memory, in words, where content that is not trusted changes one.
    pub effect: Option<String>,
    /// Why a person is asked.
    pub reasons: Vec<String>,
    /// The policies and the rules of the host that ask.
    pub policies: Vec<Policy>,
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// Until when it can be decided: RFC 3339, UTC.
    pub expires: String,
}

impl Ticket {
    /// Whether nobody can decide it any more, by the time of day: a host that was asleep has missed none of it. A time that cannot be
    /// read is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Timestamp::now() >= self.expires.parse().unwrap_or(Timestamp::MIN)
    }
}

/// What asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Id of a policy, or the name of a setting.
    pub id: String,
    /// `file:line:column`.
    pub origin: String,
}

impl fmt::Display for Policy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} [{}]", self.id, self.origin)
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// [`super::FORMAT`].
    pub format: u32,
    /// [`Ticket::id`].
    pub ticket: String,
    /// [`Ticket::arguments_sha256`]: what was looked at.
    pub arguments_sha256: String,
    /// What.
    pub outcome: Outcome,
    /// For what it holds.
    pub scope: Scope,
    /// User id of who decided; `None` where nobody did.
    pub by: Option<u32>,
    /// Why, where nobody did.
    pub reason: Option<String>,
    /// When: RFC 3339, UTC.
    pub decided: String,
}

impl Decision {
    /// What this process's user decides about `ticket`, now.
    #[must_use]
    pub fn by_this_user(ticket: &Ticket, outcome: Outcome, scope: Scope) -> Self {
        Self {
            format: super::FORMAT,
            ticket: ticket.id.clone(),
            arguments_sha256: ticket.arguments_sha256.clone(),
            outcome,
            scope,
            by: Some(rustix::process::getuid().as_raw()),
            reason: None,
            decided: agentrc_audit::line::now(),
        }
    }
}

/// How a ticket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The call may go on, if the policies still permit it.
    Approved,
    /// It may not.
    Denied,
    /// Nobody decided in time: it may not.
    Expired,
}

impl Outcome {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }
}

/// For what an approval holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The call that asked.
    Once,
    /// Calls of the same act with the same arguments, as long as the run lasts.
    Run {
        /// How many, the one that asked included; `None` as many as there are.
        count: Option<u32>,
    },
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => out.write_str("once"),
            Self::Run { count: None } => out.write_str("run"),
            Self::Run { count: Some(count) } => write!(out, "run, {count} times"),
        }
    }
}
