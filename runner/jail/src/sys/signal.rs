//! Signal masks, dispositions, and waiting for signals.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::check;

/// Highest signal number of Linux (signal(7)).
const LAST: i32 = 64;

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct Set(libc::sigset_t);

impl Set {
    /// All signals.
    pub(crate) fn full() -> Self {
        // SAFETY: all-zero is a valid `sigset_t`, and sigfillset initialises it.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a pointer to a live set.
        unsafe { libc::sigfillset(&raw mut set) };
        Self(set)
    }

    /// No signals.
    pub(crate) fn empty() -> Self {
        // SAFETY: all-zero is a valid `sigset_t`, and sigemptyset initialises it.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a pointer to a live set.
        unsafe { libc::sigemptyset(&raw mut set) };
        Self(set)
    }

    /// These signals.
    pub(crate) fn of(signals: &[i32]) -> Self {
        Self::empty().and(signals)
    }

    /// This set, and these signals.
    pub(crate) fn and(self, signals: &[i32]) -> Self {
        let mut set = self;
        for signal in signals {
            // SAFETY: a pointer to a live set; an invalid number is an error return, not undefined.
            unsafe { libc::sigaddset(&raw mut set.0, *signal) };
        }
        set
    }

    /// The mask of the thread.
    pub(crate) fn mask() -> Result<Self, Errno> {
        let mut mask = Self::empty();
        // SAFETY: a null set only asks; the mask is stored into a live one.
        let code = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask.0) };
        if code == 0 { Ok(mask) } else { Err(Errno::from_raw_os_error(code)) }
    }

    /// Makes this the mask of the thread; returns the one before.
    pub(crate) fn block(&self) -> Result<Self, Errno> {
        let mut before = Self::empty();
        // SAFETY: two pointers to live sets; pthread_sigmask takes no lock.
        let code = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, &raw mut before.0) };
        if code == 0 { Ok(before) } else { Err(Errno::from_raw_os_error(code)) }
    }

    /// Waits for one of these (blocked) signals; returns its number.
    pub(crate) fn wait(&self) -> Result<i32, Errno> {
        // SAFETY: a pointer to a live set; no information is asked for.
        check(libc::c_long::from(unsafe { libc::sigwaitinfo(&raw const self.0, std::ptr::null_mut()) }))
            .map(|signal| signal as i32)
    }

    /// A descriptor from which these (blocked) signals can be read: signalfd(2), close-on-exec, non-blocking.
    pub(crate) fn descriptor(&self) -> Result<OwnedFd, Errno> {
        // SAFETY: a pointer to a live set, -1 asks for a new descriptor.
        let fd = check(libc::c_long::from(unsafe {
            libc::signalfd(-1, &raw const self.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        }))?;
        // SAFETY: a fresh descriptor that nothing else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}

/// The next pending signal of a [`Set::descriptor`]; `None`: there is none, or what was read is no whole record.
pub(crate) fn next(descriptor: &OwnedFd) -> Result<Option<i32>, Errno> {
    let mut record = [0; std::mem::size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(descriptor, &mut record) {
        // The record begins with the number (signalfd(2)).
        Ok(length) => {
            let number = record.first_chunk::<4>().filter(|_| length == record.len());
            Ok(number.map(|bytes| i32::from_ne_bytes(*bytes)))
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether the process ignores the signal.
pub(crate) fn ignored(signal: i32) -> bool {
    // SAFETY: all-zero is a valid `sigaction`: an address, a mask, flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only asks; the old one is stored into a live structure.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Ignores a signal, until exec(2) or [`default_dispositions`].
pub(crate) fn ignore(signal: i32) {
    // SAFETY: SIG_IGN installs no code of ours; an invalid number is an error return.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives every signal its default disposition: exec keeps "ignored", and the Rust runtime ignores SIGPIPE.
pub(crate) fn default_dispositions() {
    for signal in 1..=LAST {
        // SAFETY: SIG_DFL installs no code of ours. SIGKILL, SIGSTOP and glibc's two own are refused by the call,
        // and are never ignored.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
