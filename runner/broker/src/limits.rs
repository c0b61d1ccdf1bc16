//! The plan's limits on calls: `tool_calls`, a RATELIMIT of a tool, a function, a skill or a memory, `max_output`.

use std::time::Instant;

use agentfile::plan::{CountedLimit, Target};
use agentrc_service::limit::{Granted, Limit};

/// Name of the limit on all calls of a run.
const CALLS: &str = "tool_calls";
/// Name of the limit on the bytes of one result.
const OUTPUT: &str = "max_output";
/// That limit where no line sets one: 1 MiB.
const MOST_OUTPUT: u64 = 1 << 20;

/// All limits that the broker holds.
#[derive(Debug)]
pub(crate) struct Limits {
    counted: Vec<(Vec<Target>, Limit)>,
    output: usize,
}

impl Limits {
    /// Those of the plan's that are about calls.
    pub(crate) fn new(plan: &[CountedLimit], now: Instant) -> Self {
        let ours = |target: &Target| !matches!(target, Target::Run | Target::Host(_) | Target::Credential(_));
        let counted = plan.iter().filter(|limit| limit.name == CALLS || limit.applies_to.iter().any(ours));
        let counted = counted.map(|limit| (limit.applies_to.clone(), Limit::new(limit, now))).collect();
        let output =
            plan.iter().filter(|limit| limit.name == OUTPUT && limit.applies_to.contains(&Target::Run));
        let output = output.map(|limit| limit.value).min().unwrap_or(MOST_OUTPUT);
        Self { counted, output: usize::try_from(output).unwrap_or(usize::MAX) }
    }

    /// Most bytes of one result.
    pub(crate) fn output(&self) -> usize {
        self.output
    }

    /// Counts one call of all of `called`: a tool, and its server.
    ///
    /// # Errors
    /// The limit that is reached; then nothing is counted.
    pub(crate) fn call(&self, called: &[Target], now: Instant) -> Result<(), &Limit> {
        let mut taken: Vec<&Limit> = Vec::new();
        for (targets, limit) in &self.counted {
            if !targets.contains(&Target::Run) && !called.iter().any(|one| targets.contains(one)) {
                continue;
            }
            if limit.take(1, now) != Granted::Now(1) {
                taken.iter().for_each(|limit| limit.give_back());
                return Err(limit);
            }
            taken.push(limit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use agentfile::plan::Origin;

    use super::*;

    fn limit(name: &str, value: u64, per_seconds: Option<u64>, target: Target) -> CountedLimit {
        let origin = Origin::builtin("test");
        CountedLimit { name: name.to_owned(), value, per_seconds, applies_to: vec![target], origin }
    }

    #[test]
    fn a_call_counts_for_all_its_limits_or_for_none() {
        let now = Instant::now();
        let shell = [Target::Tool("shell".to_owned())];
        let other = [Target::Tool("other".to_owned())];
        let limits = Limits::new(
            &[
                limit("tool_calls", 3, None, Target::Run),
                limit("utcp:shell", 1, Some(60), shell[0].clone()),
                limit("network_requests", 0, None, Target::Run),
            ],
            now,
        );
        assert!(limits.call(&shell, now).is_ok());
        assert_eq!(limits.call(&shell, now).unwrap_err().name(), "utcp:shell");
        assert!(limits.call(&other, now).is_ok() && limits.call(&other, now).is_ok());
        assert_eq!(limits.call(&other, now).unwrap_err().name(), "tool_calls");
        assert_eq!(limits.call(&shell, now).unwrap_err().name(), "tool_calls");
    }

    #[test]
    fn the_smallest_max_output_holds() {
        let now = Instant::now();
        assert_eq!(Limits::new(&[], now).output(), 1 << 20);
        let plan = [limit("max_output", 100, None, Target::Run), limit("max_output", 7, None, Target::Run)];
        assert_eq!(Limits::new(&plan, now).output(), 7);
    }
}
