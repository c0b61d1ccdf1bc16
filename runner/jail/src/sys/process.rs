//! Making, waiting for and becoming a process.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;

use super::check;

/// What a clone returned.
pub(crate) enum Cloned {
    /// In the child.
    Child,
    /// In the parent: the child's pid in the parent's namespace, and its pidfd.
    Parent {
        /// Process id.
        pid: i32,
        /// Descriptor of the process (close-on-exec).
        pidfd: OwnedFd,
    },
}

/// clone3(2) with `flags` (CLONE_NEW*, CLONE_PARENT), a pidfd and, when one is given, the child born in `cgroup`.
///
/// The caller must be single-threaded: the child is a copy of this thread alone, so a lock that another thread held
/// would stay locked in it. [`super::super::launch`] asserts that before it calls.
pub(crate) fn clone_into(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, Errno> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is a valid `clone_args` (clone(2)): it is plain integers.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    // Of a sibling (CLONE_PARENT) it is the caller's own, and must not be said.
    let sibling = flags & libc::CLONE_PARENT as u64 != 0;
    args.exit_signal = if sibling { 0 } else { libc::SIGCHLD as u64 };
    if let Some(cgroup) = cgroup {
        args.flags |= 0x2_0000_0000; // CLONE_INTO_CGROUP, missing in libc
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` and `pidfd` live until the call returns, the size is that of the structure passed. Without
    // CLONE_VM the child runs on its own copy of this stack and memory, so returning twice is sound.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, std::mem::size_of::<libc::clone_args>())
    })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: on success in the parent the kernel stored a fresh descriptor in `pidfd` that nothing else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent { pid: pid as i32, pidfd })
}

/// fork(2) without glibc's handlers and locks. Returns `None` in the child.
pub(crate) fn fork() -> Result<Option<i32>, Errno> {
    // SAFETY: clone with only an exit signal is fork: the child gets its own copy of memory and stack; the caller is
    // init of the sandbox, which never has a second thread.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) })?;
    Ok(if pid == 0 { None } else { Some(pid as i32) })
}

/// setns(2): joins one namespace of the kind `flag` (CLONE_NEW*).
pub(crate) fn set_namespace(namespace: BorrowedFd<'_>, flag: libc::c_int) -> Result<(), Errno> {
    // SAFETY: a live descriptor and an integer; the callers are processes of one thread, and nothing that Rust holds depends on
    // a namespace.
    check(libc::c_long::from(unsafe { libc::setns(namespace.as_raw_fd(), flag) })).map(drop)
}

/// unshare(2) of namespaces (CLONE_NEW*), and of nothing else.
pub(crate) fn unshare(flags: u64) -> Result<(), Errno> {
    const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    let flags = i32::try_from(flags).map_err(|_| Errno::INVAL)?;
    if flags & !NAMESPACES != 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: an integer; without CLONE_FILES and CLONE_VM, which are not among the flags, descriptors and memory stay as they are.
    check(libc::c_long::from(unsafe { libc::unshare(flags) })).map(drop)
}

/// `_exit(2)`: no destructors, no handlers.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: always sound; ends the process.
    unsafe { libc::_exit(code) }
}

/// A null-terminated array of C strings, built before the clone, for execve(2).
pub(crate) struct Strings {
    pointers: Vec<*const libc::c_char>,
    // Owns what `pointers` point to; CString's heap buffer does not move when the vector does.
    _owned: Vec<std::ffi::CString>,
}

impl Strings {
    /// Takes the strings.
    pub(crate) fn new(owned: Vec<std::ffi::CString>) -> Self {
        let mut pointers: Vec<_> = owned.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self { pointers, _owned: owned }
    }
}

/// execve(2). Only returns on failure.
pub(crate) fn exec(path: &CStr, argv: &Strings, environment: &Strings) -> Errno {
    // SAFETY: `path` is NUL-terminated; both arrays are null-terminated and their strings live in `Strings`.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), environment.pointers.as_ptr()) };
    super::last()
}

/// What became of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaped {
    /// Process id.
    pub(crate) pid: i32,
    /// Status as wait(2) encodes it.
    pub(crate) status: i32,
    /// User and system time of it and of its waited-for descendants.
    pub(crate) cpu: Duration,
    /// Peak resident set of the largest of them, in KiB.
    pub(crate) peak_rss_kib: u64,
}

/// wait4(2) for `pid`, or any child (-1); `hang`: wait until there is one.
pub(crate) fn wait(pid: i32, hang: bool) -> Result<Option<Reaped>, Errno> {
    let mut status = 0;
    // SAFETY: all-zero is a valid `rusage`: it is plain integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        let flags = libc::__WALL | if hang { 0 } else { libc::WNOHANG };
        // SAFETY: both out-pointers are to live locals of the right type.
        let waited = unsafe { libc::wait4(pid, &raw mut status, flags, &raw mut usage) };
        match check(libc::c_long::from(waited)) {
            Ok(0) => return Ok(None),
            Ok(waited) => {
                let time = |value: libc::timeval| {
                    Duration::from_secs(value.tv_sec.unsigned_abs())
                        + Duration::from_micros(value.tv_usec.unsigned_abs())
                };
                return Ok(Some(Reaped {
                    pid: waited as i32,
                    status,
                    cpu: time(usage.ru_utime) + time(usage.ru_stime),
                    peak_rss_kib: usage.ru_maxrss.unsigned_abs(),
                }));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// kill(2) by number; `signal` 0 only asks.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: takes two integers.
    check(libc::c_long::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

/// pidfd_send_signal(2).
pub(crate) fn signal_pidfd(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // SAFETY: a live descriptor, an integer, no siginfo, no flags.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// A bare system call with up to six integer arguments, for the probes, which must ask the kernel itself and not a
/// wrapper that might answer in its place. `None` when it succeeded.
pub(crate) fn attempt(number: libc::c_long, arguments: [u64; 6]) -> Option<Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the callers (`prove.rs`) pass integers, null pointers, or pointers to NUL-terminated statics; each call is
    // one that fails, or whose success leaves this process's memory alone.
    check(unsafe { libc::syscall(number, a, b, c, d, e, f) }).err()
}
