//! Where a version came from.

use crate::error::Error;

/// Longest name of a run or a call, in bytes.
const NAME_BYTES: usize = 256;

/// Where content came from, as far as that decides whether it may change memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// From the operator, or made by the agent of nothing but that.
    Trusted,
    /// From a tool's output.
    Tool,
    /// From the network.
    Network,
}

impl Trust {
    const WORDS: [(Self, &'static str); 3] =
        [(Self::Trusted, "trusted"), (Self::Tool, "tool"), (Self::Network, "network")];

    /// Whether it may change memory only when somebody confirms it.
    #[must_use]
    pub fn needs_confirmation(self) -> bool {
        self != Self::Trusted
    }

    /// The word in the database, in results and in messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(trust, _)| *trust == self).map_or("network", |(_, word)| word)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, word)| *word == text).map(|(trust, _)| *trust)
    }
}

/// Who made a version, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The run.
    pub run: String,
    /// The call of a tool in it.
    pub call: String,
    /// What the content came from.
    pub trust: Trust,
}

impl Provenance {
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (what, text) in [("run", &self.run), ("call", &self.call)] {
            if text.is_empty() || text.len() > NAME_BYTES || text.contains(agentfile::characters::is_unseen) {
                return Err(Error::Provenance(what));
            }
        }
        Ok(())
    }
}
