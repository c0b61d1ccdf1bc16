//! `SERVER` lines that are MCP servers somewhere else, and what they are asked with.

use crate::boundary::{Boundaries, Credential, Server};
use crate::plan::inside::takes_in;
use crate::policy::permits::Permits;
use crate::server::tool_of;
use crate::syntax::Scheme;

/// Whether something may be asked of it: a line declares a tool of it, or a policy permits more.
pub(crate) fn is_asked(boundaries: &Boundaries, permits: &Permits, server: &Server) -> bool {
    let tools = boundaries.tools.iter().filter(|tool| tool.namespace == "mcp");
    tools.filter_map(|tool| tool_of(&tool.name)).any(|(of, _)| of == server.name)
        || permits.server(&server.name)
}

/// The credentials whose placeholder would go to it in `Authorization`: those that are put into headers towards its host. One of the
/// older form is put in by the gateway unasked.
pub(crate) fn credentials<'a>(
    boundaries: &'a Boundaries,
    permits: &Permits,
    server: &'a Server,
) -> impl Iterator<Item = &'a Credential> {
    let asks = server.host.scheme == Scheme::Https && is_asked(boundaries, permits, server);
    let bound = |credential: &&Credential| {
        !credential.older_form
            && credential.inject.as_deref().is_none_or(|inject| inject == "header")
            && credential.hosts.iter().any(|host| takes_in(host, &server.host.host))
    };
    boundaries.credentials.iter().filter(move |_| asks).filter(bound)
}
