//! Sets of hosts and wildcards, and whether another one meets them: how a destination finds the credential that is bound
//! to it, and the policy that is about it.

use std::borrow::Cow;
use std::collections::HashMap;

/// Longest DNS name (RFC 1035, section 2.3.4); a longer one has no patterns but itself.
const NAME_MAX: usize = 253;

/// The patterns that take in `host`: itself, and `*.suffix` for each of its suffixes.
pub(crate) fn patterns_of(host: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let suffixes = std::iter::successors(Some(name).filter(|name| name.len() <= NAME_MAX), |name| {
        name.split_once('.').map(|(_, rest)| rest)
    });
    let above = suffixes.skip(1).map(|suffix| Cow::Owned(format!("*.{suffix}")));
    std::iter::once(Cow::Borrowed(host)).chain(above)
}

/// Hosts and `*.suffix`es, in an order.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Each with its number.
    named: HashMap<String, usize>,
    /// What takes one of them in, with the first that it does.
    above: HashMap<String, usize>,
}

impl<'a> FromIterator<&'a str> for Hosts {
    fn from_iter<T: IntoIterator<Item = &'a str>>(hosts: T) -> Self {
        let mut all = Self::default();
        for (number, host) in hosts.into_iter().enumerate() {
            all.named.entry(host.to_owned()).or_insert(number);
            for pattern in patterns_of(host) {
                all.above.entry(pattern.into_owned()).or_insert(number);
            }
        }
        all
    }
}

impl Hosts {
    /// The number of one that `host` is, takes in, or is taken in by: some name may be both.
    pub(crate) fn meets(&self, host: &str) -> Option<usize> {
        let taken_in = || patterns_of(host).find_map(|pattern| self.named.get(pattern.as_ref()));
        self.above.get(host).or_else(taken_in).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_meet_when_some_name_is_both() {
        let hosts: Hosts = ["a.example.com", "*.cdn.example.net", "10.0.0.5"].into_iter().collect();
        assert_eq!(hosts.meets("a.example.com"), Some(0));
        assert_eq!(hosts.meets("*.example.com"), Some(0));
        assert_eq!(hosts.meets("*.com"), Some(0));
        assert_eq!(hosts.meets("b.example.com"), None);
        assert_eq!(hosts.meets("example.com"), None);
        assert_eq!(hosts.meets("x.y.cdn.example.net"), Some(1));
        assert_eq!(hosts.meets("*.y.cdn.example.net"), Some(1));
        assert_eq!(hosts.meets("*.example.net"), Some(1));
        assert_eq!(hosts.meets("cdn.example.net"), None);
        assert_eq!(hosts.meets("10.0.0.5"), Some(2));
        assert_eq!(hosts.meets("com"), None);
    }
}
