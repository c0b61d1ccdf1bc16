//! Layer 3: the new root, and the only thing of the host's files that is left: `layout.rs` lays it out as typed
//! operations (`op.rs`), init interprets them, `table.rs` compares the kernel's mount table with the plan's.

mod entrance;
mod layout;
mod op;
mod table;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use agentfile::plan::Origin;
use rustix::fs::{AtFlags, Mode, OFlags};

pub(crate) use entrance::Again;
pub(crate) use layout::{Inputs, prepare};
use op::{Op, Slots, interpret};

use super::{Layer, entry};
use crate::prove::{Act, Readings};
use crate::refusal::Refusal;
use crate::step::{Failure, Step};

/// The operations, each with what it is about and the line that asked for it.
pub(crate) struct Mounts {
    operations: Vec<Operation>,
    slots: Slots,
    expected: Vec<table::Expected>,
    /// Where the mounts were when they were read back.
    armed: OnceCell<table::Armed>,
    /// Folders and files that are made in our own file systems: they show themselves, and nothing of the host's.
    made: BTreeSet<String>,
    /// Targets of binds that are files.
    files: BTreeSet<String>,
    /// Where the broker's socket is.
    socket: Option<String>,
    /// A path that is held read-only.
    held: CString,
}

struct Operation {
    op: Op,
    subject: String,
    origin: Origin,
}

impl Mounts {
    /// A path that is held read-only, for the probe.
    pub(crate) fn held(&self) -> &CStr {
        &self.held
    }

    /// Where the broker's socket is, if the plan has one.
    pub(crate) fn socket(&self) -> Option<&str> {
        self.socket.as_deref()
    }

    /// The broker's socket, which listens once the layer is armed.
    pub(crate) fn listener(&self) -> Option<OwnedFd> {
        self.slots.listener()
    }

    /// After the sandbox's end: removes what overlayfs leaves in the layers of copies besides the changes (a folder without
    /// permission bits, at which `rm -r` stops). One that is not empty stays for `agentrc discard`.
    pub(crate) fn tidy(&self) {
        for operation in &self.operations {
            let Op::Overlay { layer, .. } = &operation.op else { continue };
            let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(layer) = rustix::fs::open(layer.as_c_str(), how, Mode::empty()) else { continue };
            for part in [c"work/work", c"work/index", c"work"] {
                let _ = rustix::fs::unlinkat(&layer, part, AtFlags::REMOVEDIR);
            }
        }
    }

    /// Compares the kernel's table with the plan's again, while the agent runs: a mount on a file goes away when the host
    /// replaces that file, and what it held is then open.
    pub(crate) fn still_holds(&self, mountinfo: &str) -> Result<(), Refusal> {
        let nothing = table::Armed::new();
        table::compare(&self.expected, mountinfo, Some(self.armed.get().unwrap_or(&nothing))).map(drop)
    }

    /// Whether a single file is bound to `target`.
    pub(crate) fn is_file(&self, target: &str) -> bool {
        self.files.contains(target)
    }

    /// Whether `path` was made, or lies on or beneath a mount that is there. Optional mounts of what the host does not
    /// have are not, though folders above them may be.
    pub(crate) fn shows(&self, path: &str) -> bool {
        self.made.contains(path)
            || self.expected.iter().any(|mount| {
                let beneath = path.strip_prefix(mount.target.as_str());
                beneath.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

impl Layer for Mounts {
    fn name(&self) -> &'static str {
        "mounts"
    }

    fn apply(&self) -> Result<(), Failure> {
        // Permission bits are as written: the agent's own umask is set later.
        rustix::process::umask(rustix::fs::Mode::empty());
        for (item, operation) in self.operations.iter().enumerate() {
            interpret(&operation.op, &self.slots, item)?;
        }
        self.slots.close();
        Ok(())
    }

    fn blame(&self, failure: &Failure) -> Option<(String, Origin)> {
        let ours = Step::OpenSource..=Step::DetachHost;
        let operation =
            self.operations.get(usize::from(failure.item)).filter(|_| ours.contains(&failure.step))?;
        Some((operation.subject.clone(), operation.origin.clone()))
    }

    fn probes(&self) -> &'static [Act] {
        &[Act::CreateInRoot, Act::ChangeHeld, Act::WriteSysctl, Act::OpenInitRoot]
    }

    fn read_back(&self, readings: &Readings) -> Result<BTreeMap<String, String>, Refusal> {
        let mut seen = table::compare(&self.expected, &readings.mountinfo, None)?;
        seen.extend(self.socket.iter().map(|socket| entry("socket", socket)));
        self.armed.get_or_init(|| table::armed(&readings.mountinfo));
        Ok(seen)
    }
}
