//! `file_write`.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::open::{describe, kind, parent};
use super::{Arguments, base64};

/// Mode of a new file, before the umask.
const NEW: u32 = 0o666;

pub(super) fn write(arguments: &Arguments) -> Result<Value, String> {
    let path = arguments.text("path")?;
    let content = arguments.text("content")?;
    let mode = arguments.word("mode", &["replace", "create", "append"])?;
    let bytes = match arguments.word("encoding", &["utf-8", "base64"])? {
        "base64" => base64::decode(content).ok_or("`content` is no base64")?,
        _ => content.as_bytes().to_vec(),
    };
    let (folder, name) = parent(path)?;
    let folder = folder.as_fd();
    let failed = |errno| describe(path, errno);
    match mode {
        "create" => fill(open(folder, name, OFlags::CREATE | OFlags::EXCL).map_err(failed)?, &bytes),
        "append" => {
            let file = open(folder, name, OFlags::CREATE | OFlags::APPEND).map_err(failed)?;
            fill(regular(file)?, &bytes)
        }
        _ => replace(folder, name, &bytes),
    }
    .map_err(|why| format!("`{path}`: {why}"))?;
    Ok(json!({ "path": path, "written": bytes.len() }))
}

/// The whole content or the old one: a new file takes the old one's place. Where no new file may be made, or the old one cannot be
/// replaced since it is mounted, it is written in place.
fn replace(folder: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<(), String> {
    let old = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if kind(found.st_mode) == "file" => Some(found.st_mode & 0o777),
        Ok(found) => return Err(format!("it is no file, but: {}", kind(found.st_mode))),
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(said(errno)),
    };
    let draft = format!(".{}.{}", name.chars().take(60).collect::<String>(), std::process::id());
    let made = open(folder, &draft, OFlags::CREATE | OFlags::EXCL);
    let file = match (made, old) {
        (Ok(file), _) => file,
        (Err(_), Some(_)) => return in_place(folder, name, bytes),
        (Err(errno), None) => return Err(said(errno)),
    };
    let moved = (|| {
        if let Some(mode) = old {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(said)?;
        }
        fill(file, bytes)?;
        rustix::fs::renameat(folder, &draft, folder, name).map_err(said)
    })();
    if moved.is_err() {
        let _ = rustix::fs::unlinkat(folder, &draft, AtFlags::empty());
        if old.is_some() {
            return in_place(folder, name, bytes);
        }
    }
    moved
}

fn in_place(folder: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<(), String> {
    let file = regular(open(folder, name, OFlags::empty()).map_err(said)?)?;
    rustix::fs::ftruncate(&file, 0).map_err(said)?;
    fill(file, bytes)
}

/// A pipe without a reader must not hold it up, and a link is not followed.
fn open(folder: BorrowedFd<'_>, name: &str, how: OFlags) -> Result<OwnedFd, Errno> {
    let how = how | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(folder, name, how, Mode::from_raw_mode(NEW))
}

fn regular(file: OwnedFd) -> Result<OwnedFd, String> {
    let found = rustix::fs::fstat(&file).map_err(said)?;
    if kind(found.st_mode) == "file" {
        Ok(file)
    } else {
        Err(format!("it is no file, but: {}", kind(found.st_mode)))
    }
}

fn fill(file: OwnedFd, bytes: &[u8]) -> Result<(), String> {
    File::from(file).write_all(bytes).map_err(|error| error.to_string())
}

fn said(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}
