//! Opening what was decided about: a path in which nothing is a symbolic link, so that it leads to what it says. Part by part, since
//! openat2(2), which could do it at once, is no call that the sandbox has.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Opens `path`, through no symbolic link.
pub(super) fn open(path: &str, flags: OFlags) -> Result<OwnedFd, String> {
    let mut parts: Vec<&str> = parts(path)?;
    let last = parts.pop().unwrap_or(".");
    let folder = folder(path, &parts)?;
    let how = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened = rustix::fs::openat(&folder, last, how, Mode::empty());
    opened.map_err(|errno| describe(path, link_or(folder.as_fd(), last, errno)))
}

/// The folder that `path` is in, and its name there.
pub(super) fn parent(path: &str) -> Result<(OwnedFd, &str), String> {
    let mut parts = parts(path)?;
    let name = parts.pop().ok_or_else(|| format!("`{path}` is no file's path"))?;
    Ok((folder(path, &parts)?, name))
}

fn parts(path: &str) -> Result<Vec<&str>, String> {
    let rest = path.strip_prefix('/').ok_or_else(|| format!("`{path}` is not absolute"))?;
    let parts: Vec<_> = rest.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(format!("`{path}` has `.` or `..` in it"));
    }
    Ok(parts)
}

/// The folder to which `parts` lead from the root.
fn folder(path: &str, parts: &[&str]) -> Result<OwnedFd, String> {
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder =
        rustix::fs::openat(CWD, "/", how, Mode::empty()).map_err(|errno| describe(path, errno))?;
    for part in parts {
        let inner = rustix::fs::openat(&folder, *part, how, Mode::empty());
        folder = inner.map_err(|errno| describe(path, link_or(folder.as_fd(), part, errno)))?;
    }
    Ok(folder)
}

/// ELOOP where a symbolic link is in the way: for a folder, the kernel says that it is none.
fn link_or(folder: BorrowedFd<'_>, name: &str, errno: Errno) -> Errno {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    if found.is_ok_and(|found| kind(found.st_mode) == "symlink") { Errno::LOOP } else { errno }
}

/// What the kernel said, in words.
pub(super) fn describe(path: &str, errno: Errno) -> String {
    if errno == Errno::LOOP {
        return format!("`{path}` leads through a symbolic link: give the path that it leads to");
    }
    format!("`{path}`: {}", std::io::Error::from(errno))
}

/// An open file's type as a word.
pub(super) fn kind(mode: u32) -> &'static str {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        _ => "other",
    }
}
