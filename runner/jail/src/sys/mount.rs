//! mount_setattr(2), which rustix lacks.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::check;

/// MOUNT_ATTR_RDONLY (linux/mount.h).
pub(crate) const READ_ONLY: u64 = 0x1;
/// MOUNT_ATTR_NOSUID.
pub(crate) const NO_SUID: u64 = 0x2;
/// MOUNT_ATTR_NODEV.
pub(crate) const NO_DEV: u64 = 0x4;
/// MOUNT_ATTR_NOEXEC.
pub(crate) const NO_EXEC: u64 = 0x8;

/// Sets `attributes` on the mount whose root is `mount`; `recursive`: and on all beneath it.
pub(crate) fn set_attributes(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> Result<(), Errno> {
    // SAFETY: all-zero is a valid `mount_attr`: it is plain integers.
    let mut wanted: libc::mount_attr = unsafe { std::mem::zeroed() };
    wanted.attr_set = attributes;
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: an empty path names the descriptor itself; the kernel reads `size` bytes of a live structure.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            std::mem::size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}
