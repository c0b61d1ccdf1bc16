//! Removing a folder that the agent filled, however deep, wide or closed it is, with constant memory and descriptors.
//!
//! A recursive removal would follow the agent into a tree of any depth. Here every folder found is moved up, next to the
//! top, under a number, and emptied from there. Nothing outside the top is touched: names are looked up beneath descriptors, and
//! links are unlinked, not followed.

use std::path::Path;

use agentrc_audit::folder::Folder;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use crate::error::Error;

/// Removes the folder `name` of `parent` with everything in it. Whether it was there.
///
/// # Errors
/// Any system call; what is left can be removed by another call.
pub fn remove(parent: &Folder, name: &str) -> Result<bool, Error> {
    if !is_folder(parent, name)? {
        return Ok(false);
    }
    open_up(parent, name)?;
    let top = parent.folder(Path::new(name))?;
    // Earlier, interrupted removals may have left numbers; each of ours must be free.
    let mut next = 0_u64;
    loop {
        let mut folders = Vec::new();
        for (entry, kind) in entries(&top)? {
            if kind == FileType::Directory {
                folders.push(entry);
            } else {
                unlink(&top, &entry)?;
            }
        }
        if folders.is_empty() {
            break;
        }
        for entry in folders {
            open_up(&top, &entry)?;
            let folder = top.folder(Path::new(&entry))?;
            for (inner, kind) in entries(&folder)? {
                if kind == FileType::Directory {
                    // Moving a folder writes its `..`, which its own mode must allow.
                    open_up(&folder, &inner)?;
                    raise(&folder, &inner, &top, &mut next)?;
                } else {
                    unlink(&folder, &inner)?;
                }
            }
            let gone = fs::unlinkat(&top, &*entry, AtFlags::REMOVEDIR);
            gone.map_err(Error::io("remove", &top.path_of(&entry)))?;
        }
    }
    fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(Error::io("remove", top.path()))?;
    Ok(true)
}

fn raise(from: &Folder, name: &std::ffi::OsStr, top: &Folder, next: &mut u64) -> Result<(), Error> {
    loop {
        *next += 1;
        match fs::renameat_with(from, name, top, format!("{next}"), fs::RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::io("move", &from.path_of(name))(errno)),
        }
    }
}

fn unlink(folder: &Folder, name: &std::ffi::OsStr) -> Result<(), Error> {
    fs::unlinkat(folder, name, AtFlags::empty()).map_err(Error::io("remove", &folder.path_of(name)))
}

fn is_folder(parent: &Folder, name: &str) -> Result<bool, Error> {
    match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::io("look at", &parent.path_of(name))(errno)),
    }
}

/// Makes a folder one that its owner can list and empty. Only called on what was just seen to be a folder, in a place
/// that nobody else can write.
fn open_up(parent: &Folder, name: impl AsRef<std::ffi::OsStr>) -> Result<(), Error> {
    let name = name.as_ref();
    fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty()).map_err(Error::io("open", &parent.path_of(name)))
}

/// Names and kinds in a folder, but for `.` and `..`, sorted by their bytes.
///
/// # Errors
/// openat(2), getdents64(2), fstatat(2).
pub(crate) fn entries(folder: &Folder) -> Result<Vec<(std::ffi::OsString, FileType)>, Error> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut found = Vec::new();
    for entry in Dir::read_from(folder).map_err(Error::io("list", folder.path()))? {
        let entry = entry.map_err(Error::io("list", folder.path()))?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
                FileType::from_raw_mode(stat.map_err(Error::io("look at", &folder.path_of(name)))?.st_mode)
            }
            kind => kind,
        };
        found.push((name.to_owned(), kind));
    }
    found.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn closed_folders_links_and_numbers_are_removed_and_nothing_outside() {
        let (dir, parent) = folder();
        let path = |path: &str| dir.path().join(path);
        std::fs::write(path("keep"), "x").unwrap();
        for made in ["top/1/2", "top/2/1/3", "top/work/work", "keepdir"] {
            std::fs::create_dir_all(path(made)).unwrap();
        }
        std::fs::write(path("keepdir/file"), "x").unwrap();
        symlink("../keep", path("top/link")).unwrap();
        symlink("../../keepdir", path("top/1/link")).unwrap();
        symlink(".", path("top/1/2/loop")).unwrap();
        for closed in ["top/work/work", "top/2/1", "top/1", "top"] {
            std::fs::set_permissions(path(closed), PermissionsExt::from_mode(0o000)).unwrap();
        }
        assert!(remove(&parent, "top").unwrap());
        assert!(!path("top").exists());
        assert!(path("keep").exists() && path("keepdir/file").exists());
        assert!(!remove(&parent, "top").unwrap());
        symlink("keepdir", path("top")).unwrap();
        assert!(!remove(&parent, "top").unwrap(), "a link to a folder is no folder");
        assert!(path("keepdir/file").exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_or_stack_is_removed() {
        let (dir, parent) = folder();
        std::fs::create_dir(dir.path().join("top")).unwrap();
        let mut here = parent.folder(Path::new("top")).unwrap();
        for _ in 0..5_000 {
            fs::mkdirat(&here, "deeper-and-deeper", Mode::RWXU).unwrap();
            let fd = fs::openat(&here, "deeper-and-deeper", fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
            here = Folder::new(fd, "deep");
        }
        drop(here);
        assert!(remove(&parent, "top").unwrap());
        assert!(!dir.path().join("top").exists());
    }
}
