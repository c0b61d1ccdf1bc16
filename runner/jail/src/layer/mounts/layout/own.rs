//! Layout of what is made for the run: the root itself, in-memory file systems, `/proc`, `/dev`, generated files.

use std::path::PathBuf;

use agentfile::plan::Origin;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::{FileSystem, Layout, Place, entry, join};
use crate::layer::mounts::Operation;
use crate::layer::mounts::op::{Op, Slot, Source};
use crate::refusal::Refusal;
use crate::resolve::{Resolved, c_string};
use crate::step::Step;
use crate::sys::mount::{NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};

/// Folder of the new root with what mounts put over other things, and with the file that no Landlock rule names.
pub(super) const SEALED: &str = "/.agentrc";

impl Layout<'_> {
    /// The root itself, and what is sealed in it.
    pub(super) fn root(&mut self, origin: &Origin) -> Result<(), Refusal> {
        let slot = self.tmpfs(0o755, 16 << 20, "/", origin)?;
        let anchor =
            Resolved { path: self.inputs.run.to_owned(), identity: (0, 0), directory: true }.c_path()?;
        self.push_inside(Op::Root { slot, anchor }, "/", origin);
        self.expect("/", READ_ONLY | NO_SUID | NO_DEV, FileSystem::Own("tmpfs"));
        self.places.insert("/".to_owned(), Place::Ours);
        self.make_directory(SEALED, 0o755, origin)?;
        self.make_directory(&join(SEALED, "directory"), 0, origin)?;
        for (name, mode) in [("file", 0), ("denied", 0o555)] {
            self.make_file(&join(SEALED, name), mode, b"sealed\n".to_vec(), origin)?;
        }
        Ok(())
    }

    /// An in-memory file system in a slot: bounded in bytes and in files.
    pub(super) fn tmpfs(
        &mut self,
        mode: u32,
        size: u64,
        subject: &str,
        origin: &Origin,
    ) -> Result<Slot, Refusal> {
        let slot = self.slot();
        let inodes = (size / 4096).max(64);
        let mut options = Vec::with_capacity(3);
        for (key, value) in
            [("mode", format!("{mode:o}")), ("size", size.to_string()), ("nr_inodes", inodes.to_string())]
        {
            options.push((c_string(key.as_bytes())?, c_string(value.as_bytes())?));
        }
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        self.push_inside(Op::Tmpfs { slot, options, attributes }, subject, origin);
        Ok(slot)
    }

    /// A fresh proc. Masked and read-only parts that this kernel does not have are left out: the host's own proc tells.
    pub(super) fn proc(
        &mut self,
        target: &str,
        read_only: u64,
        masked: &[String],
        parts: &[String],
        origin: &Origin,
    ) -> Result<(), Refusal> {
        self.make_point(target, true, origin)?;
        let slot = self.slot();
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        if read_only != 0 {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
        }
        self.push_inside(Op::Proc { slot, attributes }, target, origin);
        self.attach(slot, target, origin)?;
        self.expect(target, read_only | NO_SUID | NO_DEV | NO_EXEC, FileSystem::Own("proc"));
        self.places.insert(target.to_owned(), Place::Host(PathBuf::from("/proc")));
        for part in masked {
            if rustix::fs::lstat(part.as_str()).is_ok() {
                self.mask(part, origin)?;
            }
        }
        // What is read-only as a whole needs no read-only parts.
        for part in parts.iter().filter(|part| read_only == 0 && rustix::fs::lstat(part.as_str()).is_ok()) {
            self.hold(part, READ_ONLY, origin)?;
        }
        Ok(())
    }

    /// The program of ours that talks to the broker.
    pub(super) fn client(&self, origin: &Origin) -> Result<Vec<u8>, Refusal> {
        let missing = || {
            let reason = "there is no program that talks to the broker";
            Refusal::new(Step::PrepareMounts, reason).at(origin)
        };
        self.inputs.client.map(<[u8]>::to_vec).ok_or_else(missing)
    }

    /// The broker's socket. It is in the root itself, which is sealed when all is made: whoever is inside can connect to it,
    /// and not remove it or put another in its place.
    pub(super) fn socket(&mut self, target: &str, origin: &Origin) -> Result<(), Refusal> {
        let refuse = |reason: String| Err(Refusal::new(Step::PrepareMounts, reason).at(origin));
        if let Some(other) = &self.socket {
            return refuse(format!(
                "there is one socket of the broker's, `{other}`, and `{target}` is another"
            ));
        }
        let in_root =
            matches!(self.cover(target), (Place::Ours, rest) if rest == target.trim_start_matches('/'));
        if !in_root || self.made.contains(target) {
            return refuse(format!(
                "the broker's socket `{target}` must be in the root itself, under no mount"
            ));
        }
        self.parent(target, origin)?;
        let at = entry(target)?;
        self.made.insert(target.to_owned());
        self.socket = Some(target.to_owned());
        self.push_inside(Op::Socket { at }, target, origin);
        Ok(())
    }

    /// A `/dev` with the host's own nodes for what is harmless, and pseudo-terminals and shared memory of its own.
    pub(super) fn dev(&mut self, target: &str, nodes: &[String], origin: &Origin) -> Result<(), Refusal> {
        self.make_point(target, true, origin)?;
        let slot = self.tmpfs(0o755, 1 << 20, target, origin)?;
        self.attach(slot, target, origin)?;
        self.places.insert(target.to_owned(), Place::Ours);
        self.expect(target, READ_ONLY | NO_SUID | NO_DEV, FileSystem::Own("tmpfs"));
        let op = Op::Seal { slot, attributes: READ_ONLY };
        self.seals.push(Operation { op, subject: target.to_owned(), origin: origin.clone() });
        for node in nodes {
            let path = PathBuf::from(format!("/dev/{node}"));
            let refuse = |errno| Refusal::kernel(Step::ResolveSource, &path.display().to_string(), errno);
            let found = rustix::fs::lstat(&path).map_err(refuse)?;
            if FileType::from_raw_mode(found.st_mode) != FileType::CharacterDevice {
                return Err(refuse(Errno::NODEV));
            }
            let node_slot = self.slot();
            let source = Source {
                path: c_string(path.as_os_str().as_encoded_bytes())?,
                identity: (found.st_dev, found.st_ino),
            };
            // A device on a read-only mount can still be written; its mode and its times cannot be changed.
            let attributes = READ_ONLY | NO_SUID | NO_EXEC;
            let op = Op::Clone { slot: node_slot, source, attributes };
            self.push_source(op, &path.display().to_string(), origin);
            let at = join(target, node);
            self.make_file(&at, 0o444, Vec::new(), origin)?;
            self.attach(node_slot, &at, origin)?;
            self.expect(&at, attributes, FileSystem::Device);
        }
        for (name, to) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ] {
            self.symlink(&join(target, name), to.as_bytes(), origin)?;
        }
        let pts = join(target, "pts");
        self.make_directory(&pts, 0o755, origin)?;
        let pts_slot = self.slot();
        self.push_inside(Op::Pts { slot: pts_slot }, &pts, origin);
        self.attach(pts_slot, &pts, origin)?;
        self.expect(&pts, NO_SUID | NO_EXEC, FileSystem::Own("devpts"));
        Ok(())
    }
}

/// `/etc/passwd`: one user, and nobody.
pub(super) fn passwd() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let name = if uid == 0 { "root" } else { "agent" };
    format!(
        "{name}:x:{uid}:{gid}:agent:/home/agent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )
}

/// `/etc/group`: one group, and nogroup.
pub(super) fn group() -> String {
    let gid = rustix::process::getegid().as_raw();
    let name = if gid == 0 { "root" } else { "agent" };
    format!("{name}:x:{gid}:\nnogroup:x:65534:\n")
}
