//! A limit that one of our processes counts: so many in the whole run, or a token bucket (its number at once, refilled steadily).

use std::cell::Cell;
use std::time::{Duration, Instant};

use agentfile::plan::CountedLimit;

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

    /// Takes one back that was granted, since something else was not.
    pub fn give_back(&self) {
        self.left.set(self.left.get() + 1.0);
    }
}

#[cfg(test)]
mod tests {
    use agentfile::plan::{Origin, Target};

    use super::*;

    fn limit(value: u64, per_seconds: Option<u64>, now: Instant) -> Limit {
        let counted = CountedLimit {
            name: "calls".to_owned(),
            value,
            per_seconds,
            applies_to: vec![Target::Run],
            origin: Origin::builtin("test"),
        };
        Limit::new(&counted, now)
    }

    #[test]
    fn a_limit_of_the_run_ends() {
        let now = Instant::now();
        let limit = limit(10, None, now);
        assert_eq!(limit.take(4, now), Granted::Now(4));
        assert_eq!(limit.take(100, now), Granted::Now(6));
        assert_eq!(limit.take(1, now + Duration::from_secs(3600)), Granted::Never);
        limit.give_back();
        assert_eq!(limit.take(2, now), Granted::Now(1));
    }

    #[test]
    fn a_limit_per_time_refills_and_never_beyond_its_number() {
        let now = Instant::now();
        let limit = limit(60, Some(60), now);
        assert_eq!(limit.take(60, now), Granted::Now(60));
        assert_eq!(limit.take(1, now), Granted::Later(Duration::from_secs(1)));
        assert_eq!(limit.take(5, now + Duration::from_secs(2)), Granted::Now(2));
        assert_eq!(limit.take(1000, now + Duration::from_secs(7200)), Granted::Now(60));
    }
}
