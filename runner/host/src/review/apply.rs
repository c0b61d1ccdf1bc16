//! Carrying changes out on the source. All is checked before the first write; each file is replaced by one rename; nothing is
//! written through a link, outside the source or into another mount of it.
//!
//! Content, permission bits and link texts are applied; times, extended attributes and hard links are not. What is replaced keeps
//! its owner and group; what root adds belongs to the owner of the folder it is in.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use agentrc_audit::folder::{Folder, random};
use agentrc_audit::line::hex;
use rustix::fs::{self, Access, AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use super::Copy;
use super::change::{Change, ChangeKind, Node, What};
use super::walk::{look, node, open_file, open_folder};
use crate::error::Error;

/// Which changes to apply.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only these, and what is beneath them: the path inside the sandbox. Empty: all.
    pub paths: Vec<PathBuf>,
    /// Overwrite what changed in the source since the run began. What is refused stays refused.
    pub force: bool,
    /// Leave out what cannot be applied, instead of applying nothing.
    pub skip: bool,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Paths written, made or whose mode was changed.
    pub written: u64,
    /// Paths removed.
    pub removed: u64,
}

/// A path of one copy.
type Place<'a> = (&'a str, &'a Path);

fn place(change: &Change) -> Place<'_> {
    (&change.layer, &change.path)
}

/// The folders that a change is in.
fn folders_of(change: &Change) -> impl Iterator<Item = Place<'_>> {
    change.path.ancestors().skip(1).map(|path| (change.layer.as_str(), path))
}

/// Whether the change makes a folder.
fn makes_folder(change: &Change) -> bool {
    change.is_folder_after() && change.kind != ChangeKind::Mode
}

/// The changes that are to be carried out.
pub(super) fn choose(all: Vec<Change>, choice: &Choice) -> Result<Vec<Change>, Error> {
    let asked = |change: &Change| {
        let inside = Path::new(&change.target).join(&change.path);
        choice.paths.is_empty() || choice.paths.iter().any(|path| inside.starts_with(path))
    };
    let needed: HashSet<Place<'_>> = all.iter().filter(|change| asked(change)).flat_map(folders_of).collect();
    // A new folder is needed by what is asked for in it.
    let chosen = all.iter().filter(|c| asked(c) || makes_folder(c) && needed.contains(&place(c)));
    let stopped = |change: &&Change| change.refusal.is_some() || (change.conflict.is_some() && !choice.force);
    let (stops, goes): (Vec<_>, Vec<_>) = chosen.partition(stopped);
    if !stops.is_empty() && !choice.skip {
        return Err(Error::Refused(stops.into_iter().cloned().collect()));
    }
    // A folder of which something stays must stay too, and what is in a folder that is not made cannot be made.
    let stay: HashSet<Place<'_>> = stops.iter().flat_map(|stop| folders_of(stop)).collect();
    let unmade: HashSet<Place<'_>> =
        stops.iter().filter(|stop| makes_folder(stop)).map(|stop| place(stop)).collect();
    let goes = goes.into_iter().filter(|change| {
        let stays = change.was_folder() && !change.is_folder_after() && stay.contains(&place(change));
        !stays && !folders_of(change).any(|folder| unmade.contains(&folder))
    });
    Ok(goes.cloned().collect())
}

fn of<'a>(copy: &'a Copy, changes: &'a [Change]) -> impl DoubleEndedIterator<Item = &'a Change> {
    changes.iter().filter(|change| change.layer == copy.copied.layer)
}

fn parent_of(change: &Change) -> &Path {
    change.path.parent().unwrap_or(Path::new(""))
}

fn name_of(change: &Change) -> &OsStr {
    change.path.file_name().unwrap_or(OsStr::new("."))
}

/// Whether every folder of the source that will be written in can be.
pub(super) fn check_writable(copy: &Copy, changes: &[Change]) -> Result<(), Error> {
    let made: HashSet<&Path> =
        of(copy, changes).filter(|c| makes_folder(c) && !c.was_folder()).map(|c| c.path.as_path()).collect();
    let written = of(copy, changes).filter(|c| c.kind != ChangeKind::Mode || !c.is_folder_after());
    let parents: BTreeSet<&Path> = written.map(parent_of).filter(|parent| !made.contains(parent)).collect();
    for parent in parents {
        let folder = open_folder(&copy.source, parent)?;
        let access = fs::accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        access.map_err(Error::io("write in", folder.path()))?;
    }
    Ok(())
}

/// Carries out the changes of one copy. Order: what makes room (a folder that becomes a file, and the other way round), what is
/// written, what is removed, and at last the modes of folders, which may forbid writing in them.
pub(super) fn apply(copy: &Copy, changes: &[Change], applied: &mut Applied) -> Result<(), Error> {
    let retyped: Vec<&Path> =
        of(copy, changes).filter(|c| c.kind == ChangeKind::Retyped).map(|c| c.path.as_path()).collect();
    let makes_room =
        |change: &Change| retyped.iter().any(|path| change.path != *path && change.path.starts_with(path));
    let is_removal = |change: &&Change| change.kind == ChangeKind::Removed;
    for change in of(copy, changes).rev() {
        if is_removal(&change) && makes_room(change) {
            remove(copy, change)?;
            applied.removed += 1;
        } else if change.kind == ChangeKind::Retyped && (change.was_folder() || change.is_folder_after()) {
            remove(copy, change)?;
        }
    }
    for change in of(copy, changes).filter(|change| !is_removal(change)) {
        write(copy, change)?;
        applied.written += 1;
    }
    for change in of(copy, changes).rev().filter(is_removal).filter(|change| !makes_room(change)) {
        remove(copy, change)?;
        applied.removed += 1;
    }
    for change in of(copy, changes).rev().filter(|change| change.is_folder_after()) {
        set_folder_mode(copy, change)?;
    }
    // The layer stays until it is discarded, so that a crash before this point loses nothing.
    fs::syncfs(&copy.source).map_err(Error::io("make durable", copy.source.path()))
}

fn remove(copy: &Copy, change: &Change) -> Result<(), Error> {
    let folder = open_folder(&copy.source, parent_of(change))?;
    let name = name_of(change);
    check_same(&folder, name, change)?;
    let flags = if change.was_folder() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match fs::unlinkat(&folder, name, flags) {
        Ok(()) => Ok(()),
        Err(Errno::NOTEMPTY) => Err(Error::Meanwhile(folder.path_of(name))),
        Err(errno) => Err(Error::io("remove", &folder.path_of(name))(errno)),
    }
}

/// Whether the source's side is still what was checked.
fn check_same(folder: &Folder, name: &OsStr, change: &Change) -> Result<(), Error> {
    let now = look(folder, name)?.map(|stat| node(folder, name, &stat)).transpose()?;
    let same = match (&now, &change.before) {
        // A folder's ctime moves with what we ourselves do in it.
        (Some(now), Some(before)) if before.what == What::Folder => {
            now.what == What::Folder && now.identity.inode == before.identity.inode
        }
        (now, before) => now == before,
    };
    if same { Ok(()) } else { Err(Error::Meanwhile(folder.path_of(name))) }
}

fn write(copy: &Copy, change: &Change) -> Result<(), Error> {
    let Some(after) = &change.after else { return Ok(()) };
    if after.what == What::Folder && change.kind == ChangeKind::Mode {
        return Ok(());
    }
    let folder = open_folder(&copy.source, parent_of(change))?;
    let name = name_of(change);
    // What made room for this is gone by now.
    let gone = change.kind == ChangeKind::Retyped && (change.was_folder() || change.is_folder_after());
    if !gone {
        check_same(&folder, name, change)?;
    }
    let replaces = change.before.is_some() && !gone;
    match &after.what {
        What::Folder => {
            fs::mkdirat(&folder, name, Mode::RWXU).map_err(Error::io("create", &folder.path_of(name)))?;
            let made = open_folder(&folder, Path::new(name))?;
            own(&made, &folder, change, made.path())
        }
        What::Symlink(text) => {
            let draft = draft_name()?;
            fs::symlinkat(text.as_os_str(), &folder, &draft)
                .map_err(Error::io("create", &folder.path_of(name)))?;
            let owned = owner_of(&folder, change).and_then(|(owner, group)| {
                let chown = fs::chownat(&folder, &draft, owner, group, AtFlags::SYMLINK_NOFOLLOW);
                chown.map_err(Error::io("set the owner of", &folder.path_of(name)))
            });
            owned
                .and_then(|()| publish(&folder, &draft, name, replaces))
                .inspect_err(|_| forget(&folder, &draft))
        }
        What::File => {
            let draft = draft_name()?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = fs::openat(&folder, &draft, flags, Mode::RUSR | Mode::WUSR);
            let file = File::from(fd.map_err(Error::io("create", &folder.path_of(name)))?);
            let filled = fill(copy, change, after, file, &folder);
            filled
                .and_then(|()| publish(&folder, &draft, name, replaces))
                .inspect_err(|_| forget(&folder, &draft))
        }
        // Refused by the checks.
        What::Special(_) => Err(Error::Meanwhile(folder.path_of(name))),
    }
}

fn draft_name() -> Result<String, Error> {
    Ok(format!(".agentrc-{}", hex(&random::<8>()?)))
}

/// Content, owner and mode of one file.
fn fill(copy: &Copy, change: &Change, after: &Node, mut file: File, folder: &Folder) -> Result<(), Error> {
    let path = folder.path_of(name_of(change));
    let from = open_folder(&copy.upper, parent_of(change))?;
    let mut content = open_file(&from, name_of(change))?;
    std::io::copy(&mut content, &mut file).map_err(Error::io("write", &path))?;
    own(&file, folder, change, &path)?;
    fs::fchmod(&file, Mode::from_raw_mode(after.mode & 0o777)).map_err(Error::io("set the mode of", &path))
}

/// A draft is of no use after an error, and that error is the one to tell.
fn forget(folder: &Folder, draft: &str) {
    let _ = fs::unlinkat(folder, draft, AtFlags::empty());
}

/// Whom something new belongs to: whom the old belonged to, or, when root adds it, the owner of the folder.
fn owner_of(folder: &Folder, change: &Change) -> Result<(Option<Uid>, Option<Gid>), Error> {
    let root = rustix::process::geteuid().is_root();
    let (owner, group) = match &change.before {
        Some(before) => (before.identity.owner, before.identity.group),
        None if root => {
            let stat = fs::fstat(folder).map_err(Error::io("look at", folder.path()))?;
            (stat.st_uid, stat.st_gid)
        }
        None => return Ok((None, None)),
    };
    Ok((root.then(|| Uid::from_raw(owner)), Some(Gid::from_raw(group))))
}

fn own(made: impl std::os::fd::AsFd, folder: &Folder, change: &Change, path: &Path) -> Result<(), Error> {
    let (owner, group) = owner_of(folder, change)?;
    fs::fchown(made, owner, group).map_err(Error::io("set the owner of", path))
}

/// Puts the draft in its place with one rename.
fn publish(folder: &Folder, draft: &str, name: &OsStr, replaces: bool) -> Result<(), Error> {
    let flags = if replaces { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    fs::renameat_with(folder, draft, folder, name, flags).map_err(|errno| {
        let path = folder.path_of(name);
        if errno == Errno::EXIST { Error::Meanwhile(path) } else { Error::io("replace", &path)(errno) }
    })
}

fn set_folder_mode(copy: &Copy, change: &Change) -> Result<(), Error> {
    let Some(after) = &change.after else { return Ok(()) };
    let folder = open_folder(&copy.source, &change.path)?;
    let stat = fs::fstat(&folder).map_err(Error::io("look at", folder.path()))?;
    // The set-group-ID bit is inherited from the folder above, not the agent's to give or take.
    let mode = (after.mode & 0o1777) | (stat.st_mode & 0o2000);
    fs::fchmod(&folder, Mode::from_raw_mode(mode)).map_err(Error::io("set the mode of", folder.path()))
}
