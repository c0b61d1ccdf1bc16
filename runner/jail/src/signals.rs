//! Which signals the supervisor hears during a run, and how: through a descriptor, so that one of them ends the run in order
//! and not the supervisor.

use std::os::fd::OwnedFd;

use crate::refusal::Refusal;
use crate::step::{Step, run};
use crate::sys::signal;

/// Signals that the supervisor hands on to the agent.
const FORWARDED: &[i32] = &[
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
    libc::SIGALRM,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGWINCH,
];

/// Lets a write beyond RLIMIT_FSIZE (`ulimit -f`) fail with EFBIG: SIGXFSZ would end the process in the middle of what it
/// has to tidy up. The agent gets the default disposition back.
pub fn fail_beyond_file_size_limit() {
    signal::ignore(libc::SIGXFSZ);
}

/// The signals that the run is to hear, kept from ending this process in the middle of it: from before anything is made
/// until all of it is recorded and nothing is left. Dropping it forgets what is pending, which was meant for the run.
pub struct Signals {
    before: signal::Set,
    /// Those that the caller does not ignore (nohup(1) ignores SIGHUP): a blocked signal is queued even when it is.
    forwarded: Vec<i32>,
    descriptor: OwnedFd,
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").field("forwarded", &self.forwarded).finish()
    }
}

impl Signals {
    /// From here on they wait.
    ///
    /// # Errors
    /// signalfd(2).
    pub fn take() -> Result<Self, Refusal> {
        let taken = run(Step::Signals, 0, || {
            let forwarded: Vec<i32> =
                FORWARDED.iter().copied().filter(|one| !signal::ignored(*one)).collect();
            let descriptor = signal::Set::of(&forwarded).descriptor()?;
            let before = signal::Set::mask()?;
            before.and(&forwarded).block()?;
            Ok(Self { before, forwarded, descriptor })
        });
        Ok(taken?)
    }

    /// Everything waits: init is born with this mask, and waits for signals instead of being interrupted. Where the
    /// supervisor reads its own.
    pub(crate) fn silence(&self) -> Result<OwnedFd, Refusal> {
        let heard = run(Step::Signals, 1, || {
            let heard = rustix::io::fcntl_dupfd_cloexec(&self.descriptor, 0)?;
            signal::Set::full().block()?;
            Ok(heard)
        });
        Ok(heard?)
    }

    /// Init has the full mask by now; here, what is not forwarded does what it did before.
    pub(crate) fn narrow(&self) -> Result<(), Refusal> {
        Ok(run(Step::Signals, 2, || self.before.and(&self.forwarded).block().map(drop))?)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        while signal::next(&self.descriptor).is_ok_and(|pending| pending.is_some()) {}
        let _ = self.before.block();
    }
}
