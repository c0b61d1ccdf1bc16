//! A change that waits for a person, and the confirmation that lets exactly it happen.

use std::fmt;

use agentrc_audit::line::Digest;
use agentrc_audit::text::printable_text;

use crate::error::Error;
use crate::provenance::Trust;

/// Separates these digests from all others.
const DOMAIN: &[u8] = b"agentrc memory effect v1\n";

/// What happens to the value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It becomes this JSON.
    Write(String),
    /// It goes.
    Delete,
}

/// One change of one state of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub(crate) store: [u8; 16],
    pub(crate) agent: String,
    pub(crate) memory: String,
    pub(crate) key: String,
    pub(crate) old: Option<u64>,
    pub(crate) change: Change,
    pub(crate) trust: Trust,
}

impl Effect {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The version that it replaces; `None` when the key was never used.
    #[must_use]
    pub fn old(&self) -> Option<u64> {
        self.old
    }

    /// What happens.
    #[must_use]
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// What the content came from.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// SHA-256 over the store, key, old version, change and trust: what a confirmation holds for.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let (change, value) = match &self.change {
            Change::Write(value) => (b"write", value.as_bytes()),
            Change::Delete => (b"clear", &[][..]),
        };
        // Versions begin at 1.
        let old = self.old.unwrap_or(0).to_be_bytes();
        let parts: [&[u8]; 6] =
            [&self.store, self.key.as_bytes(), &old, change, value, self.trust.word().as_bytes()];
        let mut bytes = DOMAIN.to_vec();
        for part in parts {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
        Digest::of(&bytes)
    }
}

/// What a person is shown: everything, with nothing in it that could drive a terminal.
impl fmt::Display for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = printable_text(&self.key);
        match &self.change {
            Change::Write(value) => write!(out, "write `{key}` = {}", printable_text(value))?,
            Change::Delete => write!(out, "delete `{key}`")?,
        }
        write!(out, " in the memory `{}` of `{}`", self.memory, self.agent)?;
        match self.old {
            Some(old) => write!(out, " (now version {old})")?,
            None => write!(out, " (a new key)")?,
        }
        write!(out, "; content from: {}", self.trust.word())
    }
}

/// Who confirms: a person who was asked, or a rule of the host's configuration. The broker makes one when that has decided,
/// and for nothing else.
#[derive(Debug, Clone)]
pub struct Approver {
    name: String,
}

impl Approver {
    /// An approver, by the name that is kept with what it confirms (a ticket, a user, a line of the configuration).
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Confirms `effect`, once.
    pub fn confirm(&self, effect: &Effect) -> Confirmation {
        Confirmation {
            digest: effect.digest(),
            store: effect.store,
            key: effect.key.clone(),
            old: effect.old,
            by: printable_text(&crate::error::short(&self.name)),
        }
    }
}

/// Lets one effect happen. Using it consumes it, also when that fails; and since each change makes a new version, another
/// one for the same effect is of no use afterwards.
#[derive(Debug)]
#[must_use]
pub struct Confirmation {
    digest: Digest,
    store: [u8; 16],
    key: String,
    old: Option<u64>,
    by: String,
}

impl Confirmation {
    /// Who confirmed, when it was for `effect`.
    pub(crate) fn allows(self, effect: &Effect) -> Result<String, Error> {
        if self.digest == effect.digest() {
            return Ok(self.by);
        }
        if (self.store, self.key.as_str()) == (effect.store, effect.key.as_str()) && self.old != effect.old {
            return Err(Error::Stale { key: self.key, confirmed: self.old, now: effect.old });
        }
        Err(Error::OtherEffect { key: effect.key.clone() })
    }
}
