//! Limits on the network as the plan counts them: `network_requests`, `egress_bytes`, and a RATELIMIT of a host. A limit
//! per time is a token bucket (it allows its number at once, and refills steadily); one without is for the whole run.

use std::cell::Cell;
use std::time::{Duration, Instant};

use agentfile::plan::inside::takes_in;
use agentfile::plan::{CountedLimit, Target};

/// Name of the limit on bytes that are sent out.
const BYTES: &str = "egress_bytes";
/// Name of the limit on requests, or connections where requests are not seen.
const REQUESTS: &str = "network_requests";

/// One limit and its state.
#[derive(Debug)]
pub struct Limit {
    name: String,
    origin: String,
    value: u64,
    per: Option<Duration>,
    left: Cell<f64>,
    since: Cell<Instant>,
}

/// What a limit says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Granted {
    /// So many, at least one.
    Now(u64),
    /// None before this time has passed.
    Later(Duration),
    /// None in this run any more.
    Never,
}

impl Limit {
    /// A full one.
    #[must_use]
    pub fn new(limit: &CountedLimit, now: Instant) -> Self {
        Self {
            name: limit.name.clone(),
            origin: limit.origin.to_string(),
            value: limit.value,
            per: limit.per_seconds.map(|seconds| Duration::from_secs(seconds.max(1))),
            left: Cell::new(limit.value as f64),
            since: Cell::new(now),
        }
    }

    /// Its name in the plan.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line that set it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Takes up to `wanted`, as many as there are.
    pub fn take(&self, wanted: u64, now: Instant) -> Granted {
        let mut left = self.left.get();
        if let Some(per) = self.per {
            let rate = self.value as f64 / per.as_secs_f64();
            // A clock that is set back is not seen: this one is monotonic.
            left = (left + now.saturating_duration_since(self.since.get()).as_secs_f64() * rate)
                .min(self.value as f64);
            self.since.set(now);
        }
        let granted = (wanted.min(left.max(0.0) as u64)).min(wanted);
        self.left.set(left - granted as f64);
        match (granted, self.per) {
            (0, _) if wanted == 0 => Granted::Now(0),
            (0, None) => Granted::Never,
            (0, Some(_)) if self.value == 0 => Granted::Never,
            (0, Some(per)) => {
                let missing = (1.0 - left).max(0.0);
                Granted::Later(Duration::from_secs_f64(missing * per.as_secs_f64() / self.value as f64))
            }
            (granted, _) => Granted::Now(granted),
        }
    }

    fn give_back(&self) {
        self.left.set(self.left.get() + 1.0);
    }
}

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
        let of_host = self.hosts.iter().filter(|limit| takes_in(&limit.name, host));
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
    fn a_limit_of_the_run_ends() {
        let now = Instant::now();
        let limit = Limit::new(&counted(BYTES, 10, None), now);
        assert_eq!(limit.take(4, now), Granted::Now(4));
        assert_eq!(limit.take(100, now), Granted::Now(6));
        assert_eq!(limit.take(1, now + Duration::from_secs(3600)), Granted::Never);
    }

    #[test]
    fn a_limit_per_time_refills_and_never_beyond_its_number() {
        let now = Instant::now();
        let limit = Limit::new(&counted(REQUESTS, 60, Some(60)), now);
        assert_eq!(limit.take(60, now), Granted::Now(60));
        assert_eq!(limit.take(1, now), Granted::Later(Duration::from_secs(1)));
        assert_eq!(limit.take(5, now + Duration::from_secs(2)), Granted::Now(2));
        assert_eq!(limit.take(1000, now + Duration::from_secs(7200)), Granted::Now(60));
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
