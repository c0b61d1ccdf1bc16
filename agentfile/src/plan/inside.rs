//! Which addresses inside stand for which destinations: every declared name has one of its own, every wildcard a block of
//! them, addresses stand for themselves. The same for the same plan, so that the runner's layers agree without talking.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Egress;

/// 198.18.0.0/15, set aside for benchmarks (RFC 2544, RFC 6890): nothing on the internet, and nobody's private network.
pub const NETWORK_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);
/// A unique local prefix (RFC 4193) whose global id spells `agent`.
pub const NETWORK_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd61, 0x6765, 0x6e74, 0, 0, 0, 0, 0), 64);
/// The resolver's own address.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The broker's name inside. No line declares it, nor a name below it; no question about it is ever asked outside.
pub const BROKER: &str = "agentrc.internal";
/// The port there.
pub const BROKER_PORT: u16 = 80;
/// The path there that is the Model Context Protocol's.
pub const BROKER_PATH: &str = "/mcp";
/// The scheme of a destination in the plan that is the broker and nothing on the network.
pub const BROKER_SCHEME: &str = "mcp";

/// How many different names below one wildcard a run may ask for. A label is a way to carry data to whoever serves the
/// suffix's zone; no package manager needs this many hosts. A power of two, so that a block is a network.
pub const PER_WILDCARD: u32 = 64;

/// The first number of a host: the network's own address and the resolver's come before.
const FIRST: u32 = 16;
/// The first number of a wildcard's block: half of the network is for names.
const FIRST_BLOCK: u32 = 1 << 16;

/// The addresses of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Below [`NETWORK_V4`].
    pub v4: Ipv4Addr,
    /// Below [`NETWORK_V6`].
    pub v6: Ipv6Addr,
}

impl Addresses {
    /// Of the name with this number.
    #[must_use]
    pub fn of(number: u32) -> Self {
        let v4 = Ipv4Addr::from_bits(NETWORK_V4.0.to_bits() | number);
        let v6 = Ipv6Addr::from_bits(NETWORK_V6.0.to_bits() | u128::from(number));
        Self { v4, v6 }
    }
}

/// The number of an address below [`NETWORK_V4`] or [`NETWORK_V6`].
#[must_use]
pub fn number(address: IpAddr) -> Option<u32> {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let host = u32::MAX >> NETWORK_V4.1;
            let bits = v4.to_bits();
            (bits & !host == NETWORK_V4.0.to_bits()).then_some(bits & host)
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX >> NETWORK_V6.1;
            let bits = v6.to_bits();
            (bits & !host == NETWORK_V6.0.to_bits()).then(|| u32::try_from(bits & host).ok()).flatten()
        }
    }
}

/// A declared host, and the numbers that are its.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    /// A name in lower case, or `*.suffix`.
    pub host: &'a str,
    /// The first number.
    pub first: u32,
    /// How many: 1, or [`PER_WILDCARD`].
    pub count: u32,
}

/// Too many hosts for the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "too many hosts are declared: {FIRST_BLOCK} names, or half as many wildcards, are more than can be told apart"
)]
pub struct TooMany;

/// The numbers of all names that the agent itself may reach, in the order of the plan.
///
/// # Errors
/// When there are more than addresses.
pub fn blocks(egress: &[Egress]) -> Result<Vec<Block<'_>>, TooMany> {
    let (mut name, mut wildcard) = (FIRST, FIRST_BLOCK);
    let mut seen = BTreeSet::new();
    let mut blocks = Vec::new();
    for Egress { host, agent, .. } in egress {
        if !*agent || host.parse::<IpAddr>().is_ok() || !seen.insert(host.as_str()) {
            continue;
        }
        let (next, count, end) = if host.starts_with("*.") {
            (&mut wildcard, PER_WILDCARD, FIRST_BLOCK << 1)
        } else {
            (&mut name, 1, FIRST_BLOCK)
        };
        if *next + count > end {
            return Err(TooMany);
        }
        blocks.push(Block { host, first: *next, count });
        *next += count;
    }
    Ok(blocks)
}

/// Whether `name` is `suffix` (with its leading dot) behind one label.
fn first_label_of(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|label| !label.is_empty() && !label.contains(['.', '*']))
}

/// Whether a declared host, a name, `*.suffix` or an address, takes in `name`. `*` stands for one label.
#[must_use]
pub fn takes_in(declared: &str, name: &str) -> bool {
    declared == name || declared.strip_prefix('*').is_some_and(|suffix| first_label_of(name, suffix))
}

/// A destination as the kernel knows it: all ports of TCP beneath a network that lead somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reachable {
    /// First address.
    pub network: IpAddr,
    /// Length of the prefix.
    pub prefix: u8,
    /// TCP port.
    pub port: u16,
}

impl Reachable {
    /// Whether this is one of its addresses, and its port.
    #[must_use]
    pub fn takes_in(&self, address: SocketAddr) -> bool {
        let within = match (self.network, address.ip().to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                (one.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                (one.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        };
        within && address.port() == self.port
    }
}

/// Everything that the agent may connect to, the resolver aside.
///
/// # Errors
/// When there are more hosts than addresses.
pub fn reachable(egress: &[Egress]) -> Result<Vec<Reachable>, TooMany> {
    let blocks = blocks(egress)?;
    let mut reachable = BTreeSet::new();
    for Egress { host, port, agent, .. } in egress {
        if !*agent {
            continue;
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            let prefix = if address.is_ipv4() { 32 } else { 128 };
            reachable.insert(Reachable { network: address, prefix, port: *port });
        }
        // A wildcard's ports are also those of the names below it that are declared themselves.
        for block in blocks.iter().filter(|block| takes_in(host, block.host)) {
            let Addresses { v4, v6 } = Addresses::of(block.first);
            let bits = u8::try_from(block.count.ilog2()).unwrap_or_default();
            reachable.insert(Reachable { network: v4.into(), prefix: 32 - bits, port: *port });
            reachable.insert(Reachable { network: v6.into(), prefix: 128 - bits, port: *port });
        }
    }
    Ok(reachable.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Origin;

    fn egress(host: &str, port: u16) -> Egress {
        Egress {
            scheme: "https".to_owned(),
            host: host.to_owned(),
            port,
            path: None,
            agent: true,
            terminate_tls: false,
            origin: Origin::builtin("test"),
        }
    }

    #[test]
    fn a_name_has_one_number_and_a_wildcard_a_block_that_is_a_network() {
        let plan = [
            egress("a.example", 443),
            egress("*.npmjs.org", 443),
            egress("a.example", 80),
            egress("b.example", 443),
            egress("*.cdn.example", 443),
            egress("10.0.0.5", 5432),
            egress("*.example", 8443),
        ];
        let found = blocks(&plan).unwrap();
        let numbers: Vec<_> = found.iter().map(|block| (block.host, block.first, block.count)).collect();
        let expected = [
            ("a.example", 16, 1),
            ("*.npmjs.org", 65536, 64),
            ("b.example", 17, 1),
            ("*.cdn.example", 65600, 64),
            ("*.example", 65664, 64),
        ];
        assert_eq!(numbers, expected);
        assert!(found.iter().all(|block| block.first % block.count == 0), "aligned");
        let reachable: Vec<_> = reachable(&plan)
            .unwrap()
            .iter()
            .map(|one| format!("{}/{}:{}", one.network, one.prefix, one.port))
            .collect();
        for expected in [
            "198.18.0.16/32:80",
            "198.18.0.16/32:443",
            "198.19.0.0/26:443",
            "198.19.0.64/26:443",
            "10.0.0.5/32:5432",
            "198.18.0.17/32:8443",
            "fd61:6765:6e74::10/128:443",
            "fd61:6765:6e74::1:0/122:443",
        ] {
            assert!(reachable.iter().any(|one| one == expected), "{expected} in {reachable:?}");
        }
        assert_eq!(reachable.len(), 17);
        let takes_in = |address: &str| {
            let address = address.parse().unwrap();
            super::reachable(&plan).unwrap().iter().any(|one| one.takes_in(address))
        };
        for yes in [
            "198.18.0.16:443",
            "198.19.0.63:443",
            "10.0.0.5:5432",
            "[::ffff:10.0.0.5]:5432",
            "[fd61:6765:6e74::1:0]:443",
        ] {
            assert!(takes_in(yes), "{yes}");
        }
        for no in
            ["198.18.0.16:22", "198.19.0.64:8080", "10.0.0.6:5432", "[fd61:6765:6e74::1:0]:80", "[::]:443"]
        {
            assert!(!takes_in(no), "{no}");
        }
    }

    #[test]
    fn addresses_lead_back_to_their_number() {
        for n in [0, 1, 16, 65535, 65536, 131_071] {
            let Addresses { v4, v6 } = Addresses::of(n);
            for address in [IpAddr::V4(v4), IpAddr::V6(v6), IpAddr::V6(v4.to_ipv6_mapped())] {
                assert_eq!(number(address), Some(n));
            }
        }
        for nobody in ["198.20.0.16", "10.0.0.5", "::1", "fd61:6765:6e74:1::10", "fd61:6765:6e74::1:0:0"] {
            assert_eq!(number(nobody.parse().unwrap()), None, "{nobody}");
        }
    }

    #[test]
    fn more_hosts_than_addresses_are_refused() {
        let many: Vec<_> = (0..1025).map(|n| egress(&format!("*.n{n}.example"), 443)).collect();
        assert_eq!(blocks(&many[..1024]).map(|blocks| blocks.len()), Ok(1024));
        assert_eq!(blocks(&many), Err(TooMany));
    }
}
