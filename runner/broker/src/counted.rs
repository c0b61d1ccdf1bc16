//! What the broker refuses, as it is counted.

use agentrc_service::denied::Denied;
use agentrc_service::tally::{Counted, DISTINCT};

/// A refusal, which is counted with those that are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) Denied);

impl Counted for Key {
    /// Whether it is about a limit, of which there are as many as the plan has: the rest can be made up by the agent without end.
    type Kind = bool;

    fn kind(&self) -> bool {
        self.0.limit.is_some()
    }

    fn others(&self) -> Self {
        let act = "other calls";
        if self.kind() {
            return Self(Denied { act: act.to_owned(), ..self.0.clone() });
        }
        let reason = format!("more than {DISTINCT} different ones were refused");
        Self(Denied::new(act, "refused", &reason, ""))
    }
}
