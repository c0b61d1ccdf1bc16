//! What the gateway denies, as it is counted.

use agentrc_service::denied::Denied;
use agentrc_service::tally::{Counted, DISTINCT};

/// A denial, which is counted with those that are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) Denied);

/// What a denial is about, each with its own places in the tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Names that are asked for.
    Names,
    /// Connections.
    Connections,
    /// HTTP requests.
    Requests,
    /// Limits.
    Limits,
}

impl Counted for Key {
    type Kind = Kind;

    /// By the answer: it is the gateway's, where the act is the agent's own words.
    fn kind(&self) -> Kind {
        match self.0.verdict.as_str() {
            _ if self.0.limit.is_some() => Kind::Limits,
            "NXDOMAIN" | "dropped" => Kind::Names,
            "reset" | "alert" | "closed" => Kind::Connections,
            _ => Kind::Requests,
        }
    }

    fn others(&self) -> Self {
        let (act, verdict) = match self.kind() {
            Kind::Names => ("resolve other names", "NXDOMAIN"),
            Kind::Connections => ("connect elsewhere", "reset"),
            Kind::Requests => ("other requests", "403"),
            // Which limit it is stays told: there are as many as the plan has.
            Kind::Limits => return Self(Denied { act: "other acts".to_owned(), ..self.0.clone() }),
        };
        let reason = format!("more than {DISTINCT} different ones were denied");
        Self(Denied::new(act, verdict, &reason, ""))
    }
}
