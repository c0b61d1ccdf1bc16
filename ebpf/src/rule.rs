//! One line of the list, and its form as a key of the prefix trie `allowed` (`struct key` in `egress.bpf.c`).

use std::fmt;
use std::net::IpAddr;

use crate::error::Error;

/// Entries of the map `allowed`.
pub(crate) const MOST: usize = 4096;
/// Bytes of a key: length of the prefix, protocol, port, address.
const KEY: usize = 24;
/// `::ffff:0:0/96`, which is IPv4.
const MAPPED: u128 = 0xffff << 32;
const MAPPED_BITS: u128 = u128::MAX << 32;
pub(crate) type Key = [u8; KEY];

/// What the filter can let out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// A connection.
    Tcp,
    /// Datagrams, connected or not.
    Udp,
}

/// A destination that may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Allowed {
    /// The protocol.
    pub protocol: Protocol,
    /// The first address. An IPv4 address also covers its IPv6-mapped form, which leaves as IPv4.
    pub address: IpAddr,
    /// How many of its bits must be equal: at most 32, or 128.
    pub prefix: u8,
    /// The port; `None` for every port. 0 is no port.
    pub port: Option<u16>,
}

impl Allowed {
    /// The key in the trie. Refuses what could be read in two ways.
    pub(crate) fn key(&self) -> Result<Key, Error> {
        let wrong = |reason| Err(Error::Rule { rule: *self, reason });
        let (bits, address, prefix) = match self.address {
            IpAddr::V4(address) => (32, address.to_ipv6_mapped(), u32::from(self.prefix) + 96),
            IpAddr::V6(address) => (128, address, u32::from(self.prefix)),
        };
        if u32::from(self.prefix) > bits {
            return wrong("has a longer prefix than its address has bits");
        }
        let address = u128::from(address);
        // A shift by all 128 bits is none: nothing may be set below a prefix of 128, everything may not below 0.
        let below = u128::MAX.checked_shr(prefix).unwrap_or(0);
        if address & below != 0 {
            return wrong("has bits set below its prefix: write its first address");
        }
        if self.address.is_ipv6() && (address ^ MAPPED) & !below & MAPPED_BITS == 0 {
            return wrong(
                "covers IPv6-mapped IPv4 addresses: write IPv4 as such, and all of IPv6 as `2000::/3`",
            );
        }
        if self.address.is_unspecified() && u32::from(self.prefix) == bits {
            return wrong(
                "is the unspecified address, which is never let out: write the address that it stands for",
            );
        }
        if self.port == Some(0) {
            return wrong("has port 0: name a port, or none for every port");
        }
        let protocol: u16 = match self.protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        };
        let mut key = [0; KEY];
        let fields = (32 + prefix).to_ne_bytes().into_iter().chain(protocol.to_ne_bytes());
        let fields = fields.chain(self.port.unwrap_or(0).to_be_bytes()).chain(address.to_be_bytes());
        for (to, from) in key.iter_mut().zip(fields) {
            *to = from;
        }
        Ok(key)
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol} {}/{} port ", self.address, self.prefix)?;
        match self.port {
            Some(port) => write!(f, "{port}"),
            None => write!(f, "any"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(address: &str, prefix: u8, port: Option<u16>) -> Allowed {
        Allowed { protocol: Protocol::Tcp, address: address.parse().unwrap(), prefix, port }
    }

    #[test]
    fn a_key_has_the_bytes_that_the_program_looks_up() {
        let key = rule("198.18.0.1", 32, Some(443)).key().unwrap();
        assert_eq!(key[..12], [160, 0, 0, 0, 6, 0, 1, 187, 0, 0, 0, 0]);
        assert_eq!(key[12..], [0, 0, 0, 0, 0, 0, 255, 255, 198, 18, 0, 1]);
        let key = rule("fd00::", 8, None).key().unwrap();
        assert_eq!(key[..10], [40, 0, 0, 0, 6, 0, 0, 0, 0xfd, 0]);
        assert_eq!(rule("0.0.0.0", 0, Some(1)).key().unwrap()[..8], [128, 0, 0, 0, 6, 0, 0, 1]);
        assert_eq!(rule("2000::", 3, Some(1)).key().unwrap()[..9], [35, 0, 0, 0, 6, 0, 0, 1, 32]);
        assert_eq!(rule("::1", 128, Some(1)).key().unwrap()[23], 1);
    }

    #[test]
    fn a_rule_that_could_be_read_in_two_ways_is_refused() {
        for (wrong, why) in [
            (rule("10.0.0.1", 8, Some(1)), "below its prefix"),
            (rule("10.0.0.1", 0, Some(1)), "below its prefix"),
            (rule("fd00::1", 127, Some(1)), "below its prefix"),
            (rule("10.0.0.0", 33, Some(1)), "longer prefix"),
            (rule("fd00::", 129, Some(1)), "longer prefix"),
            (rule("::ffff:10.0.0.1", 128, Some(1)), "write IPv4 as such"),
            (rule("::ffff:0.0.0.0", 96, None), "write IPv4 as such"),
            (rule("::fffe:0:0", 95, None), "write IPv4 as such"),
            (rule("::", 0, Some(1)), "write IPv4 as such"),
            (rule("0.0.0.0", 32, None), "unspecified"),
            (rule("::", 128, None), "unspecified"),
            (rule("10.0.0.0", 8, Some(0)), "port 0"),
        ] {
            let error = wrong.key().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
