//! Which declared destination a connection was made to, by its address and port inside.

use std::net::{IpAddr, SocketAddr};

use agentfile::plan::Egress;
use agentfile::plan::inside::{BROKER_SCHEME, takes_in};

use crate::names::Names;

/// A host and port that the agent may connect to, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Name in lower case, or an address.
    pub host: String,
    /// The address, when the host is one.
    pub address: Option<IpAddr>,
    /// TCP port.
    pub port: u16,
    /// What may be spoken.
    pub speaks: Speaks,
    /// Whether its TLS is terminated, so that requests are seen.
    pub terminate_tls: bool,
}

/// What a destination's lines allow to be spoken. `tcp://` is anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speaks {
    /// `tcp://`: bytes, whatever they are.
    pub tcp: bool,
    /// `https://`.
    pub tls: bool,
    /// `http://`.
    pub http: bool,
    /// It is the broker: what is spoken is the broker's to read, and nothing on the network is reached.
    pub broker: bool,
}

/// The destination of a connection to `local`. `None`: no line declares it.
#[must_use]
pub fn destination(egress: &[Egress], names: &Names, local: SocketAddr) -> Option<Destination> {
    let address = local.ip().to_canonical();
    let (host, address) = match names.at(address) {
        Some(name) => (name.to_owned(), None),
        None => (address.to_string(), Some(address)),
    };
    let mut found = Destination {
        host,
        address,
        port: local.port(),
        speaks: Speaks { tcp: false, tls: false, http: false, broker: false },
        terminate_tls: false,
    };
    let lines = egress
        .iter()
        .filter(|line| line.agent && line.port == found.port && takes_in(&line.host, &found.host));
    for line in lines {
        match line.scheme.as_str() {
            "https" => found.speaks.tls = true,
            "http" => found.speaks.http = true,
            "tcp" => found.speaks.tcp = true,
            BROKER_SCHEME => found.speaks.broker = true,
            // A scheme of a later plan: nothing that this gateway can hold.
            _ => return None,
        }
        found.terminate_tls |= line.terminate_tls;
    }
    let Speaks { tcp, tls, http, broker } = found.speaks;
    // No line can name the broker; if one did, it would be unclear who is meant.
    let one = if broker { !(tcp || tls || http) } else { tcp || tls || http };
    one.then_some(found)
}

/// The destination of a connection that the broker asks for: any of a line that says so, the agent's too. `None`: no line declares it.
#[must_use]
pub fn brokered(egress: &[Egress], scheme: &str, host: &str, port: u16) -> Option<Destination> {
    let (tls, http) = (scheme == "https", scheme == "http");
    let declared = |line: &Egress| line.scheme == scheme && line.port == port && takes_in(&line.host, host);
    // In the one spelling that policies compare.
    if !agentfile::parse::is_one_host(host) || !(tls || http) || !egress.iter().any(declared) {
        return None;
    }
    Some(Destination {
        host: host.to_owned(),
        address: host.parse().ok(),
        port,
        speaks: Speaks { tcp: false, tls, http, broker: false },
        terminate_tls: tls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Meaning;
    use crate::sample::egress;

    #[test]
    fn a_connection_is_to_what_its_address_and_port_stand_for() {
        let plan = [
            egress("https", "api.example.com", 443),
            egress("http", "api.example.com", 80),
            egress("https", "*.example.com", 8443),
            egress("tcp", "10.0.0.5", 5432),
            egress("http", "127.0.0.1", 11434),
            Egress { agent: false, ..egress("https", "tools.example.com", 443) },
        ];
        let mut names = Names::new(&plan).unwrap();
        let mut at = |name: &str, port: u16| {
            let address = match names.meaning(name) {
                Meaning::Host(addresses) => addresses.v4.into(),
                _ => name.parse().unwrap(),
            };
            destination(&plan, &names, SocketAddr::new(address, port))
        };
        let found = at("api.example.com", 443).unwrap();
        assert_eq!(
            (found.host.as_str(), found.speaks.tls, found.speaks.http),
            ("api.example.com", true, false)
        );
        assert!(at("api.example.com", 80).unwrap().speaks.http);
        assert!(at("api.example.com", 8443).unwrap().speaks.tls, "the wildcard's port");
        assert!(at("other.example.com", 8443).is_some() && at("other.example.com", 443).is_none());
        assert!(at("10.0.0.5", 5432).unwrap().speaks.tcp);
        assert!(at("127.0.0.1", 11434).is_some());
        for (name, port) in
            [("api.example.com", 22), ("10.0.0.5", 443), ("127.0.0.1", 443), ("198.18.0.1", 53)]
        {
            assert!(at(name, port).is_none(), "{name}:{port}");
        }
    }

    #[test]
    fn the_broker_reaches_what_lines_declare_and_nothing_else() {
        let plan = [
            egress("https", "*.example.com", 443),
            Egress { agent: false, ..egress("http", "10.0.0.5", 8080) },
            egress("tcp", "db.example.com", 5432),
        ];
        let found = brokered(&plan, "https", "api.example.com", 443).unwrap();
        assert_eq!((found.host.as_str(), found.address, found.speaks.tls), ("api.example.com", None, true));
        assert!(brokered(&plan, "http", "10.0.0.5", 8080).unwrap().address.is_some());
        for (scheme, host, port) in [
            ("http", "api.example.com", 443),
            ("https", "api.example.com", 8443),
            ("https", "a.b.example.com", 443),
            ("https", "example.com", 443),
            ("https", "*.example.com", 443),
            ("https", "API.example.com", 443),
            ("tcp", "db.example.com", 5432),
            ("http", "10.0.0.6", 8080),
        ] {
            assert_eq!(brokered(&plan, scheme, host, port), None, "{scheme}://{host}:{port}");
        }
    }

    #[test]
    fn the_broker_is_no_destination_of_its_own_and_none_beside_a_line() {
        let broker = egress("mcp", "agentrc.internal", 80);
        let mut names = Names::new(std::slice::from_ref(&broker)).unwrap();
        let Meaning::Host(addresses) = names.meaning("agentrc.internal") else { panic!("a name") };
        let at =
            |plan: &[Egress], port| destination(plan, &names, SocketAddr::new(addresses.v4.into(), port));
        let plan = [broker.clone(), egress("https", "api.example.com", 443)];
        let speaks = at(&plan, 80).unwrap().speaks;
        assert_eq!(speaks, Speaks { tcp: false, tls: false, http: false, broker: true });
        assert_eq!(at(&plan, 443), None);
        assert_eq!(at(&[broker, egress("http", "agentrc.internal", 80)], 80), None);
        for scheme in ["http", "https", "mcp"] {
            assert_eq!(brokered(&plan, scheme, "agentrc.internal", 80), None, "{scheme}");
        }
    }

    #[test]
    fn what_only_the_broker_may_reach_is_not_the_agents() {
        let plan = [
            Egress { agent: false, ..egress("tcp", "10.0.0.5", 443) },
            egress("https", "api.example.com", 443),
        ];
        let names = Names::new(&plan).unwrap();
        assert_eq!(destination(&plan, &names, "10.0.0.5:443".parse().unwrap()), None);
    }
}
