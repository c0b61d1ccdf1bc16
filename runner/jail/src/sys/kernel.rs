//! Locks: prctl(2), seccomp(2), landlock(7), close_range(2).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::check;

/// One instruction of classic BPF, as `struct sock_filter` (linux/filter.h).
pub(crate) type Instruction = libc::sock_filter;

/// Installs a seccomp filter on this thread; `no_new_privs` must be set. The process has this one thread, so there is
/// nothing to synchronise.
pub(crate) fn seccomp(program: &[Instruction]) -> Result<(), Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies `len` instructions from `filter`, which is that long and lives through the call; it
    // does not write through the pointer.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
        .map(drop)
}

/// Whether seccomp knows `action` (SECCOMP_GET_ACTION_AVAIL).
pub(crate) fn seccomp_action_available(action: u32) -> Result<(), Errno> {
    // SAFETY: the kernel reads one u32 through a pointer to a live one.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) })
        .map(drop)
}

/// `struct landlock_ruleset_attr` (linux/landlock.h, ABI 6). Older kernels take a prefix.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RulesetAttributes {
    /// LANDLOCK_ACCESS_FS_*.
    pub(crate) access_fs: u64,
    /// LANDLOCK_ACCESS_NET_* (ABI 4).
    pub(crate) access_net: u64,
    /// LANDLOCK_SCOPE_* (ABI 6).
    pub(crate) scoped: u64,
}

/// The kernel's Landlock ABI.
pub(crate) fn landlock_abi() -> Result<u32, Errno> {
    const VERSION: u32 = 1; // LANDLOCK_CREATE_RULESET_VERSION
    // SAFETY: with the version flag and a null attribute the call only returns a number.
    let abi = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttributes>(),
            0_usize,
            VERSION,
        )
    })?;
    Ok(u32::try_from(abi).unwrap_or(0))
}

/// landlock_create_ruleset(2) with the first `size` bytes of `attributes` (what the ABI knows).
pub(crate) fn landlock_create(attributes: &RulesetAttributes, size: usize) -> Result<OwnedFd, Errno> {
    let size = size.min(std::mem::size_of::<RulesetAttributes>());
    // SAFETY: the kernel reads `size` bytes, at most the size of the structure.
    let fd =
        check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const *attributes, size, 0) })?;
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// landlock_add_rule(2) of LANDLOCK_RULE_PATH_BENEATH.
pub(crate) fn landlock_allow(
    ruleset: BorrowedFd<'_>,
    path: BorrowedFd<'_>,
    access: u64,
) -> Result<(), Errno> {
    let rule = PathBeneath { allowed_access: access, parent_fd: path.as_raw_fd() };
    // SAFETY: the kernel reads one `landlock_path_beneath_attr` (packed, 12 bytes) through a pointer to a live one.
    check(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), 1, &raw const rule, 0) })
        .map(drop)
}

/// `struct landlock_net_port_attr` (ABI 4).
#[repr(C)]
struct NetPort {
    allowed_access: u64,
    /// In the host's byte order.
    port: u64,
}

/// landlock_add_rule(2) of LANDLOCK_RULE_NET_PORT.
pub(crate) fn landlock_allow_port(ruleset: BorrowedFd<'_>, port: u16, access: u64) -> Result<(), Errno> {
    let rule = NetPort { allowed_access: access, port: u64::from(port) };
    // SAFETY: the kernel reads one `landlock_net_port_attr` (two u64) through a pointer to a live one.
    check(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), 2, &raw const rule, 0) })
        .map(drop)
}

/// landlock_restrict_self(2).
pub(crate) fn landlock_restrict(ruleset: BorrowedFd<'_>, flags: u32) -> Result<(), Errno> {
    // SAFETY: a live descriptor and an integer.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) }).map(drop)
}

/// prctl(2) whose arguments are integers.
fn prctl(option: libc::c_int, second: u64) -> Result<(), Errno> {
    // SAFETY: only called below, with options that take integers.
    check(libc::c_long::from(unsafe { libc::prctl(option, second, 0_u64, 0_u64, 0_u64) })).map(drop)
}

/// SIGKILL when the parent dies. Cleared by any change of credentials, so set after the last of them.
pub(crate) fn die_with_parent() -> Result<(), Errno> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)
}

/// Nobody may attach to this process or read its memory, and it leaves no core.
pub(crate) fn set_undumpable() -> Result<(), Errno> {
    prctl(libc::PR_SET_DUMPABLE, 0)
}

/// Removes one capability from the bounding set. `Ok(false)`: the kernel has no such capability.
pub(crate) fn drop_bounding(capability: u32) -> Result<bool, Errno> {
    match prctl(libc::PR_CAPBSET_DROP, u64::from(capability)) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Clears the ambient set.
pub(crate) fn clear_ambient() -> Result<(), Errno> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64)
}

/// PR_SET_SECUREBITS (capabilities(7)).
pub(crate) fn set_securebits(bits: u64) -> Result<(), Errno> {
    prctl(libc::PR_SET_SECUREBITS, bits)
}

/// `no_new_privs`, for good.
pub(crate) fn set_no_new_privs() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// capset(2): no capability in any of the three sets.
pub(crate) fn clear_capabilities() -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 }; // _LINUX_CAPABILITY_VERSION_3, this thread
    let none = [0_u32; 6]; // two of {effective, permitted, inheritable}
    // SAFETY: version 3 reads one header and two 12-byte sets, which is what the pointers point to.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) }).map(drop)
}

/// close_range(2): closes every descriptor from `first`.
pub(crate) fn close_from(first: u32) -> Result<(), Errno> {
    // SAFETY: called by init, which afterwards uses none of them: it never returns, so no value that owns one is
    // dropped, and it opens nothing more.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// close_range(2): closes every descriptor from 3 but `keep`.
pub(crate) fn close_others(keep: BorrowedFd<'_>) -> Result<(), Errno> {
    let keep = keep.as_raw_fd().unsigned_abs();
    for (first, last) in [(3, keep.saturating_sub(1)), (keep.saturating_add(1).max(3), u32::MAX)] {
        if first <= last {
            // SAFETY: called by the agent's process, which becomes another program or exits: it never returns, so no
            // value that owns one of them is dropped, and it uses no other afterwards.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
    }
    Ok(())
}

/// close_range(2): closes every descriptor from 3 but those of `keep`, which is sorted.
pub(crate) fn close_all_but(keep: &[u32]) -> Result<(), Errno> {
    let mut first = 3;
    for last in keep.iter().map(|kept| kept.saturating_sub(1)).chain([u32::MAX]) {
        if first <= last {
            // SAFETY: called by a service that was just forked, which never returns to its caller but exits: no value that
            // owns one of them is dropped, and it uses no other than those it keeps.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
        first = first.max(last.saturating_add(2));
    }
    Ok(())
}

/// setenv(3), in a service that was just forked.
pub(crate) fn set_environment(name: &std::ffi::CStr, value: &std::ffi::CStr) -> Result<(), Errno> {
    // SAFETY: both strings are NUL-terminated and are copied; the process has one thread, so that nobody reads meanwhile.
    check(libc::c_long::from(unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) })).map(drop)
}

/// mlock(2).
pub(crate) fn lock(bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: the range is that of a live slice; locking pages changes nothing of what is in them.
    check(libc::c_long::from(unsafe { libc::mlock(bytes.as_ptr().cast(), bytes.len()) })).map(drop)
}

/// Marks every descriptor from `first` close-on-exec.
pub(crate) fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    const CLOEXEC: u32 = 1 << 2; // CLOSE_RANGE_CLOEXEC
    // SAFETY: changes a flag of descriptors, closes none.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOEXEC) }).map(drop)
}

/// sethostname(2).
pub(crate) fn set_hostname(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `len` bytes from a slice of that length.
    check(libc::c_long::from(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })).map(drop)
}

/// The hard limit of a resource, with libc's own number of it.
pub(crate) fn hard_limit(resource: u32) -> Result<u64, Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit64` through a pointer to a live one that nothing else borrows.
    check(unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, std::ptr::null::<libc::rlimit>(), &raw mut limit)
    })?;
    Ok(limit.rlim_max)
}

/// setrlimit(2), soft and hard alike, with libc's own number of the resource.
pub(crate) fn set_rlimit(resource: u32, value: u64) -> Result<(), Errno> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the kernel reads one `rlimit64` through a pointer to a live one.
    check(unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit>(),
        )
    })
    .map(drop)
}
