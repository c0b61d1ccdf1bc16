//! Network destinations: of the agent (`URL`), and of the broker on its behalf (`SERVER`).

use std::collections::HashSet;

use crate::boundary::{Boundaries, Host, Via};
use crate::check::patterns_of;
use crate::plan::Egress;
use crate::syntax::Scheme;

/// How a scheme is written.
pub(crate) fn scheme_word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Https => "https",
        Scheme::Http => "http",
        Scheme::Tcp => "tcp",
    }
}

/// All destinations, in the order of the text, the agent's first.
pub(super) fn lower(boundaries: &Boundaries) -> Vec<Egress> {
    let bound: HashSet<&str> = boundaries
        .credentials
        .iter()
        .flat_map(|credential| credential.hosts.iter().map(String::as_str))
        .collect();
    // A wildcard takes in the hosts below it.
    let above: HashSet<String> =
        bound.iter().flat_map(|host| patterns_of(host).map(String::from).collect::<Vec<_>>()).collect();
    let has_credential = |host: &str| {
        above.contains(host) || patterns_of(host).any(|pattern| bound.contains(pattern.as_ref()))
    };
    let servers = boundaries.servers.iter().map(|server| &server.host);
    boundaries
        .hosts
        .iter()
        .chain(servers)
        .map(|host: &Host| Egress {
            scheme: scheme_word(host.scheme).to_owned(),
            host: host.host.clone(),
            port: host.port,
            path: host.path.clone(),
            agent: host.via == Via::Agent,
            terminate_tls: host.scheme == Scheme::Https
                && (host.path.is_some() || has_credential(&host.host)),
            origin: host.place.origin.clone(),
        })
        .collect()
}
