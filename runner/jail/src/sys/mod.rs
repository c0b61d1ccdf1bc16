//! All the `unsafe` of the project: thin, safe wrappers of system calls that neither the standard library nor
//! rustix offers. Everything here may be called between clone and exec: no allocation, no locks.
#![allow(unsafe_code)]

#[cfg(feature = "fault-injection")]
pub(crate) mod allocator;
pub(crate) mod kernel;
pub(crate) mod mount;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod terminal;

use rustix::io::Errno;

/// The result of a system call that answers -1 and sets errno.
fn check(returned: libc::c_long) -> Result<libc::c_long, Errno> {
    if returned < 0 { Err(last()) } else { Ok(returned) }
}

/// errno of the call just made.
fn last() -> Errno {
    // SAFETY: `__errno_location` returns a valid pointer to the calling thread's errno for as long as it lives.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
