//! Which address inside stands for which host outside: each declared name has one of its own, names below a wildcard get
//! one of its block when they are first asked for. The address that a connection was made to is thereby the name that was
//! meant.

use std::collections::BTreeMap;
use std::net::IpAddr;

use agentfile::plan::Egress;
use agentfile::plan::inside::{Addresses, PER_WILDCARD, TooMany, blocks, number};

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
    /// `.suffix`, the first number of its block, and how many of the block are given out.
    wildcards: BTreeMap<String, (u32, u32)>,
    without_six: bool,
}

impl Names {
    /// The agent's names of a plan. Addresses stand for themselves and are not among them.
    ///
    /// # Errors
    /// When there are more than addresses.
    pub fn new(egress: &[Egress]) -> Result<Self, TooMany> {
        let mut names = Self::default();
        for block in blocks(egress)? {
            match block.host.strip_prefix('*') {
                Some(suffix) => drop(names.wildcards.insert(suffix.to_owned(), (block.first, 0))),
                None => names.give(block.host, block.first),
            }
        }
        Ok(names)
    }

    /// Whether the sandbox has no IPv6, so that names have no such address.
    pub fn without_six(&mut self, without: bool) {
        self.without_six = without;
    }

    /// Whether names have IPv6 addresses.
    #[must_use]
    pub fn has_six(&self) -> bool {
        !self.without_six
    }

    fn give(&mut self, name: &str, number: u32) {
        self.numbers.insert(name.to_owned(), number);
        self.names.insert(number, name.to_owned());
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
        match self.wildcards.get_mut(&format!(".{suffix}")) {
            None => Meaning::Unknown,
            Some((_, given)) if *given >= PER_WILDCARD => Meaning::TooMany,
            Some((first, given)) => {
                let number = *first + *given;
                *given += 1;
                self.give(name, number);
                Meaning::Host(Addresses::of(number))
            }
        }
    }

    /// The name that an address inside stands for.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<&str> {
        self.names.get(&number(address)?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::egress;

    fn addresses(names: &mut Names, name: &str) -> Addresses {
        match names.meaning(name) {
            Meaning::Host(addresses) => addresses,
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn names(hosts: &[&str]) -> Names {
        let egress: Vec<_> = hosts.iter().map(|host| egress("https", host, 443)).collect();
        Names::new(&egress).unwrap()
    }

    #[test]
    fn a_name_has_one_address_of_each_family_and_they_lead_back() {
        let mut names = names(&["api.example.com", "example.com", "10.0.0.5", "::1"]);
        let (api, top) = (addresses(&mut names, "api.example.com"), addresses(&mut names, "example.com"));
        assert_ne!(api, top);
        assert_eq!(api, addresses(&mut names, "api.example.com"));
        for address in [IpAddr::V4(api.v4), IpAddr::V6(api.v6), IpAddr::V6(api.v4.to_ipv6_mapped())] {
            assert_eq!(names.at(address), Some("api.example.com"));
        }
        for nobody in ["198.18.0.0", "198.18.0.1", "198.18.255.1", "198.20.0.16", "10.0.0.5", "::1"] {
            assert_eq!(names.at(nobody.parse().unwrap()), None, "{nobody}");
        }
    }

    #[test]
    fn what_is_not_declared_means_nothing() {
        let mut names = names(&["api.example.com", "*.npmjs.org", "10.0.0.5"]);
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
        let mut names = names(&["*.npmjs.org", "*.example.com", "fixed.npmjs.org"]);
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
