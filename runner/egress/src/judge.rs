//! Whose decision it is: the gateway asks, somebody else (`runner/decide`) judges. Everything that goes wrong denies.

/// What is asked: `network.egress` of `policies/agentrc.cedarschema`, by the agent itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// `https`, `http`, `tcp`.
    pub scheme: &'a str,
    /// Name in lower case, or address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// Method of the request; empty where requests are not seen, as the two below.
    pub method: &'a str,
    /// Its path, canonical.
    pub path: &'a str,
    /// Its URL.
    pub url: &'a str,
    /// Announced length of its body; [`i64::MAX`] when it is not announced.
    pub bytes: i64,
}

impl<'a> Asked<'a> {
    /// A connection, of whose requests nothing is known.
    #[must_use]
    pub fn connection(scheme: &'a str, host: &'a str, port: u16) -> Self {
        Self { scheme, host, port, method: "", path: "", url: "", bytes: 0 }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be.
    pub permitted: bool,
    /// The policies that decided, with their lines.
    pub rule: String,
    /// Why not, as a clause in lower case; empty when it is permitted.
    pub reason: String,
}

/// Decides.
pub trait Judge {
    /// Whether the agent may.
    fn judge(&self, asked: &Asked<'_>) -> Verdict;

    /// Whether the value of a credential may be put into a request to this host: `cred.resolve`.
    fn resolve(&self, credential: &str, host: &str, port: u16, inject: &str) -> Verdict;
}
