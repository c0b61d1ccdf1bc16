//! What is below a folder, for `file_list` and `file_search`: depth first, by name, no link followed.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::open::kind;

/// Most names of one folder, and of a whole walk.
const NAMES: usize = 100_000;
const ALL: u64 = 1_000_000;

/// Something that was found.
pub(super) struct Found<'a> {
    /// Below where the walk began.
    pub(super) path: &'a [u8],
    pub(super) kind: &'static str,
    pub(super) size: i64,
    /// The folder that it is in, and its name there.
    pub(super) folder: &'a OwnedFd,
    pub(super) name: &'a CStr,
}

/// What came of visiting one of them.
pub(super) enum Next {
    On,
    /// It could not be read: go on, and count it.
    Unreadable,
    Stop,
}

/// How a walk went.
#[derive(Default)]
pub(super) struct Walked {
    /// There is more than was visited: it was stopped, or a bound was reached.
    pub(super) more: bool,
    /// What there is and could not be looked at.
    pub(super) unreadable: u64,
    /// Folders that were not entered, since they lie as deep as was asked for.
    pub(super) deeper: bool,
    visited: u64,
}

/// Visits what is below `folder`, as deep as `depth`.
///
/// # Errors
/// `folder` itself cannot be read.
pub(super) fn walk(
    folder: &OwnedFd,
    depth: usize,
    visit: &mut dyn FnMut(&Found<'_>) -> Next,
) -> Result<Walked, Errno> {
    let mut walked = Walked::default();
    below(folder, &[], depth, visit, &mut walked)?;
    Ok(walked)
}

/// Whether to go on.
fn below(
    folder: &OwnedFd,
    prefix: &[u8],
    depth: usize,
    visit: &mut dyn FnMut(&Found<'_>) -> Next,
    walked: &mut Walked,
) -> Result<bool, Errno> {
    for name in names(folder, walked)? {
        walked.visited += 1;
        if walked.visited > ALL {
            walked.more = true;
            return Ok(false);
        }
        let found = match rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            // Gone meanwhile.
            Err(Errno::NOENT) => continue,
            Err(_) => {
                walked.unreadable += 1;
                continue;
            }
        };
        let kind = kind(found.st_mode);
        let mut path = [prefix, name.to_bytes()].concat();
        match visit(&Found { path: &path, kind, size: found.st_size, folder, name: &name }) {
            Next::On => {}
            Next::Unreadable => walked.unreadable += 1,
            Next::Stop => {
                walked.more = true;
                return Ok(false);
            }
        }
        if kind != "directory" {
            continue;
        }
        if depth <= 1 {
            walked.deeper = true;
            continue;
        }
        path.push(b'/');
        match enter(folder, &name).and_then(|inner| below(&inner, &path, depth - 1, visit, walked)) {
            Ok(true) | Err(Errno::NOENT) => {}
            Ok(false) => return Ok(false),
            Err(_) => walked.unreadable += 1,
        }
    }
    Ok(true)
}

/// What was a folder a moment ago. If it is a link by now, it is not followed.
fn enter(folder: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder.as_fd(), name, how, Mode::empty())
}

fn names(folder: &OwnedFd, walked: &mut Walked) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        if names.len() == NAMES {
            walked.more = true;
            break;
        }
        names.push(entry.file_name().to_owned());
    }
    names.sort_unstable();
    Ok(names)
}
