//! Fault injection: makes one named step fail, to show that a failed step is a refusal. Compiled to nothing unless
//! the feature `fault-injection` is on, which only the test binary `agentrc-fault` turns on.

use rustix::io::Errno;

use crate::step::Step;

#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn check(_: Step) -> Result<(), Errno> {
    Ok(())
}

#[cfg(feature = "fault-injection")]
pub(crate) use enabled::check;
#[cfg(feature = "fault-injection")]
pub use enabled::{arm, disarm, passed};

#[cfg(feature = "fault-injection")]
mod enabled {
    use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

    use super::{Errno, Step};

    const NONE: u16 = u16::MAX;
    static ARMED: AtomicU16 = AtomicU16::new(NONE);
    // One bit per step that this process has passed.
    static PASSED: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

    /// Makes the step with this name fail with EIO. Returns whether there is one.
    pub fn arm(name: &str) -> bool {
        let step = Step::ALL.iter().find(|step| step.name() == name);
        if let Some(step) = step {
            ARMED.store(*step as u16, Ordering::Relaxed);
        }
        step.is_some()
    }

    /// Lets everything pass again, in this process and in what is forked from it from now on.
    pub fn disarm() {
        ARMED.store(NONE, Ordering::Relaxed);
    }

    /// Whether this process, or the one that it was cloned from before the clone, has passed the step.
    #[must_use]
    pub fn passed(step: Step) -> bool {
        let number = step as usize;
        PASSED.get(number / 64).is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (number % 64)) != 0)
    }

    pub(crate) fn check(step: Step) -> Result<(), Errno> {
        let number = step as usize;
        if let Some(word) = PASSED.get(number / 64) {
            word.fetch_or(1 << (number % 64), Ordering::Relaxed);
        }
        if ARMED.load(Ordering::Relaxed) == step as u16 { Err(Errno::IO) } else { Ok(()) }
    }
}
