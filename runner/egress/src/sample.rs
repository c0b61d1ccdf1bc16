//! Parts of plans, for tests.

use agentfile::plan::{Egress, Origin};

/// A destination of the agent.
pub(crate) fn egress(scheme: &str, host: &str, port: u16) -> Egress {
    Egress {
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        port,
        path: None,
        agent: true,
        terminate_tls: false,
        origin: Origin::builtin("test"),
    }
}
