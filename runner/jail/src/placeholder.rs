//! Placeholders: an empty file or folder that stands for a protected path until the run ends.
//!
//! A placeholder is known by its mode (read-only, with the sticky bit that nobody sets on such a file), so one that a
//! killed run left behind is adopted and removed by the next; it is held by a shared flock(2), so one that another run still
//! needs is not removed under it.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::resolve::identity;

const FILE_MODE: u32 = 0o1444;
const DIRECTORY_MODE: u32 = 0o1555;

/// The placeholders that this run made or shares. Dropping it removes those that no other run holds.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    pub(crate) held: Vec<Placeholder>,
}

/// One of them, by its open folder, so that nothing that is swapped above it leads elsewhere.
#[derive(Debug)]
pub(crate) struct Placeholder {
    folder: Rc<OwnedFd>,
    name: OsString,
    content: String,
    file: OwnedFd,
    /// Whether this run was still making it: then it goes whatever its mode and content.
    unfinished: bool,
}

/// Opens a bind's source, following no symbolic link.
pub(crate) fn root(source: &Path) -> Result<OwnedFd, Errno> {
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let straight = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(CWD, source, how, Mode::empty(), straight)
}

/// Opens the folder of `relative` below `root`, following no symbolic link.
fn folder(root: &Rc<OwnedFd>, relative: &Path) -> Result<(Rc<OwnedFd>, OsString), Errno> {
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let straight = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
    let name = relative.file_name().ok_or(Errno::INVAL)?.to_owned();
    let folder = match relative.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => Rc::new(rustix::fs::openat2(root, parent, how, Mode::empty(), straight)?),
        None => Rc::clone(root),
    };
    Ok((folder, name))
}

impl Placeholders {
    pub(crate) fn make(
        &mut self,
        root: &Rc<OwnedFd>,
        relative: &Path,
        directory: bool,
        content: &str,
    ) -> Result<(), Errno> {
        let (folder, name) = folder(root, relative)?;
        let file = if directory {
            rustix::fs::mkdirat(&folder, &name, Mode::from_raw_mode(DIRECTORY_MODE))?;
            let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&folder, &name, how, Mode::empty()).inspect_err(|_| {
                // It cannot be held, so it must not stay: no descriptor was left, or the umask takes reading away.
                let _ = rustix::fs::unlinkat(&folder, &name, AtFlags::REMOVEDIR);
            })?
        } else {
            let how = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
            rustix::fs::openat(&folder, &name, how, Mode::from_raw_mode(FILE_MODE))?
        };
        // From here on it goes again, whatever fails.
        self.held.push(Placeholder { folder, name, content: content.to_owned(), file, unfinished: true });
        let made = self.held.last_mut().ok_or(Errno::INVAL)?;
        if !directory
            && !content.is_empty()
            && rustix::io::write(&made.file, content.as_bytes())? != content.len()
        {
            return Err(Errno::IO);
        }
        rustix::fs::flock(&made.file, FlockOperation::NonBlockingLockShared)?;
        let mode = if directory { DIRECTORY_MODE } else { FILE_MODE };
        let mut opened = rustix::fs::fstat(&made.file)?;
        // Only a strict umask has taken something away: a change of mode would cost a write of its own.
        if opened.st_mode & 0o7777 != mode {
            rustix::fs::fchmod(&made.file, Mode::from_raw_mode(mode))?;
            opened = rustix::fs::fstat(&made.file)?;
        }
        made.unfinished = false;
        if made.stands(&opened)? { Ok(()) } else { Err(Errno::STALE) }
    }

    /// Holds what is at `relative` if it is a placeholder; says whether it is.
    pub(crate) fn adopt(
        &mut self,
        root: &Rc<OwnedFd>,
        relative: &Path,
        content: &str,
    ) -> Result<bool, Errno> {
        let (folder, name) = folder(root, relative)?;
        if !is_placeholder(&rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)?, content) {
            return Ok(false);
        }
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &name, how, Mode::empty())?;
        let placeholder = Placeholder { folder, name, content: content.to_owned(), file, unfinished: false };
        if placeholder.filled()? {
            return Ok(false);
        }
        let opened = rustix::fs::fstat(&placeholder.file)?;
        for held in &self.held {
            if identity(&rustix::fs::fstat(&held.file)?) == identity(&opened) {
                return Ok(true);
            }
        }
        // Another run that is just removing it holds the lock alone: then it is going, and this launch cannot rely on it.
        rustix::fs::flock(&placeholder.file, FlockOperation::NonBlockingLockShared)?;
        if !placeholder.stands(&rustix::fs::fstat(&placeholder.file)?)? {
            return Err(Errno::STALE);
        }
        self.held.push(placeholder);
        Ok(true)
    }
}

impl Placeholder {
    /// Whether it is a folder with something in it: then it is somebody's.
    fn filled(&self) -> Result<bool, Errno> {
        if FileType::from_raw_mode(rustix::fs::fstat(&self.file)?.st_mode) != FileType::Directory {
            return Ok(false);
        }
        let mut entries = rustix::fs::Dir::read_from(&self.file)?;
        // `.` and `..` come with every folder.
        Ok(entries.by_ref().take(3).count() > 2)
    }

    /// Whether its name still leads to it, and it is, as `opened` just said, still a placeholder.
    fn stands(&self, opened: &Stat) -> Result<bool, Errno> {
        Ok(is_placeholder(opened, &self.content) && self.is_named(opened)?)
    }

    /// Whether its name leads to what is open.
    fn is_named(&self, opened: &Stat) -> Result<bool, Errno> {
        let named = rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(identity(opened) == identity(&named))
    }
}

fn is_placeholder(stat: &Stat, content: &str) -> bool {
    let mode = stat.st_mode & 0o7777;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => mode == FILE_MODE && usize::try_from(stat.st_size) == Ok(content.len()),
        FileType::Directory => mode == DIRECTORY_MODE,
        _ => false,
    }
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        // The reverse order of making: children first.
        for placeholder in self.held.drain(..).rev() {
            let alone =
                rustix::fs::flock(&placeholder.file, FlockOperation::NonBlockingLockExclusive).is_ok();
            let Ok(opened) = rustix::fs::fstat(&placeholder.file) else { continue };
            let ours = if placeholder.unfinished {
                placeholder.is_named(&opened)
            } else {
                placeholder.stands(&opened)
            };
            if alone && ours.unwrap_or(false) {
                let directory = FileType::from_raw_mode(opened.st_mode) == FileType::Directory;
                let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                // What cannot be removed (a folder that the host has since filled) is no longer a placeholder.
                let _ = rustix::fs::unlinkat(&placeholder.folder, &placeholder.name, flags);
            }
        }
    }
}
