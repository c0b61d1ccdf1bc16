//! Layer 1: the sandbox's own user, mount, pid, ipc, uts, net and cgroup namespaces (namespaces(7)). The clone itself is
//! the supervisor's (`launch.rs`); here are the user map, the host name and the end of mount propagation.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;

use agentfile::plan::Namespace;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountPropagationFlags;

use super::{Layer, entry};
use crate::prove::{Act, NAMESPACE_FILES, Readings};
use crate::refusal::Refusal;
use crate::step::{Failure, Step, run};
use crate::sys::kernel;

/// CLONE_NEW* and its file in `/proc/PID/ns`, for each kind.
const KINDS: &[(Namespace, libc::c_int, &str)] = &[
    (Namespace::User, libc::CLONE_NEWUSER, "user"),
    (Namespace::Mount, libc::CLONE_NEWNS, "mnt"),
    (Namespace::Pid, libc::CLONE_NEWPID, "pid"),
    (Namespace::Ipc, libc::CLONE_NEWIPC, "ipc"),
    (Namespace::Uts, libc::CLONE_NEWUTS, "uts"),
    (Namespace::Net, libc::CLONE_NEWNET, "net"),
    (Namespace::Cgroup, libc::CLONE_NEWCGROUP, "cgroup"),
];

/// What init writes to become itself in the new user namespace.
pub(crate) struct Namespaces {
    flags: u64,
    wanted: Vec<&'static str>,
    uid_map: String,
    gid_map: String,
    hostname: CString,
    /// The supervisor's own, to be different from: file name, inode number.
    outside: Vec<(&'static str, u64)>,
}

impl Namespaces {
    /// Maps the caller's own user and group, and nobody else, to themselves.
    pub(crate) fn prepare(kinds: &[Namespace], hostname: &str) -> Result<Self, Refusal> {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let mut flags = 0;
        let mut wanted = Vec::new();
        for (kind, flag, file) in KINDS {
            if kinds.contains(kind) {
                flags |= u64::from(flag.unsigned_abs());
                wanted.push(*file);
            }
        }
        let outside = wanted
            .iter()
            .map(|file| {
                let stat = rustix::fs::stat(format!("/proc/self/ns/{file}"))
                    .map_err(|errno| Refusal::kernel(Step::Clone, &format!("/proc/self/ns/{file}"), errno))?;
                Ok((*file, stat.st_ino))
            })
            .collect::<Result<_, Refusal>>()?;
        Ok(Self {
            flags,
            wanted,
            uid_map: format!("{uid} {uid} 1\n"),
            gid_map: format!("{gid} {gid} 1\n"),
            hostname: CString::new(hostname)
                .map_err(|_| Refusal::new(Step::Hostname, "the agent's name has a NUL byte"))?,
            outside,
        })
    }

    /// Flags for clone3(2).
    pub(crate) fn flags(&self) -> u64 {
        self.flags
    }

    /// In init, while the host's `/proc` is there: its user and its mount namespace.
    pub(crate) fn open(&self) -> Result<[OwnedFd; 2], Failure> {
        let open = |item, path: &'static std::ffi::CStr| {
            run(Step::NamespaceFile, item, || {
                rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            })
        };
        Ok([open(0, c"/proc/self/ns/user")?, open(1, c"/proc/self/ns/mnt")?])
    }

    /// For another process that has joined the sandbox's user namespace: of all the other kinds that the plan has, one of its
    /// own, under the same host name; and of processes, mounts, IPC and network in any case.
    pub(crate) fn apply_again(&self) -> Result<(), Failure> {
        let least = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;
        let user = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
        let flags = (self.flags & !user) | u64::from(least.unsigned_abs());
        run(Step::ToolNamespaces, 1, || crate::sys::process::unshare(flags))?;
        if flags & u64::from(libc::CLONE_NEWUTS.unsigned_abs()) != 0 {
            run(Step::Hostname, 1, || kernel::set_hostname(self.hostname.as_bytes()))?;
        }
        Ok(())
    }

    /// The supervisor's own.
    pub(crate) fn outside(&self) -> &[(&'static str, u64)] {
        &self.outside
    }
}

/// Writes the whole of `text` with one write(2), as the map files demand.
fn write(path: &std::ffi::CStr, text: &str) -> Result<(), rustix::io::Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::io::write(&file, text.as_bytes())? {
        written if written == text.len() => Ok(()),
        _ => Err(rustix::io::Errno::IO),
    }
}

impl Layer for Namespaces {
    fn name(&self) -> &'static str {
        "namespaces"
    }

    fn apply(&self) -> Result<(), Failure> {
        // A process without privilege over its parent namespace may map its own ids only, and its group only once
        // setgroups(2) is denied for good (user_namespaces(7)).
        run(Step::UserMap, 0, || write(c"/proc/self/uid_map", &self.uid_map))?;
        run(Step::UserMap, 1, || write(c"/proc/self/setgroups", "deny"))?;
        run(Step::UserMap, 2, || write(c"/proc/self/gid_map", &self.gid_map))?;
        run(Step::Hostname, 0, || kernel::set_hostname(self.hostname.as_bytes()))?;
        run(Step::PrivateMounts, 0, || {
            rustix::mount::mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        })
    }

    fn probes(&self) -> &'static [Act] {
        &[Act::SignalSupervisor, Act::ConnectAbstract]
    }

    fn read_back(&self, readings: &Readings) -> Result<BTreeMap<String, String>, Refusal> {
        let mut own = BTreeMap::new();
        for (file, inode) in NAMESPACE_FILES.iter().zip(&readings.namespaces) {
            let file = file.to_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            if !self.wanted.contains(&file) {
                continue;
            }
            if *inode == 0 || self.outside.iter().any(|(name, outside)| *name == file && outside == inode) {
                return Err(Refusal::new(
                    Step::ReadBack,
                    format!("the agent's {file} namespace is the host's own"),
                ));
            }
            own.insert(file.to_owned(), inode.to_string());
        }
        if own.len() != self.wanted.len() {
            return Err(Refusal::new(Step::ReadBack, "not every namespace of the plan was read back"));
        }
        own.extend([entry("Uid", readings.status("Uid")?), entry("NSpid", readings.status("NSpid")?)]);
        Ok(own)
    }
}
