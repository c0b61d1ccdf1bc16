//! Denials that the agent can repeat as often as it likes: told at once the first time, then counted and told ever more
//! rarely, so that they fill no disk.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Different keys that are told apart in a run; all others count as one.
pub const DISTINCT: usize = 2048;
/// How long the same key waits before it is told again; doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest it waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Told {
    untold: u64,
    next: Instant,
    wait: Duration,
}

impl Told {
    /// How much is to be told now.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.untold == 0 || now < self.next {
            return None;
        }
        self.next = now + self.wait;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Some(std::mem::take(&mut self.untold))
    }
}

/// How often what happened.
#[derive(Debug)]
pub struct Tally<K> {
    counts: HashMap<K, Told>,
    others: K,
}

impl<K: Hash + Eq + Clone> Tally<K> {
    /// Empty. `others` stands for all that come when there are too many different ones.
    pub fn new(others: K) -> Self {
        Self { counts: HashMap::new(), others }
    }

    /// Counts one. What is to be told now, and how often it happened since it was told last.
    pub fn count(&mut self, key: K, now: Instant) -> Option<(K, u64)> {
        let known = self.counts.len() < DISTINCT || self.counts.contains_key(&key);
        let key = if known { key } else { self.others.clone() };
        let fresh = Told { untold: 0, next: now, wait: FIRST_WAIT };
        let told = self.counts.entry(key.clone()).or_insert(fresh);
        told.untold += 1;
        told.due(now).map(|count| (key, count))
    }

    /// What was counted and is due, at most so much; all of it when the run ends.
    pub fn due(&mut self, all: bool, most: usize, now: Instant) -> Vec<(K, u64)> {
        let due = self.counts.iter_mut().filter_map(|(key, told)| {
            if all {
                told.next = now;
            }
            told.due(now).map(|count| (key.clone(), count))
        });
        due.take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_same_ever_more_rarely() {
        let start = Instant::now();
        let mut tally = Tally::new("others");
        let mut told = Vec::new();
        for second in 0..100 {
            for _ in 0..10 {
                let now = start + Duration::from_secs(second);
                told.extend(tally.count("a", now).map(|(_, count)| (second, count)));
            }
        }
        let seconds: Vec<_> = told.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [0, 1, 3, 7, 15, 31, 63]);
        let rest = tally.due(true, DISTINCT, start + Duration::from_secs(100));
        assert_eq!(told.iter().map(|(_, count)| count).sum::<u64>() + rest[0].1, 1000);
        assert!(tally.due(true, DISTINCT, start + Duration::from_secs(200)).is_empty());
    }

    #[test]
    fn different_ones_without_end_are_one_in_the_end() {
        let now = Instant::now();
        let mut tally = Tally::new(u64::MAX);
        let told = (0..3 * DISTINCT as u64).filter_map(|n| tally.count(n, now)).count();
        assert_eq!(told, DISTINCT + 1);
        assert_eq!(tally.due(true, DISTINCT, now), [(u64::MAX, 2 * DISTINCT as u64 - 1)]);
    }
}
