//! Waiting without sleeping, where that pays. A process that sleeps is woken when bytes arrive, and on a virtual machine
//! that takes longer than what it then does with them. So where agent and server have taken turns at once for a while, this
//! looks for the next bytes for a moment before the process sleeps. It yields the processor to whoever else wants it, and
//! learns from each time that nothing came: traffic with pauses, or in one direction, is not waited for like that.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long the next bytes are looked for. Longer than it takes to wake the process that they come from.
const LOOKING: Duration = Duration::from_micros(100);
/// Bytes that come so soon after the last ones would have been found, had they been looked for: to be woken takes part of it.
const SOON: Duration = Duration::from_micros(150);
/// Turns in a row that must have been so quick.
const ENOUGH: u8 = 8;

/// Whose bytes came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Agent,
    World,
}

/// What has been learned about when bytes come.
#[derive(Debug)]
pub(crate) struct Eager {
    last: Cell<(Side, Instant)>,
    quick: Cell<u8>,
    pays: Notify,
}

impl Default for Eager {
    fn default() -> Self {
        Self { last: Cell::new((Side::World, Instant::now())), quick: Cell::new(0), pays: Notify::new() }
    }
}

impl Eager {
    /// Bytes of one side have come, and are on their way.
    pub(crate) fn moved(&self, side: Side) {
        self.moved_at(side, Instant::now());
    }

    fn moved_at(&self, side: Side, now: Instant) {
        let (before, last) = self.last.replace((side, now));
        let quick = side != before && now.saturating_duration_since(last) <= SOON;
        self.quick.set(if quick { self.quick.get().saturating_add(1) } else { 0 });
        if self.pays() {
            self.pays.notify_one();
        }
    }

    fn pays(&self) -> bool {
        self.quick.get() >= ENOUGH
    }

    /// Looks for the next ones, for ever.
    pub(crate) async fn look(&self) {
        loop {
            self.pays.notified().await;
            while self.pays() && self.last.get().1.elapsed() < LOOKING {
                // The runtime polls what is ready, and does not wait for it.
                tokio::task::yield_now().await;
                std::thread::yield_now();
            }
            // In vain, or over.
            self.quick.set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quick_turns_again_and_again_are_looked_for() {
        let eager = Eager::default();
        let mut now = Instant::now();
        let mut side = Side::World;
        let mut turn = |after: Duration, same: bool| {
            now += after;
            side = if (side == Side::World) == same { Side::World } else { Side::Agent };
            eager.moved_at(side, now);
            eager.pays()
        };
        turn(SOON * 2, false);
        assert!((1..ENOUGH).all(|_| !turn(SOON, false)));
        assert!(turn(SOON, false));
        assert!(!turn(SOON + Duration::from_micros(1), false), "one pause, and it is learned anew");
        assert!((1..ENOUGH).all(|_| !turn(SOON, false)));
        assert!(turn(Duration::ZERO, false));
        assert!(!turn(Duration::ZERO, true), "bulk is no turn");
        assert!((0..1000).all(|_| !turn(Duration::ZERO, true)));
    }

    #[test]
    fn looking_in_vain_has_an_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let eager = Eager::default();
            let now = Instant::now();
            for turn in 0..=ENOUGH {
                eager.moved_at(if turn % 2 == 0 { Side::Agent } else { Side::World }, now);
            }
            assert!(eager.pays());
            let look = tokio::time::timeout(Duration::from_secs(1), eager.look());
            assert!(look.await.is_err(), "it goes on for ever");
            assert!(!eager.pays());
        });
    }
}
