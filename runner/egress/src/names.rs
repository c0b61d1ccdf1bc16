//! Which address inside stands for which host outside: each declared name has one of its own, names below a wildcard get
//! one when they are first asked for. The address that a connection was made to is thereby the name that was meant.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// 198.18.0.0/15, set aside for benchmarks (RFC 2544, RFC 6890): nothing on the internet, and nobody's private network.
pub const NETWORK_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);
/// A unique local prefix (RFC 4193) whose global id spells `agent`.
pub const NETWORK_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd61, 0x6765, 0x6e74, 0, 0, 0, 0, 0), 64);
/// The resolver's own address.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// How many different names below one wildcard a run may ask for. A label is a way to carry data to whoever serves the
/// suffix's zone; no package manager needs this many hosts.
pub const PER_WILDCARD: usize = 64;

/// The first number that is given out: the network's own address and the resolver's come before.
const FIRST: u32 = 16;

/// The addresses of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Below [`NETWORK_V4`].
    pub v4: Ipv4Addr,
    /// Below [`NETWORK_V6`].
    pub v6: Ipv6Addr,
}

impl Addresses {
    fn of(number: u32) -> Self {
        let v4 = Ipv4Addr::from_bits(NETWORK_V4.0.to_bits() | number);
        let v6 = Ipv6Addr::from_bits(NETWORK_V6.0.to_bits() | u128::from(number));
        Self { v4, v6 }
    }
}

/// What a name means inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A declared host, at these addresses.
    Host(Addresses),
    /// Not declared.
    Unknown,
    /// Below a wildcard, of which too many names were asked for.
    TooMany,
}

/// The names of a run.
#[derive(Debug, Default)]
pub struct Names {
    numbers: BTreeMap<String, u32>,
    names: BTreeMap<u32, String>,
    /// `.suffix`, and how many names below it have a number.
    wildcards: BTreeMap<String, usize>,
}

impl Names {
    /// The hosts of a plan: names in lower case, or `*.suffix`. Addresses stand for themselves and are not among them.
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        for host in hosts {
            if let Some(suffix) = host.strip_prefix('*') {
                names.wildcards.insert(suffix.to_owned(), 0);
            } else if host.parse::<IpAddr>().is_err() {
                names.number(host);
            }
        }
        names
    }

    fn number(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = FIRST.checked_add(u32::try_from(self.names.len()).ok()?)?;
        if number >= 1 << (32 - u32::from(NETWORK_V4.1)) {
            return None;
        }
        self.numbers.insert(name.to_owned(), number);
        self.names.insert(number, name.to_owned());
        Some(number)
    }

    /// What `name`, in lower case and without a final dot, means. A name below a wildcard gets its address here.
    pub fn meaning(&mut self, name: &str) -> Meaning {
        if let Some(number) = self.numbers.get(name) {
            return Meaning::Host(Addresses::of(*number));
        }
        // `*` stands for the first label, and for that alone.
        let Some((_, suffix)) = name.split_once('.').filter(|(first, _)| !first.is_empty()) else {
            return Meaning::Unknown;
        };
        let suffix = format!(".{suffix}");
        match self.wildcards.get_mut(&suffix) {
            None => Meaning::Unknown,
            Some(given) if *given >= PER_WILDCARD => Meaning::TooMany,
            Some(given) => {
                *given += 1;
                self.number(name).map_or(Meaning::TooMany, |number| Meaning::Host(Addresses::of(number)))
            }
        }
    }

    /// The name that an address inside stands for.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<&str> {
        let number = match address.to_canonical() {
            IpAddr::V4(v4) => {
                let host = u32::MAX >> NETWORK_V4.1;
                let bits = v4.to_bits();
                (bits & !host == NETWORK_V4.0.to_bits()).then_some(bits & host)?
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX >> NETWORK_V6.1;
                let bits = v6.to_bits();
                (bits & !host == NETWORK_V6.0.to_bits()).then_some(u32::try_from(bits & host).ok()?)?
            }
        };
        self.names.get(&number).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(names: &mut Names, name: &str) -> Addresses {
        match names.meaning(name) {
            Meaning::Host(addresses) => addresses,
            other => unreachable!("{name}: {other:?}"),
        }
    }

    #[test]
    fn a_name_has_one_address_of_each_family_and_they_lead_back() {
        let mut names = Names::new(["api.example.com", "example.com", "10.0.0.5", "::1"]);
        let (api, top) = (addresses(&mut names, "api.example.com"), addresses(&mut names, "example.com"));
        assert_ne!(api, top);
        assert_eq!(api, addresses(&mut names, "api.example.com"));
        for address in [IpAddr::V4(api.v4), IpAddr::V6(api.v6), IpAddr::V6(api.v4.to_ipv6_mapped())] {
            assert_eq!(names.at(address), Some("api.example.com"));
        }
        for nobody in [
            "198.18.0.0",
            "198.18.0.1",
            "198.18.255.1",
            "198.20.0.16",
            "10.0.0.5",
            "::1",
            "fd61:6765:6e74:1::10",
        ] {
            assert_eq!(names.at(nobody.parse().unwrap()), None, "{nobody}");
        }
    }

    #[test]
    fn what_is_not_declared_means_nothing() {
        let mut names = Names::new(["api.example.com", "*.npmjs.org", "10.0.0.5"]);
        for name in [
            "",
            ".",
            "com",
            "example.com",
            "xapi.example.com",
            "api.example.com.evil",
            "npmjs.org",
            "10.0.0.5",
            ".npmjs.org",
            "a.b.npmjs.org",
            "anpmjs.org",
            "*.npmjs.org.evil",
        ] {
            assert_eq!(names.meaning(name), Meaning::Unknown, "{name}");
        }
    }

    #[test]
    fn a_wildcard_gives_addresses_up_to_its_bound() {
        let mut names = Names::new(["*.npmjs.org", "*.example.com", "fixed.npmjs.org"]);
        let first = addresses(&mut names, "registry.npmjs.org");
        assert_eq!(names.at(first.v4.into()), Some("registry.npmjs.org"));
        for n in 1..PER_WILDCARD {
            addresses(&mut names, &format!("n{n}.npmjs.org"));
        }
        assert_eq!(names.meaning("one-more.npmjs.org"), Meaning::TooMany);
        // What has an address keeps it, what is declared by name has one, and another wildcard is another account.
        assert_eq!(addresses(&mut names, "registry.npmjs.org"), first);
        addresses(&mut names, "fixed.npmjs.org");
        addresses(&mut names, "a.example.com");
    }
}
