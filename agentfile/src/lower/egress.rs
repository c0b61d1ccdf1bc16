//! Network destinations: of the agent (`URL`), and of the broker on its behalf (`SERVER`).

use crate::boundary::{Boundaries, Host, Via};
use crate::hosts::Hosts;
use crate::plan::{Egress, Origin, inside};
use crate::policy::requests::{self, Scope};
use crate::syntax::Scheme;

/// How a scheme is written.
pub(crate) fn scheme_word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Https => "https",
        Scheme::Http => "http",
        Scheme::Tcp => "tcp",
    }
}

/// All destinations, in the order of the text, the agent's first; and at the end the broker, which an agent with a network finds
/// there, too, if it can ask it for something: the line of that is `callable`.
pub(super) fn lower(boundaries: &Boundaries, callable: Option<&Origin>) -> Vec<Egress> {
    let credentials = boundaries.credentials.iter().flat_map(|credential| &credential.hosts);
    let bound: Hosts = credentials.map(String::as_str).collect();
    let judged: Vec<Scope> =
        boundaries.policies.iter().filter_map(|policy| requests::judged(policy, &boundaries.agent)).collect();
    let all = judged.contains(&Scope::All);
    let named = judged.iter().filter_map(|scope| match scope {
        Scope::All => None,
        Scope::Of(host) => Some(host.as_str()),
    });
    let named: Hosts = named.collect();
    // A path, a value to be put in, or a policy on requests: each needs the request to be seen.
    let seen = |host: &Host| {
        host.path.is_some()
            || bound.meets(&host.host).is_some()
            || host.via == Via::Agent && (all || named.meets(&host.host).is_some())
    };
    let servers = boundaries.servers.iter().map(|server| &server.host);
    let called = callable.filter(|_| boundaries.agent_hosts().next().is_some());
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
            terminate_tls: host.scheme == Scheme::Https && seen(host),
            origin: host.place.origin.clone(),
        })
        .chain(called.map(|origin| Egress {
            scheme: inside::BROKER_SCHEME.to_owned(),
            host: inside::BROKER.to_owned(),
            port: inside::BROKER_PORT,
            path: Some(inside::BROKER_PATH.to_owned()),
            agent: true,
            terminate_tls: false,
            origin: origin.clone(),
        }))
        .collect()
}
