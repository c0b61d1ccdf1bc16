//! Layout of what the host gives: binds, private copies, and what of them is held or hidden.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agentfile::plan::{Access, HostPath, Mount, MountSource, Origin, Protected};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::{FileSystem, Layout, Place, join, relative};
use crate::layer::mounts::op::{Op, Source};
use crate::protect;
use crate::refusal::Refusal;
use crate::resolve::{self, Resolved};
use crate::step::{Step, run};
use crate::sys::mount::{NO_DEV, NO_SUID, READ_ONLY};

impl Layout<'_> {
    /// The host's side of a bind. `None`: it is optional, and the host does not have it, or has a symbolic link, which is
    /// reproduced as one (`/bin` on a merged-/usr system, `/etc/localtime`).
    pub(super) fn find(&mut self, mount: &Mount, source: &HostPath) -> Result<Option<Resolved>, Refusal> {
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
            FileType::Directory | FileType::RegularFile => Ok(resolve::found(Path::new(path), &found)),
            _ if mount.optional => Ok(None),
            _ => Err(refuse(Errno::NODEV)),
        }
    }

    pub(super) fn bind(
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
        if !from.directory {
            self.files.insert(target.to_owned());
        }
        self.expect(target, attributes, FileSystem::Host);
        self.hide_sockets(&from.path, target, origin)
    }

    pub(super) fn copy(
        &mut self,
        from: &Resolved,
        layer: &str,
        target: &str,
        origin: &Origin,
    ) -> Result<(), Refusal> {
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
    pub(super) fn hide_sockets(
        &mut self,
        source: &Path,
        target: &str,
        origin: &Origin,
    ) -> Result<(), Refusal> {
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
            self.pin_above(&at, FileSystem::Cover, origin)?;
            self.push_inside(Op::Hide { path, with: c".agentrc/file" }, &at, origin);
            self.expect(&at, READ_ONLY, FileSystem::Cover);
        }
        Ok(())
    }

    pub(super) fn hold_all(
        &mut self,
        target: &str,
        holds: BTreeMap<PathBuf, protect::Hold>,
    ) -> Result<(), Refusal> {
        for (path, hold) in holds {
            let at = join(target, &path.to_string_lossy());
            self.hold(&at, if hold.read_only { READ_ONLY } else { 0 }, &hold.origin)?;
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, target: &str, attributes: u64, origin: &Origin) -> Result<(), Refusal> {
        let path = relative(target)?;
        self.pinned.insert(target.to_owned());
        if attributes & READ_ONLY != 0 {
            self.held.get_or_insert_with(|| target.to_owned());
        }
        self.push_inside(Op::Hold { path, attributes }, target, origin);
        self.expect(target, attributes, FileSystem::Host);
        Ok(())
    }

    /// Where the agent can rename folders, those above something hidden are mounted on themselves, and so stay where they are: a folder
    /// that goes takes along what is hidden in it, but another mount, which shows where it went, does not hide it. A folder that only
    /// the host needs, above a socket, may go with it.
    fn pin_above(&mut self, target: &str, needed: FileSystem, origin: &Origin) -> Result<(), Refusal> {
        let (Place::Host(_), rest) = self.cover(target) else { return Ok(()) };
        let bind = target.strip_suffix(rest.as_str()).unwrap_or(target).trim_end_matches('/').to_owned();
        let renames = |mount: &Mount| {
            mount.target == bind
                && mount.access == Access::ReadWrite
                && matches!(mount.source, MountSource::Bind { .. })
        };
        if !self.inputs.plan.mounts.iter().any(renames) {
            return Ok(());
        }
        for (at, _) in rest.match_indices('/') {
            let folder = join(&bind, rest.get(..at).unwrap_or_default());
            if self.pinned.insert(folder.clone()) {
                self.push_inside(Op::Hold { path: relative(&folder)?, attributes: 0 }, &folder, origin);
            }
            self.expect(&folder, 0, needed);
        }
        Ok(())
    }

    /// Hides what a wider mount shows.
    pub(super) fn mask(&mut self, target: &str, origin: &Origin) -> Result<(), Refusal> {
        let directory = match self.kind_below(target, origin)? {
            Below::Host(FileType::Directory) => true,
            Below::Host(_) => false,
            Below::Ours => {
                self.make_point(target, true, origin)?;
                true
            }
            Below::Missing => return self.mask_missing(target, origin),
        };
        self.hide(target, directory, origin)
    }

    pub(super) fn hide(&mut self, target: &str, directory: bool, origin: &Origin) -> Result<(), Refusal> {
        let path = relative(target)?;
        let with = if directory { c".agentrc/directory" } else { c".agentrc/file" };
        self.pin_above(target, FileSystem::Host, origin)?;
        self.hidden.insert(target.to_owned());
        self.push_inside(Op::Hide { path, with }, target, origin);
        self.expect(target, READ_ONLY, FileSystem::Own("tmpfs"));
        Ok(())
    }

    /// Hides what the host does not have yet, so that it is not there either when it comes: through a placeholder for
    /// the first part of the path that is missing. A host that puts something in the placeholder's place ends the run.
    fn mask_missing(&mut self, target: &str, origin: &Origin) -> Result<(), Refusal> {
        let (Place::Host(source), rest) = self.cover(target) else { return Ok(()) };
        let (source, bind) =
            (source.clone(), target.strip_suffix(rest.as_str()).unwrap_or(target).to_owned());
        let bind = bind.trim_end_matches('/');
        // Nothing is made in the base system.
        if self.inputs.plan.mounts.iter().any(|mount| mount.target == bind && !mount.origin.is_written()) {
            let shown = source.join(&rest).display().to_string();
            return Err(Refusal::kernel(Step::ResolveSource, &shown, Errno::NOENT)
                .at(origin)
                .help("it does not exist on this host: remove the line"));
        }
        let denied = Protected {
            path: rest.clone(),
            directory: false,
            content: String::new(),
            origin: origin.clone(),
        };
        let placeholders = Some(&mut *self.inputs.placeholders);
        let held = protect::holds(&source, std::slice::from_ref(&denied), placeholders);
        let held = held.map_err(|refusal| {
            refusal.help("it does not exist: make it (it may be empty), or remove the line")
        })?;
        let missing = held.iter().find(|(_, hold)| hold.read_only).map(|(path, _)| path.clone());
        self.hold_all(bind, held)?;
        let Some(missing) = missing else { return Ok(()) };
        let directory = missing != Path::new(&rest);
        self.hide(&join(bind, &missing.to_string_lossy()), directory, origin)
    }

    /// Makes a part of a wider mount read-only.
    pub(super) fn narrow(&mut self, target: &str, origin: &Origin) -> Result<(), Refusal> {
        match self.kind_below(target, origin)? {
            Below::Ours => self.make_point(target, true, origin)?,
            // What is not there cannot be changed: this is below a bind that is read-only already, or private.
            Below::Missing => return Ok(()),
            Below::Host(_) => {}
        }
        self.hold(target, READ_ONLY, origin)
    }

    /// What there is at `target`.
    fn kind_below(&self, target: &str, origin: &Origin) -> Result<Below, Refusal> {
        let (Place::Host(host), rest) = self.cover(target) else { return Ok(Below::Ours) };
        let host = host.join(rest);
        let refuse =
            |errno| Refusal::kernel(Step::ResolveSource, &host.display().to_string(), errno).at(origin);
        match rustix::fs::lstat(&host).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Err(Errno::NOENT) => Ok(Below::Missing),
            Err(errno) => Err(refuse(errno)),
            Ok(FileType::Symlink) => Err(Refusal::new(
                Step::ResolveSource,
                format!("`{}` is a symbolic link, which cannot be held", host.display()),
            )
            .at(origin)
            .help("name what it leads to")),
            Ok(kind) => Ok(Below::Host(kind)),
        }
    }
}

/// What there is at a place of the new root.
enum Below {
    /// A file system of our own, where it can be made.
    Ours,
    /// Something of the host's, below a bind.
    Host(FileType),
    /// Nothing, below a bind.
    Missing,
}
