//! Which processor an end of the measured connections runs on. Left to itself the scheduler puts client and server on one for
//! some runs and on two for others, and a kept request between them then takes 5 or 55 µs: a ratio to either says nothing.
//! So each has its own, as on a machine with processors to spare; what is between them goes where the scheduler puts it.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// An end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Client,
    Server,
}

/// Keeps this thread, and those that it starts, on the processor of its end: the first, or the last that there is.
///
/// # Errors
/// What the kernel says (sched_setaffinity(2)).
pub(super) fn keep(end: End) -> Result<(), String> {
    let words = |error| format!("its processor: {error}");
    let allowed = sched_getaffinity(None).map_err(words)?;
    let mut all = (0..CpuSet::MAX_CPU).filter(|one| allowed.is_set(*one));
    let one = match end {
        End::Client => all.next(),
        End::Server => all.next_back(),
    };
    let mut only = CpuSet::new();
    only.set(one.ok_or("there is no processor to run on")?);
    sched_setaffinity(None, &only).map_err(words)
}
