//! From the plan's mount table to operations. Everything that can be known before the clone is decided here: which optional
//! mounts the host has, which folders must be made, what is held, what is hidden.

mod credential;
mod host;
mod own;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use agentfile::plan::{Access, Generated, Mount, MountSource, Origin, Plan, about};

use super::op::{Entry, Op, Slot, Slots};
use super::table::{Expected, FileSystem};
use super::{Mounts, Operation};
use crate::placeholder::Placeholders;
use crate::protect;
use crate::refusal::Refusal;
use crate::resolve::{Places, c_string, stat};
use crate::step::{Step, run};
use crate::sys::mount::{NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};

/// What the layout is made from.
pub(crate) struct Inputs<'a> {
    /// What will be enforced.
    pub(crate) plan: &'a Plan,
    /// Its digest, which the agent is told.
    pub(crate) plan_sha256: &'a str,
    /// What relative host paths are relative to.
    pub(crate) places: &'a Places,
    /// The run's own folder of the state directory; private copies live in it.
    pub(crate) run: &'a Path,
    /// Holds protected paths that do not exist yet.
    pub(crate) placeholders: &'a mut Placeholders,
    /// The host's unix sockets, once they have been looked up.
    pub(crate) sockets: Option<Vec<PathBuf>>,
    /// The certificate of the run's own authority, in PEM: what a plan with a trust bundle needs.
    pub(crate) trust: Option<&'a [u8]>,
    /// The program of ours that talks to the broker.
    pub(crate) client: Option<&'a [u8]>,
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
    /// Targets of binds that are files.
    files: BTreeSet<String>,
    /// Links of our own file systems, and their texts.
    links: BTreeMap<String, PathBuf>,
    /// Where the broker's socket is.
    socket: Option<String>,
    /// What is hidden.
    hidden: BTreeSet<String>,
    /// What is mounted on itself, and so stays where it is.
    pinned: BTreeSet<String>,
    /// One of the paths that are held read-only, to be tried.
    held: Option<String>,
    next: Slot,
}

/// Lays out the new root.
pub(crate) fn prepare(inputs: Inputs<'_>) -> Result<Mounts, Refusal> {
    run(Step::PrepareMounts, 0, || Ok(()))?;
    let origin = Origin::builtin("policies/base.toml");
    let mut layout = Layout::new(inputs);
    layout.root(&origin)?;
    let plan = layout.inputs.plan;
    for mount in &plan.mounts {
        layout.mount(mount)?;
    }
    layout.credentials()?;
    // What lies over others' files comes when all of them are there.
    layout.trust(&plan.mounts)?;
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
        files: layout.files,
        socket: layout.socket,
        expected: layout.expected,
        armed: std::cell::OnceCell::new(),
        held,
    })
}

/// A path of the new root for a system call, relative to it.
pub(super) fn relative(target: &str) -> Result<CString, Refusal> {
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

impl<'a> Layout<'a> {
    fn new(inputs: Inputs<'a>) -> Self {
        Self {
            inputs,
            sources: Vec::new(),
            inside: Vec::new(),
            seals: Vec::new(),
            expected: Vec::new(),
            places: BTreeMap::new(),
            made: BTreeSet::from(["/".to_owned()]),
            files: BTreeSet::new(),
            links: BTreeMap::new(),
            socket: None,
            hidden: BTreeSet::new(),
            pinned: BTreeSet::new(),
            held: None,
            next: 0,
        }
    }
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
                let made = match what {
                    Generated::Passwd => (0o444, own::passwd().into_bytes()),
                    Generated::Group => (0o444, own::group().into_bytes()),
                    Generated::TrustBundle => return Ok(()),
                    Generated::Client => (0o555, self.client(origin)?),
                    Generated::Audit => (0o444, about::audit(self.inputs.plan).into_bytes()),
                    Generated::Limits => (0o444, about::limits(self.inputs.plan).into_bytes()),
                    Generated::Policy => (0o444, about::policy(self.inputs.plan).into_bytes()),
                    Generated::Status => {
                        (0o444, about::status(self.inputs.plan, self.inputs.plan_sha256).into_bytes())
                    }
                };
                let (mode, content) = made;
                self.parent(target, origin)?;
                self.make_file(target, mode, content, origin)
            }
            MountSource::Mask if self.is_of_credential(mount) => Ok(()),
            MountSource::Mask => self.mask(target, origin),
            MountSource::Narrow => self.narrow(target, origin),
            MountSource::Socket => self.socket(target, origin),
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
        self.links.insert(target.to_owned(), PathBuf::from(OsStr::from_bytes(to.as_bytes())));
        self.push_inside(Op::Symlink { at, to }, target, origin);
        Ok(())
    }
}
