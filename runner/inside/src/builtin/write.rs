//! `file_write`: creates, replaces as a whole, or appends.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::open::{kind, link_or, parent, said};
use super::{Arguments, base64};

/// Mode of a new file, before the umask; and of one that is to take the mode of another.
const NEW: u32 = 0o666;
const DRAFT: u32 = 0o600;
/// How often a name for a draft is drawn.
const TRIES: usize = 8;

pub(super) fn write(arguments: &Arguments) -> Result<Value, String> {
    let path = arguments.text("path")?;
    let content = arguments.text("content")?;
    let mode = arguments.word("mode", &["replace", "create", "append"])?;
    let bytes = match arguments.word("encoding", &["utf-8", "base64"])? {
        "base64" => base64::decode(content).ok_or("`content` is no base64")?,
        _ => content.as_bytes().to_vec(),
    };
    let (folder, name) = parent(path)?;
    let (folder, name) = (folder.as_fd(), name.as_str());
    match mode {
        "create" => create(folder, name, &bytes),
        "append" => append(folder, name, &bytes),
        _ => replace(folder, name, &bytes),
    }
    .map_err(|why| format!("`{path}`: {why}"))?;
    Ok(json!({ "path": path, "written": bytes.len() }))
}

fn create(folder: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<(), String> {
    let file = open(folder, name, OFlags::CREATE | OFlags::EXCL, NEW).map_err(said)?;
    fill(file, bytes).inspect_err(|_| {
        let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
    })
}

fn append(folder: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<(), String> {
    let file = open(folder, name, OFlags::CREATE | OFlags::APPEND, NEW).map_err(said)?;
    fill(regular(file)?, bytes)
}

/// The whole content or the old one: a draft takes the old one's place. Where the folder allows none, or the old one cannot be
/// replaced since it is mounted, it is written in place; for no other reason, since that may lose the old content.
fn replace(folder: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<(), String> {
    let old = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => match kind(found.st_mode) {
            "file" => Some(found.st_mode & 0o777),
            "symlink" => return Err(said(Errno::LOOP)),
            other => return Err(no_file(other)),
        },
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(said(errno)),
    };
    let (file, draft) = match draft(folder, if old.is_some() { DRAFT } else { NEW }) {
        Ok(made) => made,
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) if old.is_some() => {
            return in_place(folder, name, bytes);
        }
        Err(errno) => return Err(said(errno)),
    };
    let keep = old.map_or(Ok(()), |mode| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)));
    let moved = keep
        .map_err(said)
        .and_then(|()| fill(file, bytes))
        .map(|()| rustix::fs::renameat(folder, &draft, folder, name));
    if let Ok(Ok(())) = moved {
        return Ok(());
    }
    let _ = rustix::fs::unlinkat(folder, &draft, AtFlags::empty());
    match moved? {
        Err(Errno::BUSY | Errno::ACCESS | Errno::PERM | Errno::XDEV) if old.is_some() => {
            in_place(folder, name, bytes)
        }
        moved => moved.map_err(said),
    }
}

/// A new file beside the one that it will replace, under a name that nobody can have taken on purpose.
fn draft(folder: BorrowedFd<'_>, mode: u32) -> Result<(OwnedFd, String), Errno> {
    for _ in 0..TRIES {
        // Each hasher has random keys.
        let name = format!(".agentrc-{:016x}", RandomState::new().build_hasher().finish());
        match open(folder, &name, OFlags::CREATE | OFlags::EXCL, mode) {
            Err(Errno::EXIST) => {}
            made => return made.map(|file| (file, name)),
        }
    }
    Err(Errno::EXIST)
}

fn in_place(folder: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<(), String> {
    let file = regular(open(folder, name, OFlags::empty(), NEW).map_err(said)?)?;
    rustix::fs::ftruncate(&file, 0).map_err(said)?;
    fill(file, bytes)
}

/// A pipe without a reader must not hold it up, and a link is not followed.
fn open(folder: BorrowedFd<'_>, name: &str, how: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
    let how = how | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(folder, name, how, Mode::from_raw_mode(mode))
        .map_err(|errno| if errno == Errno::NOENT { errno } else { link_or(folder, name, errno) })
}

fn regular(file: OwnedFd) -> Result<OwnedFd, String> {
    match kind(rustix::fs::fstat(&file).map_err(said)?.st_mode) {
        "file" => Ok(file),
        other => Err(no_file(other)),
    }
}

fn no_file(kind: &str) -> String {
    format!("it is no file, but: {kind}")
}

fn fill(file: OwnedFd, bytes: &[u8]) -> Result<(), String> {
    File::from(file).write_all(bytes).map_err(|error| error.to_string())
}
