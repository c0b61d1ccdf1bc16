//! From the plan's mount table to operations. Everything that can be known before the clone is decided here: which optional
//! mounts the host has, which folders must be made, what is held, what is hidden.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::path::{Path, PathBuf};

use agentfile::plan::{Access, Generated, HostPath, Mount, MountSource, Origin, Plan};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::op::{Entry, Op, Slot, Slots, Source};
use super::table::{Expected, FileSystem};
use super::{Mounts, Operation};
use crate::protect::{self, Placeholders};
use crate::refusal::Refusal;
use crate::resolve::{Places, Resolved, c_string, stat};
use crate::step::{Step, run};
use crate::sys::mount::{NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};

/// Folder of the new root with what mounts hide things under, and with the file that no Landlock rule names.
const SEALED: &str = "/.agentrc";

/// What the layout is made from.
pub(crate) struct Inputs<'a> {
    /// What will be enforced.
    pub(crate) plan: &'a Plan,
    /// What relative host paths are relative to.
    pub(crate) places: &'a Places,
    /// The run's own folder of the state directory; private copies live in it.
    pub(crate) run: &'a Path,
    /// Holds protected paths that do not exist yet.
    pub(crate) placeholders: &'a mut Placeholders,
    /// The host's unix sockets, once they have been looked up.
    pub(crate) sockets: Option<Vec<PathBuf>>,
}

/// What is at a place of the new root, as far as later mounts need to know it.
enum Place {
    /// One of our own file systems: folders and files can be made in it.
    Ours,
    /// Something of the host's: nothing is made in it.
    Host(PathBuf),
}

struct Layout<'a> {
    inputs: Inputs<'a>,
    /// Operations on host paths, before the new root covers any of them.
    sources: Vec<Operation>,
    /// Operations inside the new root.
    inside: Vec<Operation>,
    /// Attributes that are set last, when nothing more has to be made.
    seals: Vec<Operation>,
    expected: Vec<Expected>,
    places: BTreeMap<String, Place>,
    made: BTreeSet<String>,
    /// One of the paths that are held read-only, to be tried.
    held: Option<String>,
    next: Slot,
}

/// Lays out the new root.
pub(crate) fn prepare(inputs: Inputs<'_>) -> Result<Mounts, Refusal> {
    run(Step::PrepareMounts, 0, || Ok(()))
        .map_err(|failure| Refusal::kernel(failure.step, "", failure.errno))?;
    let origin = Origin::builtin("policies/base.toml");
    let mut layout = Layout {
        inputs,
        sources: Vec::new(),
        inside: Vec::new(),
        seals: Vec::new(),
        expected: Vec::new(),
        places: BTreeMap::new(),
        made: BTreeSet::from(["/".to_owned()]),
        held: None,
        next: 0,
    };
    layout.root(&origin)?;
    let plan = layout.inputs.plan;
    for mount in &plan.mounts {
        layout.mount(mount)?;
    }
    layout.push_inside(Op::Enter, "/", &origin);
    let mut operations = layout.sources;
    operations.append(&mut layout.inside);
    // Before `Enter`, which ends in the new root.
    let enter = operations.pop();
    operations.append(&mut layout.seals);
    operations.extend(enter);
    if operations.len() > usize::from(u16::MAX) {
        return Err(Refusal::new(Step::PrepareMounts, "the mount table is too long"));
    }
    let held = layout.held.map_or_else(|| c_string(b"/.agentrc/denied"), |path| c_string(path.as_bytes()))?;
    Ok(Mounts {
        operations,
        slots: Slots::new(layout.next),
        made: layout.made,
        expected: layout.expected,
        held,
    })
}

/// A path of the new root for a system call, relative to it.
fn relative(target: &str) -> Result<CString, Refusal> {
    c_string(target.trim_start_matches('/').as_bytes())
}

/// A path of the new root as a folder and a name in it.
fn entry(target: &str) -> Result<Entry, Refusal> {
    let (parent, name) = target.rsplit_once('/').unwrap_or(("", target));
    let parent = parent.trim_start_matches('/');
    let parent = if parent.is_empty() { "." } else { parent };
    Ok(Entry { parent: c_string(parent.as_bytes())?, name: c_string(name.as_bytes())? })
}

/// `base` with a suffix, without a double slash at the root.
fn join(base: &str, rest: &str) -> String {
    format!("{}/{rest}", base.trim_end_matches('/'))
}

fn names(attributes: u64) -> Vec<&'static str> {
    [(READ_ONLY, "ro"), (NO_SUID, "nosuid"), (NO_DEV, "nodev"), (NO_EXEC, "noexec")]
        .into_iter()
        .filter(|(bit, _)| attributes & bit != 0)
        .map(|(_, name)| name)
        .collect()
}

impl Layout<'_> {
    fn push_inside(&mut self, op: Op, subject: &str, origin: &Origin) {
        self.inside.push(Operation { op, subject: subject.to_owned(), origin: origin.clone() });
    }

    fn push_source(&mut self, op: Op, subject: &str, origin: &Origin) {
        self.sources.push(Operation { op, subject: subject.to_owned(), origin: origin.clone() });
    }

    fn slot(&mut self) -> Slot {
        self.next += 1;
        self.next - 1
    }

    fn expect(&mut self, target: &str, attributes: u64, file_system: FileSystem) {
        self.expected.push(Expected { target: target.to_owned(), options: names(attributes), file_system });
    }

    /// The root itself, and what is sealed in it.
    fn root(&mut self, origin: &Origin) -> Result<(), Refusal> {
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
    fn tmpfs(&mut self, mode: u32, size: u64, subject: &str, origin: &Origin) -> Result<Slot, Refusal> {
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

    /// The nearest place at or above `target`, and the path of `target` relative to it.
    fn cover(&self, target: &str) -> (&Place, String) {
        let mut at = target;
        loop {
            if let Some(place) = self.places.get(at) {
                return (
                    place,
                    target.get(at.len()..).unwrap_or_default().trim_start_matches('/').to_owned(),
                );
            }
            at = match at.rfind('/') {
                Some(0) | None => "/",
                Some(slash) => at.get(..slash).unwrap_or("/"),
            };
        }
    }

    /// Makes `target` and its parents where that is ours to do; where it is the host's, it must be there.
    fn make_point(&mut self, target: &str, directory: bool, origin: &Origin) -> Result<(), Refusal> {
        if self.made.contains(target) {
            return Ok(());
        }
        let host = match self.cover(target) {
            (Place::Host(host), rest) => Some(host.join(rest)),
            (Place::Ours, _) => None,
        };
        if let Some(host) = host {
            let found = stat(&host).ok().flatten();
            return if found.is_some_and(|found| found.directory == directory) {
                Ok(())
            } else {
                let kind = if directory { "folder" } else { "file" };
                Err(Refusal::new(
                    Step::PrepareMounts,
                    format!("`{target}` needs a {kind} to be mounted on, and `{}` is none", host.display()),
                )
                .at(origin)
                .help("make it on the host, or choose another target"))
            };
        }
        if let Some((parent, _)) = target.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
            self.make_point(parent, true, origin)?;
        }
        if directory {
            self.make_directory(target, 0o755, origin)
        } else {
            self.make_file(target, 0o444, Vec::new(), origin)
        }
    }

    fn make_directory(&mut self, target: &str, mode: u32, origin: &Origin) -> Result<(), Refusal> {
        let at = entry(target)?;
        self.made.insert(target.to_owned());
        self.push_inside(Op::Directory { at, mode }, target, origin);
        Ok(())
    }

    fn make_file(
        &mut self,
        target: &str,
        mode: u32,
        content: Vec<u8>,
        origin: &Origin,
    ) -> Result<(), Refusal> {
        let at = entry(target)?;
        self.made.insert(target.to_owned());
        self.push_inside(Op::File { at, mode, content }, target, origin);
        Ok(())
    }

    fn attach(&mut self, slot: Slot, target: &str, origin: &Origin) -> Result<(), Refusal> {
        let path = relative(target)?;
        self.push_inside(Op::Attach { slot, path }, target, origin);
        Ok(())
    }

    fn mount(&mut self, mount: &Mount) -> Result<(), Refusal> {
        let Mount { target, origin, .. } = mount;
        let read_only = if mount.access == Access::ReadOnly { READ_ONLY } else { 0 };
        match &mount.source {
            MountSource::Bind { source, protected } => {
                let Some(resolved) = self.find(mount, source)? else { return Ok(()) };
                self.bind(&resolved, target, read_only | NO_SUID | NO_DEV, origin)?;
                if mount.access == Access::ReadWrite {
                    let holds =
                        protect::holds(&resolved.path, protected, Some(&mut *self.inputs.placeholders))?;
                    self.hold_all(target, holds)?;
                }
                Ok(())
            }
            MountSource::Copy { source, layer, protected } => {
                let Some(resolved) = self.find(mount, source)? else { return Ok(()) };
                self.copy(&resolved, layer, target, origin)?;
                let holds = protect::holds(&resolved.path, protected, None)?;
                self.hold_all(target, holds)
            }
            MountSource::Private { mode, size_bytes } => {
                self.make_point(target, true, origin)?;
                let slot = self.tmpfs(*mode, *size_bytes, target, origin)?;
                self.attach(slot, target, origin)?;
                self.places.insert(target.clone(), Place::Ours);
                self.expect(target, read_only | NO_SUID | NO_DEV, FileSystem::Own("tmpfs"));
                if read_only != 0 {
                    let op = Op::Seal { slot, attributes: READ_ONLY };
                    self.seals.push(Operation { op, subject: target.clone(), origin: origin.clone() });
                }
                Ok(())
            }
            MountSource::Directory => self.make_point(target, true, origin),
            MountSource::Proc { masked, read_only: parts } => {
                self.proc(target, read_only, masked, parts, origin)
            }
            MountSource::Dev { nodes } => self.dev(target, nodes, origin),
            MountSource::Symlink { to } => self.symlink(target, to.as_bytes(), origin),
            MountSource::File { content, mode } => {
                self.parent(target, origin)?;
                self.make_file(target, *mode, content.clone().into_bytes(), origin)
            }
            MountSource::Generated { what } => {
                self.parent(target, origin)?;
                self.make_file(target, 0o444, generate(*what).into_bytes(), origin)
            }
            MountSource::Mask => self.mask(target, origin),
            MountSource::Narrow => self.narrow(target, origin),
        }
    }

    fn parent(&mut self, target: &str, origin: &Origin) -> Result<(), Refusal> {
        match target.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => self.make_point(parent, true, origin),
            _ => Ok(()),
        }
    }

    fn symlink(&mut self, target: &str, to: &[u8], origin: &Origin) -> Result<(), Refusal> {
        self.parent(target, origin)?;
        let (at, to) = (entry(target)?, c_string(to)?);
        self.made.insert(target.to_owned());
        self.push_inside(Op::Symlink { at, to }, target, origin);
        Ok(())
    }

    /// The host's side of a bind. `None`: it is optional, and the host does not have it, or has a symbolic link, which is
    /// reproduced as one (`/bin` on a merged-/usr system, `/etc/localtime`).
    fn find(&mut self, mount: &Mount, source: &HostPath) -> Result<Option<Resolved>, Refusal> {
        let HostPath::Absolute(path) = source else {
            return self.inputs.places.resolve(source, &mount.origin).map(Some);
        };
        if mount.origin.is_written() {
            return self.inputs.places.resolve(source, &mount.origin).map(Some);
        }
        let refuse = |errno| Refusal::kernel(Step::ResolveSource, path, errno).at(&mount.origin);
        let found = match rustix::fs::lstat(path.as_str()) {
            Err(Errno::NOENT | Errno::NOTDIR) if mount.optional => return Ok(None),
            found => found.map_err(refuse)?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                let to = rustix::fs::readlink(path.as_str(), Vec::new()).map_err(refuse)?;
                self.symlink(&mount.target, to.as_bytes(), &mount.origin)?;
                Ok(None)
            }
            FileType::Directory | FileType::RegularFile => stat(Path::new(path)).map_err(refuse),
            _ if mount.optional => Ok(None),
            _ => Err(refuse(Errno::NODEV)),
        }
    }

    fn bind(
        &mut self,
        from: &Resolved,
        target: &str,
        attributes: u64,
        origin: &Origin,
    ) -> Result<(), Refusal> {
        let slot = self.slot();
        let source = Source { path: from.c_path()?, identity: from.identity };
        self.push_source(Op::Clone { slot, source, attributes }, &from.path.display().to_string(), origin);
        self.make_point(target, from.directory, origin)?;
        self.attach(slot, target, origin)?;
        self.places.insert(target.to_owned(), Place::Host(from.path.clone()));
        self.expect(target, attributes, FileSystem::Host);
        self.hide_sockets(&from.path, target, origin)
    }

    fn copy(&mut self, from: &Resolved, layer: &str, target: &str, origin: &Origin) -> Result<(), Refusal> {
        if !from.directory {
            return Err(Refusal::new(
                Step::CopyLayer,
                format!("`{}` is a file, and only a folder can be bound `copy`", from.path.display()),
            )
            .at(origin)
            .help("bind its folder, or bind the file `ro` or `rw`"));
        }
        let folder = self.inputs.run.join(layer);
        run(Step::CopyLayer, 0, || {
            for path in [folder.clone(), folder.join("upper"), folder.join("work")] {
                rustix::fs::mkdir(&path, rustix::fs::Mode::from_raw_mode(0o700))?;
            }
            // The agent sees the mode of the upper folder as that of the bind.
            let mode = rustix::fs::stat(&from.path)?.st_mode & 0o777;
            rustix::fs::chmod(folder.join("upper"), rustix::fs::Mode::from_raw_mode(mode | 0o700))
        })
        .map_err(|failure| {
            Refusal::kernel(failure.step, &folder.display().to_string(), failure.errno).at(origin)
        })?;
        let slot = self.slot();
        let lower = Source { path: from.c_path()?, identity: from.identity };
        let layer = Resolved { path: folder, identity: (0, 0), directory: true }.c_path()?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let subject = from.path.display().to_string();
        self.push_source(Op::Overlay { slot, lower, layer, attributes }, &subject, origin);
        self.make_point(target, true, origin)?;
        self.attach(slot, target, origin)?;
        self.places.insert(target.to_owned(), Place::Host(from.path.clone()));
        self.expect(target, NO_SUID | NO_DEV, FileSystem::Own("overlay"));
        self.hide_sockets(&from.path, target, origin)
    }

    /// Hides the unix sockets that the host is listening on below a bind: connecting to one is no write to a file, so
    /// neither a read-only mount nor Landlock (up to ABI 8) stops it. Sockets that the host makes later are not seen
    /// (docs/security-model.md).
    fn hide_sockets(&mut self, source: &Path, target: &str, origin: &Origin) -> Result<(), Refusal> {
        if self.inputs.sockets.is_none() {
            let failed = |errno| Refusal::kernel(Step::PrepareMounts, "/proc/net/unix", errno);
            self.inputs.sockets = Some(crate::sockets::listed().map_err(failed)?);
        }
        let below: Vec<PathBuf> = self
            .inputs
            .sockets
            .iter()
            .flatten()
            .filter_map(|socket| socket.strip_prefix(source).ok())
            .map(Path::to_owned)
            .collect();
        for socket in below {
            let Some(name) = socket.to_str() else {
                let reason =
                    format!("the socket `{}` below this bind has a name that is not UTF-8", socket.display());
                return Err(Refusal::new(Step::PrepareMounts, reason).at(origin));
            };
            let at = join(target, name);
            let path = relative(&at)?;
            self.push_inside(Op::Hide { path, with: c".agentrc/file" }, &at, origin);
            self.expect(&at, READ_ONLY, FileSystem::Cover);
        }
        Ok(())
    }

    fn hold_all(&mut self, target: &str, holds: BTreeMap<PathBuf, protect::Hold>) -> Result<(), Refusal> {
        for (path, hold) in holds {
            let at = join(target, &path.to_string_lossy());
            self.hold(&at, if hold.read_only { READ_ONLY } else { 0 }, &hold.origin)?;
        }
        Ok(())
    }

    fn hold(&mut self, target: &str, attributes: u64, origin: &Origin) -> Result<(), Refusal> {
        let path = relative(target)?;
        if attributes & READ_ONLY != 0 {
            self.held.get_or_insert_with(|| target.to_owned());
        }
        self.push_inside(Op::Hold { path, attributes }, target, origin);
        self.expect(target, attributes, FileSystem::Host);
        Ok(())
    }

    /// A fresh proc. Masked and read-only parts that this kernel does not have are left out: the host's own proc tells.
    fn proc(
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

    /// A `/dev` with the host's own nodes for what is harmless, and pseudo-terminals and shared memory of its own.
    fn dev(&mut self, target: &str, nodes: &[String], origin: &Origin) -> Result<(), Refusal> {
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

    /// Hides what a wider mount shows.
    fn mask(&mut self, target: &str, origin: &Origin) -> Result<(), Refusal> {
        let directory = match self.kind_below(target, origin)? {
            Some(FileType::Directory) => true,
            Some(_) => false,
            None => {
                self.make_point(target, true, origin)?;
                true
            }
        };
        let path = relative(target)?;
        let with = if directory { c".agentrc/directory" } else { c".agentrc/file" };
        self.push_inside(Op::Hide { path, with }, target, origin);
        self.expect(target, READ_ONLY, FileSystem::Own("tmpfs"));
        Ok(())
    }

    /// Makes a part of a wider mount read-only.
    fn narrow(&mut self, target: &str, origin: &Origin) -> Result<(), Refusal> {
        if self.kind_below(target, origin)?.is_none() {
            self.make_point(target, true, origin)?;
        }
        self.hold(target, READ_ONLY, origin)
    }

    /// What the host has at `target`, below a bind. `None`: it is in a file system of our own, where it can be made.
    fn kind_below(&self, target: &str, origin: &Origin) -> Result<Option<FileType>, Refusal> {
        let (Place::Host(host), rest) = self.cover(target) else { return Ok(None) };
        let host = host.join(rest);
        let refuse =
            |errno| Refusal::kernel(Step::ResolveSource, &host.display().to_string(), errno).at(origin);
        match FileType::from_raw_mode(rustix::fs::lstat(&host).map_err(refuse)?.st_mode) {
            FileType::Symlink => Err(Refusal::new(
                Step::ResolveSource,
                format!("`{}` is a symbolic link, which cannot be held", host.display()),
            )
            .at(origin)
            .help("name what it leads to")),
            kind => Ok(Some(kind)),
        }
    }
}

/// The text of a file that depends on the run: one user, one group.
fn generate(what: Generated) -> String {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let name = if uid == 0 { "root" } else { "agent" };
    match what {
        Generated::Passwd => format!(
            "{name}:x:{uid}:{gid}:agent:/home/agent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        ),
        Generated::Group => {
            let name = if gid == 0 { "root" } else { "agent" };
            format!("{name}:x:{gid}:\nnogroup:x:65534:\n")
        }
    }
}
