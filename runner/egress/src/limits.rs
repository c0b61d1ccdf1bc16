//! Limits on the network as the plan counts them: `network_requests`, `egress_bytes`, and a RATELIMIT of a host.

use std::time::{Duration, Instant};

use agentfile::plan::inside::takes_in;
use agentfile::plan::{CountedLimit, Target};
use agentrc_service::limit::{Granted, Limit};

/// Name of the limit on bytes that are sent out.
const BYTES: &str = "egress_bytes";
/// Name of the limit on requests, or connections where requests are not seen.
const REQUESTS: &str = "network_requests";

/// All limits of a run that the gateway holds.
#[derive(Debug, Default)]
pub struct Limits {
    requests: Vec<Limit>,
    bytes: Vec<Limit>,
    hosts: Vec<Limit>,
}

impl Limits {
    /// Those of the plan's that are about the network.
    #[must_use]
    pub fn new(counted: &[CountedLimit], now: Instant) -> Self {
        let mut limits = Self::default();
        for limit in counted {
            let made = Limit::new(limit, now);
            let of_run = limit.applies_to.contains(&Target::Run);
            match limit.name.as_str() {
                REQUESTS if of_run => limits.requests.push(made),
                BYTES if of_run => limits.bytes.push(made),
                name if limit.applies_to.contains(&Target::Host(name.to_owned())) => limits.hosts.push(made),
                _ => {}
            }
        }
        limits
    }

    /// Counts one request to `host`, or the connection where requests are not seen.
    ///
    /// # Errors
    /// The limit that is reached; then nothing is counted.
    pub fn request(&self, host: &str, now: Instant) -> Result<(), &Limit> {
        let of_host = self.hosts.iter().filter(|limit| takes_in(limit.name(), host));
        let mut taken: Vec<&Limit> = Vec::new();
        for limit in self.requests.iter().chain(of_host) {
            if limit.take(1, now) != Granted::Now(1) {
                taken.iter().for_each(|limit| limit.give_back());
                return Err(limit);
            }
            taken.push(limit);
        }
        Ok(())
    }

    /// Whether bytes are counted at all.
    #[must_use]
    pub fn counts_bytes(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Takes up to `wanted` bytes that are about to be sent out: as many as the tightest limit gives.
    ///
    /// # Errors
    /// The limit that gives none: before a time, or any more.
    pub fn bytes(&self, wanted: u64, now: Instant) -> Result<u64, (Option<Duration>, &Limit)> {
        let mut granted = wanted;
        for limit in &self.bytes {
            match limit.take(granted, now) {
                Granted::Now(some) => granted = some,
                Granted::Later(wait) => return Err((Some(wait), limit)),
                Granted::Never => return Err((None, limit)),
            }
        }
        Ok(granted)
    }
}

#[cfg(test)]
mod tests {
    use agentfile::plan::Origin;

    use super::*;

    fn counted(name: &str, value: u64, per_seconds: Option<u64>) -> CountedLimit {
        let target = if name.contains('.') { Target::Host(name.to_owned()) } else { Target::Run };
        CountedLimit {
            name: name.to_owned(),
            value,
            per_seconds,
            applies_to: vec![target],
            origin: Origin::builtin("test"),
        }
    }

    #[test]
    fn a_request_counts_for_all_limits_or_for_none() {
        let now = Instant::now();
        let plan = [
            counted(REQUESTS, 3, None),
            counted("api.example.com", 1, Some(3600)),
            counted("*.example.com", 2, None),
            counted("tool_calls", 0, None),
            // A tool that bears a host's name, and one that bears a limit's, are none of the gateway's.
            CountedLimit {
                applies_to: vec![Target::Tool("elsewhere.org".to_owned())],
                ..counted("elsewhere.org", 0, None)
            },
            CountedLimit {
                applies_to: vec![Target::Tool(REQUESTS.to_owned())],
                ..counted(REQUESTS, 0, None)
            },
        ];
        let limits = Limits::new(&plan, now);
        assert!(limits.request("api.example.com", now).is_ok());
        assert_eq!(limits.request("api.example.com", now).unwrap_err().name(), "api.example.com");
        assert!(limits.request("b.example.com", now).is_ok());
        assert_eq!(limits.request("b.example.com", now).unwrap_err().name(), "*.example.com");
        assert!(limits.request("elsewhere.org", now).is_ok());
        assert_eq!(limits.request("elsewhere.org", now).unwrap_err().name(), REQUESTS);
    }

    #[test]
    fn the_tightest_limit_on_bytes_holds() {
        let now = Instant::now();
        let plan = [counted(BYTES, 100, None), counted(BYTES, 10, Some(1))];
        let limits = Limits::new(&plan, now);
        assert_eq!(limits.bytes(50, now).ok(), Some(10));
        assert!(matches!(limits.bytes(50, now), Err((Some(_), _))));
        assert!(!Limits::default().counts_bytes());
        assert_eq!(Limits::default().bytes(7, now).ok(), Some(7));
    }
}
