//! Denials that the agent can repeat as often as it likes: told at once the first time, then counted and told ever more
//! rarely, so that they fill no disk.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Different keys of one kind that are told apart in a run; all others of that kind count as one.
pub const DISTINCT: usize = 1024;
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

/// Something that is counted. What the agent can make many different ones of, such as names to resolve, must not use up the
/// places of what it does elsewhere: each kind has its own.
pub trait Counted: Hash + Eq + Clone {
    /// Few, and never chosen by the agent.
    type Kind: Hash + Eq + Copy;
    /// Its kind.
    fn kind(&self) -> Self::Kind;
    /// What stands for it when there are too many different ones of its kind: one of few, too.
    fn others(&self) -> Self;
}

/// How often what happened.
#[derive(Debug)]
pub struct Tally<K: Counted> {
    counts: HashMap<K, Told>,
    distinct: HashMap<K::Kind, usize>,
}

impl<K: Counted> Default for Tally<K> {
    fn default() -> Self {
        Self { counts: HashMap::new(), distinct: HashMap::new() }
    }
}

impl<K: Counted> Tally<K> {
    /// Counts one. What is to be told now, and how often it happened since it was told last.
    pub fn count(&mut self, key: K, now: Instant) -> Option<(K, u64)> {
        let key = if self.counts.contains_key(&key) {
            key
        } else {
            let distinct = self.distinct.entry(key.kind()).or_default();
            if *distinct < DISTINCT {
                *distinct += 1;
                key
            } else {
                key.others()
            }
        };
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

    /// A kind, and which of it.
    type Key = (&'static str, u64);

    impl Counted for Key {
        type Kind = &'static str;

        fn kind(&self) -> &'static str {
            self.0
        }

        fn others(&self) -> Self {
            (self.0, u64::MAX)
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_same_ever_more_rarely() {
        let start = Instant::now();
        let mut tally = Tally::<Key>::default();
        let mut told = Vec::new();
        for second in 0..100 {
            for _ in 0..10 {
                let now = start + Duration::from_secs(second);
                told.extend(tally.count(("a", 1), now).map(|(_, count)| (second, count)));
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
        let mut tally = Tally::<Key>::default();
        let told = (0..3 * DISTINCT as u64).filter_map(|n| tally.count(("names", n), now)).count();
        assert_eq!(told, DISTINCT + 1);
        assert_eq!(tally.due(true, DISTINCT, now), [(("names", u64::MAX), 2 * DISTINCT as u64 - 1)]);
    }

    #[test]
    fn many_of_one_kind_leave_the_places_of_the_others() {
        let now = Instant::now();
        let mut tally = Tally::<Key>::default();
        for n in 0..3 * DISTINCT as u64 {
            let _ = tally.count(("names", n), now);
        }
        assert_eq!(tally.count(("requests", 7), now), Some((("requests", 7), 1)));
        let told = (0..=DISTINCT as u64).filter_map(|n| tally.count(("requests", n), now));
        assert!(told.collect::<Vec<_>>().contains(&(("requests", u64::MAX), 1)));
        let rest = tally.due(true, usize::MAX, now);
        assert!(rest.contains(&(("names", u64::MAX), 2 * DISTINCT as u64 - 1)), "told by kind: {rest:?}");
    }
}
