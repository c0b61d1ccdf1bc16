//! Opening what was decided about: a path in which nothing is a symbolic link, so that it leads to what it says. Part by part, since
//! openat2(2), which could do it at once, is no call that the sandbox has.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Opens `path`, through no symbolic link.
pub(super) fn open(path: &str, flags: OFlags) -> Result<OwnedFd, String> {
    let parts = parts(path)?;
    let (folder, last) = match parts.split_last() {
        Some((last, before)) => (folder(path, before)?, last.as_str()),
        None => (folder(path, &[])?, "."),
    };
    let how = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened = rustix::fs::openat(&folder, last, how, Mode::empty());
    opened.map_err(|errno| describe(path, link_or(folder.as_fd(), last, errno)))
}

/// The folder that `path` is in, and its name there.
pub(super) fn parent(path: &str) -> Result<(OwnedFd, String), String> {
    if path.ends_with('/') {
        return Err(format!("`{path}` is a folder's path, and no file's"));
    }
    let mut parts = parts(path)?;
    let name = parts.pop().ok_or_else(|| format!("`{path}` is no file's path"))?;
    Ok((folder(path, &parts)?, name))
}

/// The parts of `path`, from the root; a relative one begins in the working directory.
fn parts(path: &str) -> Result<Vec<String>, String> {
    if path.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if path.contains('\0') {
        return Err(format!("`{path}` has a NUL in it"));
    }
    let mut parts = Vec::new();
    if !path.starts_with('/') {
        let here = std::env::current_dir().map_err(|error| format!("the working directory: {error}"))?;
        let here = here.to_str().ok_or("the path of the working directory is not UTF-8")?;
        parts.extend(names(here).map(ToOwned::to_owned));
    }
    parts.extend(names(path).map(ToOwned::to_owned));
    // The kernel's meaning of it and that of whoever decided may differ.
    if parts.iter().any(|part| part == "..") {
        return Err(format!("`{path}` has `..` in it: write the path without"));
    }
    Ok(parts)
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

/// The folder to which `parts` lead from the root.
fn folder(path: &str, parts: &[String]) -> Result<OwnedFd, String> {
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder =
        rustix::fs::openat(CWD, "/", how, Mode::empty()).map_err(|errno| describe(path, errno))?;
    for part in parts {
        let inner = rustix::fs::openat(&folder, part.as_str(), how, Mode::empty());
        folder = inner.map_err(|errno| describe(path, link_or(folder.as_fd(), part, errno)))?;
    }
    Ok(folder)
}

/// ELOOP where a symbolic link is in the way: for a folder, the kernel says that it is none.
pub(super) fn link_or(folder: BorrowedFd<'_>, name: &str, errno: Errno) -> Errno {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    if found.is_ok_and(|found| kind(found.st_mode) == "symlink") { Errno::LOOP } else { errno }
}

/// What the kernel said of a path, in words.
pub(super) fn describe(path: &str, errno: Errno) -> String {
    format!("`{path}`: {}", said(errno))
}

/// What the kernel said, in words.
pub(super) fn said(errno: Errno) -> String {
    if errno == Errno::LOOP {
        return "a symbolic link is in it, and none is followed: give the path that it leads to".to_owned();
    }
    std::io::Error::from(errno).to_string()
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
