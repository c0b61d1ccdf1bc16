//! The typed operations that build a new root, and the small interpreter that init runs over them: no allocation, no
//! choice. Host paths are opened once, compared with what admission saw, and mounted by descriptor from then on.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::step::{Failure, Step, run};
use crate::sys::mount::set_attributes;

/// Index of a descriptor that one operation makes and later ones use.
pub(crate) type Slot = usize;

/// A host file or folder, as admission saw it.
#[derive(Debug)]
pub(crate) struct Source {
    /// Canonical path.
    pub(crate) path: CString,
    /// Device and inode number.
    pub(crate) identity: (u64, u64),
}

/// A name in a folder of the new root, apart, because the folder is opened without following any link.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The folder; `.` for the root itself.
    pub(crate) parent: CString,
    /// The name in it.
    pub(crate) name: CString,
}

/// One operation. Paths are relative to the new root.
#[derive(Debug)]
pub(crate) enum Op {
    /// Clones the mount at a host path, with all beneath it, and sets attributes (MOUNT_ATTR_*) on all of it.
    Clone { slot: Slot, source: Source, attributes: u64 },
    /// Makes an overlay of a host folder; `layer` holds `upper` and `work`.
    Overlay { slot: Slot, lower: Source, layer: CString, attributes: MountAttrFlags },
    /// Makes an in-memory file system.
    Tmpfs { slot: Slot, options: Vec<(CString, CString)>, attributes: MountAttrFlags },
    /// Makes a proc of this pid namespace.
    Proc { slot: Slot, attributes: MountAttrFlags },
    /// Makes a devpts of its own.
    Pts { slot: Slot },
    /// Makes the file system in `slot` the new root; `anchor` is any host folder.
    Root { slot: Slot, anchor: CString },
    /// Makes a folder.
    Directory { at: Entry, mode: u32 },
    /// Makes a file.
    File { at: Entry, mode: u32, content: Vec<u8> },
    /// Makes a symbolic link.
    Symlink { at: Entry, to: CString },
    /// Makes a unix socket that listens.
    Socket { at: Entry },
    /// Attaches the mount in `slot`.
    Attach { slot: Slot, path: CString },
    /// Mounts a part of the new root on top of itself, and sets attributes on it.
    Hold { path: CString, attributes: u64 },
    /// Mounts one part of the new root (an empty, unreadable file or folder; a file of our own) on top of another.
    Hide { path: CString, with: &'static CStr },
    /// Sets attributes on the mount in `slot` alone.
    Seal { slot: Slot, attributes: u64 },
    /// Makes the new root the root, and lets the host's go.
    Enter,
}

/// The descriptors between operations.
pub(crate) struct Slots {
    slots: Vec<Cell<Option<OwnedFd>>>,
    root: Cell<Option<OwnedFd>>,
    /// The broker's socket, once it listens.
    listener: Cell<Option<OwnedFd>>,
}

impl Slots {
    /// As many empty slots.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            slots: (0..count).map(|_| Cell::new(None)).collect(),
            root: Cell::new(None),
            listener: Cell::new(None),
        }
    }

    /// Makes an open folder the root that paths are relative to.
    pub(crate) fn set_root(&self, root: OwnedFd) {
        self.root.set(Some(root));
    }

    /// The socket that was made to listen, for whoever serves it.
    pub(crate) fn listener(&self) -> Option<OwnedFd> {
        self.listener.take()
    }

    /// Lets go of every descriptor but the socket that listens: the new root is made, and the limit of open files is about to hold.
    pub(crate) fn close(&self) {
        for slot in &self.slots {
            drop(slot.take());
        }
        drop(self.root.take());
    }

    fn put(&self, slot: Slot, fd: OwnedFd) -> Result<(), Errno> {
        self.slots.get(slot).ok_or(Errno::BADF)?.set(Some(fd));
        Ok(())
    }

    /// Lends a descriptor to `act`.
    fn with<T>(
        cell: Option<&Cell<Option<OwnedFd>>>,
        act: impl FnOnce(&OwnedFd) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let cell = cell.ok_or(Errno::BADF)?;
        let fd = cell.take().ok_or(Errno::BADF)?;
        let result = act(&fd);
        cell.set(Some(fd));
        result
    }

    /// Opens a path of the new root: no symbolic link is followed, nothing outside is reached.
    fn target(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        Self::with(Some(&self.root), |root| {
            rustix::fs::openat2(
                root,
                path,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
            )
        })
    }

    /// Lends a folder of the new root to `act`.
    fn within<T>(&self, folder: &CStr, act: impl FnOnce(&OwnedFd) -> Result<T, Errno>) -> Result<T, Errno> {
        if folder == c"." { Self::with(Some(&self.root), act) } else { act(&self.target(folder)?) }
    }

    fn attach(&self, mount: &OwnedFd, path: &CStr, item: usize) -> Result<(), Failure> {
        let target = run(Step::FindTarget, item, || self.target(path))?;
        run(Step::Attach, item, || attach(mount, &target))
    }

    /// A clone of the mount at a path of the new root.
    fn clone_of(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        let from = self.target(path)?;
        open_tree(&from, c"", OPEN_TREE)
    }
}

const OPEN_TREE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_EMPTY_PATH)
    .union(OpenTreeFlags::AT_RECURSIVE);

/// Attaches a mount at an open path.
fn attach(mount: &OwnedFd, target: &OwnedFd) -> Result<(), Errno> {
    let how = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", how)
}

/// Opens the host's side, without following any symbolic link, and makes sure that it is still the same file.
fn open(source: &Source, item: usize) -> Result<OwnedFd, Failure> {
    let fd = run(Step::OpenSource, item, || {
        rustix::fs::openat2(
            CWD,
            source.path.as_c_str(),
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        )
    })?;
    run(Step::SameSource, item, || {
        let stat = rustix::fs::fstat(&fd)?;
        if (stat.st_dev, stat.st_ino) == source.identity { Ok(()) } else { Err(Errno::STALE) }
    })?;
    Ok(fd)
}

/// Makes a file system from its name and parameters.
fn make(
    kind: &CStr,
    attributes: MountAttrFlags,
    configure: impl FnOnce(&OwnedFd) -> Result<(), Errno>,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    configure(&context)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Runs one operation; `item` is its index, for the failure.
pub(crate) fn interpret(op: &Op, slots: &Slots, item: usize) -> Result<(), Failure> {
    match op {
        Op::Clone { slot, source, attributes } => {
            let fd = open(source, item)?;
            let mount = run(Step::CloneSource, item, || open_tree(&fd, c"", OPEN_TREE))?;
            run(Step::RestrictSource, item, || set_attributes(mount.as_fd(), *attributes, true))?;
            run(Step::CloneSource, item, || slots.put(*slot, mount))
        }
        Op::Overlay { slot, lower, layer, attributes } => {
            let lower = open(lower, item)?;
            let mount = run(Step::MakeOverlay, item, || {
                rustix::process::chdir(layer.as_c_str())?;
                make(c"overlay", *attributes, |context| {
                    fsconfig_set_flag(context, c"userxattr")?;
                    fsconfig_set_string(context, c"lowerdir", SelfFd::of(lower.as_raw_fd()).path())?;
                    fsconfig_set_string(context, c"upperdir", c"upper")?;
                    fsconfig_set_string(context, c"workdir", c"work")
                })
            })?;
            run(Step::MakeOverlay, item, || slots.put(*slot, mount))
        }
        Op::Tmpfs { slot, options, attributes } => run(Step::MakeTmpfs, item, || {
            let mount = make(c"tmpfs", *attributes, |context| {
                options.iter().try_for_each(|(key, value)| {
                    fsconfig_set_string(context, key.as_c_str(), value.as_c_str())
                })
            })?;
            slots.put(*slot, mount)
        }),
        Op::Proc { slot, attributes } => run(Step::MakeProc, item, || {
            // 4 is "ptraceable" (5.8): unlike 2 it makes no exception for the group of root.
            let mount = make(c"proc", *attributes, |context| fsconfig_set_string(context, c"hidepid", c"4"))?;
            slots.put(*slot, mount)
        }),
        Op::Pts { slot } => run(Step::MakePts, item, || {
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            let mount = make(c"devpts", attributes, |context| {
                fsconfig_set_string(context, c"ptmxmode", c"0666")?;
                fsconfig_set_string(context, c"mode", c"0600")?;
                fsconfig_set_string(context, c"max", c"64")
            })?;
            slots.put(*slot, mount)
        }),
        Op::Root { slot, anchor } => run(Step::AttachRoot, item, || {
            let mount = slots.slots.get(*slot).and_then(Cell::take).ok_or(Errno::BADF)?;
            move_mount(&mount, c"", CWD, anchor.as_c_str(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
            slots.root.set(Some(mount));
            Ok(())
        }),
        Op::Directory { at, mode } => run(Step::MakeDirectory, item, || {
            slots.within(&at.parent, |parent| {
                rustix::fs::mkdirat(parent, at.name.as_c_str(), Mode::from_raw_mode(*mode))
            })
        }),
        Op::File { at, mode, content } => run(Step::MakeFile, item, || {
            let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let file = slots.within(&at.parent, |parent| {
                rustix::fs::openat(parent, at.name.as_c_str(), how, Mode::from_raw_mode(*mode))
            })?;
            let mut rest = content.as_slice();
            while !rest.is_empty() {
                let written = rustix::io::write(&file, rest)?;
                rest = rest.get(written..).filter(|_| written > 0).ok_or(Errno::IO)?;
            }
            Ok(())
        }),
        Op::Symlink { at, to } => run(Step::MakeSymlink, item, || {
            slots
                .within(&at.parent, |parent| rustix::fs::symlinkat(to.as_c_str(), parent, at.name.as_c_str()))
        }),
        Op::Socket { at } => run(Step::MakeSocket, item, || {
            let listener = slots.within(&at.parent, |parent| listen(parent, &at.name))?;
            slots.listener.set(Some(listener));
            Ok(())
        }),
        Op::Attach { slot, path } => {
            let mount =
                run(Step::Attach, item, || slots.slots.get(*slot).and_then(Cell::take).ok_or(Errno::BADF))?;
            slots.attach(&mount, path, item)?;
            run(Step::Attach, item, || slots.put(*slot, mount))
        }
        Op::Hold { path, attributes } => {
            let target = run(Step::FindTarget, item, || slots.target(path))?;
            let mount = run(Step::Hold, item, || {
                let mount = open_tree(&target, c"", OPEN_TREE)?;
                set_attributes(mount.as_fd(), *attributes, true)?;
                Ok(mount)
            })?;
            run(Step::Attach, item, || attach(&mount, &target))
        }
        Op::Hide { path, with } => {
            let mount = run(Step::Hold, item, || {
                let mount = slots.clone_of(with)?;
                set_attributes(mount.as_fd(), crate::sys::mount::READ_ONLY, false)?;
                Ok(mount)
            })?;
            slots.attach(&mount, path, item)
        }
        Op::Seal { slot, attributes } => run(Step::Seal, item, || {
            let cell = slots.slots.get(*slot);
            Slots::with(cell, |mount| set_attributes(mount.as_fd(), *attributes, false))
        }),
        Op::Enter => {
            run(Step::Seal, item, || {
                Slots::with(Some(&slots.root), |root| {
                    set_attributes(root.as_fd(), crate::sys::mount::READ_ONLY, false)
                })
            })?;
            run(Step::PivotRoot, item, || {
                Slots::with(Some(&slots.root), |root| rustix::process::fchdir(root))?;
                // The old root ends up mounted on top of the new one, at the same place (pivot_root(2), "pivot_root(".",
                // ".")"), and is detached from there.
                rustix::process::pivot_root(c".", c".")
            })?;
            run(Step::DetachHost, item, || {
                rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
                rustix::process::chdir(c"/")
            })
        }
    }
}

/// Connections to the broker that wait to be accepted.
const BACKLOG: i32 = 128;

/// A unix socket that listens under a name of `folder`. bind(2) takes no folder's descriptor, so it is entered; `Enter` ends
/// in the new root. The socket is the agent's user's alone.
fn listen(folder: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // bind(2) makes the file with the permission bits that the socket has (unix(7)).
    rustix::fs::fchmod(&listener, Mode::RUSR | Mode::WUSR)?;
    rustix::process::fchdir(folder)?;
    rustix::net::bind(&listener, &SocketAddrUnix::new(name)?)?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// `/proc/self/fd/N` in a fixed buffer: built where there is no allocation.
struct SelfFd([u8; 32]);

impl SelfFd {
    fn of(fd: i32) -> Self {
        let number = rustix::path::DecInt::new(fd);
        let mut buffer = [0; 32];
        let text = b"/proc/self/fd/".iter().chain(number.as_bytes());
        for (to, from) in buffer.iter_mut().zip(text) {
            *to = *from;
        }
        Self(buffer)
    }

    fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_named_without_allocation() {
        assert_eq!(SelfFd::of(3).path(), c"/proc/self/fd/3");
        assert_eq!(SelfFd::of(i32::MAX).path(), c"/proc/self/fd/2147483647");
    }
}
