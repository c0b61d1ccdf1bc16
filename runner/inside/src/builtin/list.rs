//! `file_list`, and the walk that `file_search` shares: depth first, by name, no link followed.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use serde_json::{Value, json};

use super::open::{describe, kind, open};
use super::{Arguments, size};

/// Most names of one folder.
const NAMES: usize = 100_000;

pub(super) fn list(arguments: &Arguments) -> Result<Value, String> {
    let path = arguments.text("path")?;
    let depth = size(arguments.number("depth", 1..=8, 1)?);
    let limit = size(arguments.number("limit", 1..=10_000, 1000)?);
    let mut entries = Vec::new();
    let truncated = !walk(path, depth, &mut |found| {
        if entries.len() == limit {
            return false;
        }
        let shown = String::from_utf8_lossy(&found.path);
        let mut entry = json!({ "path": shown, "kind": found.kind, "size": found.size });
        // The name that is shown is not the one that it has.
        if let (std::borrow::Cow::Owned(_), Some(members)) = (shown, entry.as_object_mut()) {
            members.insert("lossy".to_owned(), Value::Bool(true));
        }
        entries.push(entry);
        true
    })?;
    Ok(json!({ "path": path, "entries": entries, "truncated": truncated }))
}

/// Something that was found.
pub(super) struct Found<'a> {
    /// Below where the walk began.
    pub(super) path: Vec<u8>,
    pub(super) kind: &'static str,
    pub(super) size: i64,
    /// The folder that it is in, and its name there.
    pub(super) folder: &'a OwnedFd,
    pub(super) name: &'a std::ffi::CStr,
}

/// Visits what is below `path`, as deep as `depth`, until `visit` says false; whether it never did. What cannot be opened is left out.
pub(super) fn walk(
    path: &str,
    depth: usize,
    visit: &mut dyn FnMut(&Found<'_>) -> bool,
) -> Result<bool, String> {
    let folder = open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    below(&folder, &[], depth, visit).map_err(|errno| describe(path, errno))
}

fn below(
    folder: &OwnedFd,
    prefix: &[u8],
    depth: usize,
    visit: &mut dyn FnMut(&Found<'_>) -> bool,
) -> Result<bool, rustix::io::Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)?.take(NAMES) {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    for name in names {
        // Gone meanwhile, or not to be looked at.
        let Ok(found) = rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let mut path = prefix.to_vec();
        path.extend_from_slice(name.to_bytes());
        let kind = kind(found.st_mode);
        if !visit(&Found { path: path.clone(), kind, size: found.st_size, folder, name: &name }) {
            return Ok(false);
        }
        if kind == "directory" && depth > 1 {
            let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(inner) = rustix::fs::openat(folder.as_fd(), &name, how, Mode::empty()) else { continue };
            path.push(b'/');
            // A folder that cannot be listed is no reason to end.
            if !below(&inner, &path, depth - 1, visit).unwrap_or(true) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
