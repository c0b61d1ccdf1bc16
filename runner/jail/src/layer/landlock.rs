//! Layer 6: Landlock (landlock(7)), the second lock on files, TCP, abstract sockets and signals: the same paths as the
//! mount table, held by another mechanism.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use agentfile::plan::{ConnectRule, FileRights, Landlock as Planned, Origin};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Layer, entry};
use crate::prove::{Act, Readings};
use crate::refusal::Refusal;
use crate::step::{Failure, Step, run};
use crate::sys::kernel::{self, RulesetAttributes};

/// The newest ABI whose rights are in the tables below. A newer kernel is used as if it had this one.
const NEWEST: u32 = 7;

// LANDLOCK_ACCESS_FS_* (linux/landlock.h), with the ABI that brought each.
const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_SYM: u64 = 1 << 12;
const ABI_1: u64 = (1 << 13) - 1;
const REFER: u64 = 1 << 13; // ABI 2
const TRUNCATE: u64 = 1 << 14; // ABI 3
const IOCTL_DEV: u64 = 1 << 15; // ABI 5
/// Rights that mean something for what is not a directory.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

// LANDLOCK_ACCESS_NET_BIND_TCP and _CONNECT_TCP (ABI 4): both handled; binding is granted to nobody, connecting to the
// ports of the plan.
const NET_SINCE: u32 = 4;
const NET: u64 = 0b11;
const BIND_TCP: u64 = 0b01;
const CONNECT_TCP: u64 = 0b10;
// LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET and _SIGNAL (ABI 6).
const SCOPES: u64 = 0b11;
// LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF and _LOG_NEW_EXEC_ON (ABI 7): the kernel's audit log shows what the agent
// is denied, not what our own probes are.
const LOG_FLAGS: u32 = 0b011;

/// The rights that the kernel can be asked to handle at `abi`.
fn handled(abi: u32) -> RulesetAttributes {
    let newer = [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)];
    RulesetAttributes {
        access_fs: newer.iter().filter(|(since, _)| *since <= abi).fold(ABI_1, |all, (_, right)| all | right),
        access_net: if abi >= NET_SINCE { NET } else { 0 },
        scoped: if abi >= 6 { SCOPES } else { 0 },
    }
}

/// How many bytes of the attributes the kernel knows at `abi`.
fn attribute_size(abi: u32) -> usize {
    match abi {
        0..=3 => 8,
        4 | 5 => 16,
        _ => 24,
    }
}

/// The bits of a named set of rights.
fn bits(rights: FileRights) -> u64 {
    let read = READ_FILE | READ_DIR;
    match rights {
        FileRights::List => READ_DIR,
        FileRights::Read => read,
        FileRights::ReadExecute => read | EXECUTE,
        FileRights::ReadWrite => read | WRITE_FILE | TRUNCATE | IOCTL_DEV,
        FileRights::Full => {
            read | EXECUTE
                | WRITE_FILE
                | TRUNCATE
                | REMOVE_DIR
                | REMOVE_FILE
                | MAKE_DIR
                | MAKE_REG
                | MAKE_SOCK
                | MAKE_FIFO
                | MAKE_SYM
                | REFER
        }
    }
}

/// Locks this process, for a service: reading is all that is left of the file system, and nothing can be listened on,
/// signalled, or reached by an abstract name.
pub(crate) fn read_only() -> Result<(), Errno> {
    let abi = kernel::landlock_abi()?.min(NEWEST);
    let mut attributes = handled(abi);
    attributes.access_fs &= !(READ_FILE | READ_DIR);
    attributes.access_net &= BIND_TCP;
    let ruleset = kernel::landlock_create(&attributes, attribute_size(abi))?;
    kernel::landlock_restrict(ruleset.as_fd(), 0)
}

/// A folder, for [`folder_alone`].
pub(crate) fn folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Locks this process, for a service: files beneath `folder` can be read, made, written and removed, those of `/proc` read,
/// and nothing else of the file system; and nothing can be connected to by TCP, listened on, signalled, or reached by an
/// abstract name.
pub(crate) fn folder_alone(folder: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let abi = kernel::landlock_abi()?.min(NEWEST);
    let attributes = handled(abi);
    let ruleset = kernel::landlock_create(&attributes, attribute_size(abi))?;
    let (read, change) = (READ_FILE | READ_DIR, WRITE_FILE | TRUNCATE | MAKE_REG | MAKE_DIR | REMOVE_FILE);
    if let Some(folder) = folder {
        let access = (read | change) & attributes.access_fs;
        kernel::landlock_allow(ruleset.as_fd(), folder, access)?;
    }
    let proc = self::folder(Path::new("/proc"))?;
    kernel::landlock_allow(ruleset.as_fd(), proc.as_fd(), read)?;
    kernel::landlock_restrict(ruleset.as_fd(), 0)
}

struct Rule {
    path: CString,
    access: u64,
    origin: Origin,
}

impl Rule {
    fn open(&self, item: usize) -> Result<OwnedFd, Failure> {
        run(Step::LandlockPath, item, || {
            let how = OFlags::PATH | OFlags::CLOEXEC;
            let path = self.path.as_c_str();
            rustix::fs::openat2(CWD, path, how, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
        })
    }

    fn add(&self, ruleset: &OwnedFd, path: &OwnedFd, item: usize) -> Result<(), Failure> {
        run(Step::LandlockRule, item, || {
            let stat = rustix::fs::fstat(path)?;
            let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let access = if directory { self.access } else { self.access & OF_FILES };
            kernel::landlock_allow(ruleset.as_fd(), path.as_fd(), access)
        })
    }
}

/// The ports that the kernel can be asked about at `abi`: none below 4, where the other locks on the network stand alone.
fn ports(abi: u32, planned: &Planned) -> Vec<ConnectRule> {
    if abi >= NET_SINCE { planned.connect.clone() } else { Vec::new() }
}

/// The ruleset, made in the supervisor, and the rules that init adds once the paths exist.
pub(crate) struct Landlock {
    abi: u32,
    ruleset: Cell<Option<OwnedFd>>,
    rules: Vec<Rule>,
    /// What the rules' paths were when they were added, in their order.
    opened: Vec<Cell<Option<OwnedFd>>>,
    ports: Vec<ConnectRule>,
}

impl Landlock {
    /// Refuses below the ABI that the plan needs. `present` says whether a path of an optional mount is there.
    pub(crate) fn prepare(planned: &Planned, present: impl Fn(&str) -> bool) -> Result<Self, Refusal> {
        let found = kernel::landlock_abi()
            .map_err(|errno| Refusal::kernel(Step::PrepareLandlock, "landlock_create_ruleset", errno))?;
        let abi = admit(found, planned.minimum_abi)?;
        let attributes = handled(abi);
        let ruleset =
            run(Step::PrepareLandlock, 0, || kernel::landlock_create(&attributes, attribute_size(abi)))
                .map_err(|failure| Refusal::kernel(failure.step, "landlock_create_ruleset", failure.errno))?;
        let mut rules = Vec::with_capacity(planned.rules.len());
        for rule in &planned.rules {
            if rule.optional && !present(&rule.path) {
                continue;
            }
            let path = CString::new(rule.path.as_str())
                .map_err(|_| Refusal::new(Step::PrepareLandlock, "a path has a NUL byte").at(&rule.origin))?;
            let access = bits(rule.rights) & attributes.access_fs;
            rules.push(Rule { path, access, origin: rule.origin.clone() });
        }
        let opened = rules.iter().map(|_| Cell::new(None)).collect();
        Ok(Self { abi, ruleset: Cell::new(Some(ruleset)), rules, opened, ports: ports(abi, planned) })
    }

    /// What the rules' paths are, from init, once they have been added: before the agent is there to change where they lead.
    pub(crate) fn opened(&self) -> impl Iterator<Item = OwnedFd> {
        self.opened.iter().filter_map(Cell::take)
    }

    /// Whose rules are for a path at or beneath `place`, in their order.
    pub(crate) fn beneath(&self, place: &str) -> impl Iterator<Item = bool> {
        self.rules.iter().map(move |rule| {
            let rest = rule.path.to_bytes().strip_prefix(place.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    }

    /// Locks another process as the agent is: a ruleset of its own, with the same rules for what is in `opened`; where that
    /// has `None`, another file system lies there now, and the path is opened again.
    pub(crate) fn apply_again(&self, opened: &[Option<OwnedFd>]) -> Result<(), Failure> {
        let attributes = handled(self.abi);
        let ruleset = run(Step::LandlockRestrict, 0, || {
            kernel::landlock_create(&attributes, attribute_size(self.abi))
        })?;
        for (item, rule) in self.rules.iter().enumerate() {
            match run(Step::LandlockPath, item, || opened.get(item).ok_or(Errno::BADF))? {
                Some(path) => rule.add(&ruleset, path, item)?,
                None => rule.add(&ruleset, &rule.open(item)?, item)?,
            }
        }
        self.restrict(&ruleset)
    }

    /// The ports, and then there is no way back.
    fn restrict(&self, ruleset: &OwnedFd) -> Result<(), Failure> {
        for (item, rule) in self.ports.iter().enumerate() {
            run(Step::LandlockPort, item, || {
                kernel::landlock_allow_port(ruleset.as_fd(), rule.port, CONNECT_TCP)
            })?;
        }
        let flags = if self.abi >= 7 { LOG_FLAGS } else { 0 };
        run(Step::LandlockRestrict, 1, || kernel::landlock_restrict(ruleset.as_fd(), flags))
    }
}

/// The ABI to use, given the kernel's and the plan's minimum.
fn admit(found: u32, minimum: u32) -> Result<u32, Refusal> {
    if found < minimum.max(1) {
        return Err(Refusal::new(
            Step::PrepareLandlock,
            format!("this plan needs Landlock ABI {minimum}, and the kernel has {found}"),
        ));
    }
    Ok(found.min(NEWEST))
}

impl Layer for Landlock {
    fn name(&self) -> &'static str {
        "landlock"
    }

    fn apply(&self) -> Result<(), Failure> {
        let ruleset = self.ruleset.take();
        let ruleset = run(Step::LandlockRestrict, 0, || ruleset.ok_or(Errno::BADF))?;
        for (item, (rule, opened)) in self.rules.iter().zip(&self.opened).enumerate() {
            let path = rule.open(item)?;
            rule.add(&ruleset, &path, item)?;
            opened.set(Some(path));
        }
        self.restrict(&ruleset)
    }

    fn blame(&self, failure: &Failure) -> Option<(String, Origin)> {
        let item = usize::from(failure.item);
        match failure.step {
            Step::LandlockPath | Step::LandlockRule => {
                let rule = self.rules.get(item)?;
                Some((rule.path.to_string_lossy().into_owned(), rule.origin.clone()))
            }
            Step::LandlockPort => {
                let rule = self.ports.get(item)?;
                Some((format!("port {}", rule.port), rule.origin.clone()))
            }
            _ => None,
        }
    }

    fn probes(&self) -> &'static [Act] {
        &[Act::ReadUndeclared, Act::ExecuteUndeclared]
    }

    fn read_back(&self, _: &Readings) -> Result<BTreeMap<String, String>, Refusal> {
        // The kernel has no way to ask a process for its Landlock domain: the probes are the proof.
        Ok(BTreeMap::from([
            entry("abi", self.abi),
            entry("ports", self.ports.len()),
            entry("rules", self.rules.len()),
        ]))
    }
}
