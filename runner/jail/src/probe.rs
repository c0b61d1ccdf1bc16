//! What this machine can hold, found by trying it: for `agentrc doctor`. Nothing here is read from a version number, and
//! nothing here decides a run: a launch tries for itself, and refuses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use agentfile::plan::{Egress, Origin};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::cgroup::{Hierarchy, controllers};
use crate::layer::Layer as _;
use crate::layer::network::Network;
use crate::refusal::describe;
use crate::sys::process::{Cloned, clone_into, exit, wait};
use crate::sys::{kernel, mount};

/// Addresses that are nobody's (RFC 5737, RFC 3849).
const DOCUMENTATION: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// What a feature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// No run without it.
    Required,
    /// `BIND … copy` needs it.
    Copies,
    /// `LIMIT memory`, `pids`, `cpu` and `SLICE` need it.
    Limits,
    /// `URL` lines need it, or those with such an address.
    Destinations,
    /// Makes a second lock stronger, or is one more.
    Stronger,
}

/// One feature, probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Stable name: `user-namespaces`, `landlock`, …
    pub name: &'static str,
    /// Whether it works.
    pub present: bool,
    /// What was seen: a number, or the kernel's answer.
    pub detail: String,
    /// What it is for.
    pub need: Need,
}

/// Probes everything. The process must have a single thread.
#[must_use]
pub fn probe(scratch: &Path) -> Vec<Feature> {
    let mut features =
        vec![user_namespaces(), namespaced_mounts(), mount_attributes(), landlock(), seccomp(), pidfd()];
    features.extend(landlock_parts());
    features.extend(network());
    features.push(overlay(scratch));
    features.extend(cgroup());
    features
}

fn feature(name: &'static str, need: Need, result: Result<String, Errno>) -> Feature {
    match result {
        Ok(detail) => Feature { name, present: true, detail, need },
        Err(errno) => Feature { name, present: false, detail: describe(errno), need },
    }
}

/// Runs `act` in a child with the given new namespaces, in which the user is mapped; returns its errno.
fn inside(flags: libc::c_int, act: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
    match clone_into(u64::from(flags.unsigned_abs()), None)? {
        Cloned::Child => match act() {
            Ok(()) => exit(0),
            // 255 fits every errno that matters here.
            Err(errno) => exit(errno.raw_os_error().clamp(1, 255)),
        },
        Cloned::Parent { pid, .. } => {
            let status = wait(pid, true)?.ok_or(Errno::CHILD)?.status;
            match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
                (true, 0) => Ok(()),
                (true, code) => Err(Errno::from_raw_os_error(code)),
                _ => Err(Errno::INTR),
            }
        }
    }
}

/// The caller's own ids.
fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Maps the user and the group to themselves, as a launch does: without the group, nothing that belongs to it can be
/// written, and an overlay cannot be made.
fn map_user(uid: u32, gid: u32) -> Result<(), Errno> {
    let write = |path: &std::ffi::CStr, text: &[u8]| {
        let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, text).map(drop)
    };
    let map = |path: &std::ffi::CStr, id: u32| {
        let mut text = [0_u8; 32];
        let number = rustix::path::DecInt::new(id);
        let map = number.as_bytes().iter().chain(b" ").chain(number.as_bytes()).chain(b" 1\n");
        let mut length = 0;
        for (to, from) in text.iter_mut().zip(map) {
            *to = *from;
            length += 1;
        }
        write(path, text.get(..length).unwrap_or_default())
    };
    write(c"/proc/self/setgroups", b"deny")?;
    map(c"/proc/self/uid_map", uid)?;
    map(c"/proc/self/gid_map", gid)
}

fn user_namespaces() -> Feature {
    let (uid, gid) = ids();
    let all = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWCGROUP;
    feature(
        "user-namespaces",
        Need::Required,
        inside(all, || map_user(uid, gid)).map(|()| "all seven namespaces".to_owned()),
    )
}

/// AppArmor's restriction (Ubuntu 24.04) lets the namespace be made, and takes its capabilities away.
fn namespaced_mounts() -> Feature {
    let (uid, gid) = ids();
    let result = inside(libc::CLONE_NEWUSER | libc::CLONE_NEWNS, || {
        map_user(uid, gid)?;
        tmpfs().map(drop)
    });
    feature("namespaced-mounts", Need::Required, result.map(|()| "tmpfs in a user namespace".to_owned()))
}

fn tmpfs() -> Result<std::os::fd::OwnedFd, Errno> {
    let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NOSUID)
}

fn mount_attributes() -> Feature {
    use std::os::fd::AsFd;
    let (uid, gid) = ids();
    let result = inside(libc::CLONE_NEWUSER | libc::CLONE_NEWNS, || {
        map_user(uid, gid)?;
        mount::set_attributes(tmpfs()?.as_fd(), mount::READ_ONLY, true)
    });
    feature("mount-attributes", Need::Required, result.map(|()| "mount_setattr(2)".to_owned()))
}

fn landlock() -> Feature {
    feature("landlock", Need::Required, kernel::landlock_abi().map(|abi| format!("ABI {abi}")))
}

/// What each newer Landlock ABI adds to the second lock.
fn landlock_parts() -> Vec<Feature> {
    let abi = kernel::landlock_abi().unwrap_or(0);
    [
        ("landlock-rename", 2, "renaming between declared folders"),
        ("landlock-truncate", 3, "truncating files"),
        ("landlock-tcp", 4, "TCP ports"),
        ("landlock-ioctl", 5, "ioctl on devices"),
        ("landlock-scopes", 6, "signals and abstract sockets"),
    ]
    .into_iter()
    .map(|(name, since, what)| Feature {
        name,
        present: abi >= since,
        detail: format!("{what}: ABI {since}, this kernel has {abi}"),
        need: Need::Stronger,
    })
    .collect()
}

/// Makes what a run with `URL` lines has in its network namespace: addresses that stand for names, and sockets on them.
/// With a destination of IPv6 that must work, too (the layer does without it only where none is declared).
fn network() -> [Feature; 2] {
    let (uid, gid) = ids();
    let made = |host: IpAddr| {
        let destination = Egress {
            scheme: "tcp".to_owned(),
            host: host.to_string(),
            port: 443,
            path: None,
            agent: true,
            terminate_tls: false,
            origin: Origin::builtin("doctor"),
        };
        let layer = Network::prepare(&[destination]);
        inside(libc::CLONE_NEWUSER | libc::CLONE_NEWNET, || {
            map_user(uid, gid)?;
            layer.apply().map_err(|failure| failure.errno)
        })
    };
    let (four, six) = (made(DOCUMENTATION.0.into()), made(DOCUMENTATION.1.into()));
    let what = |of: &str| format!("{of} addresses for destinations in a network namespace");
    [
        feature("network", Need::Destinations, four.map(|()| what("IPv4"))),
        feature("network-ipv6", Need::Destinations, six.map(|()| what("IPv6"))),
    ]
}

fn seccomp() -> Feature {
    let result = kernel::seccomp_action_available(libc::SECCOMP_RET_KILL_PROCESS);
    feature("seccomp", Need::Required, result.map(|()| "filters".to_owned()))
}

fn pidfd() -> Feature {
    let result = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    feature("pidfd", Need::Required, result.map(|_| "pidfd_open(2)".to_owned()))
}

/// Makes a real overlay in a user namespace, with its upper layer in `scratch` (the state directory).
fn overlay(scratch: &Path) -> Feature {
    use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen};
    let (uid, gid) = ids();
    let folder = scratch.join(format!("probe-{}", std::process::id()));
    let made =
        ["", "lower", "upper", "work"].iter().try_for_each(|part| std::fs::create_dir(folder.join(part)));
    let result = match made {
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        Ok(()) => inside(libc::CLONE_NEWUSER | libc::CLONE_NEWNS, || {
            map_user(uid, gid)?;
            rustix::process::chdir(&folder)?;
            let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_flag(&context, c"userxattr")?;
            for (key, value) in [(c"lowerdir", c"lower"), (c"upperdir", c"upper"), (c"workdir", c"work")] {
                fsconfig_set_string(&context, key, value)?;
            }
            fsconfig_create(&context)?;
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map(drop)
        }),
    };
    // overlayfs leaves `work/work` behind, with no permission bits.
    let _ = rustix::fs::chmod(folder.join("work/work"), Mode::from_raw_mode(0o700));
    let _ = std::fs::remove_dir_all(&folder);
    feature("overlay", Need::Copies, result.map(|()| "in a user namespace".to_owned()))
}

/// Where the run's cgroup would be made, and which controllers it would have.
fn cgroup() -> Vec<Feature> {
    let root = rustix::process::geteuid().is_root();
    let place = Hierarchy::find().ok().flatten().map(|found| if root { found.mount } else { found.own });
    let offered = place.as_deref().map(controllers).unwrap_or_default();
    let delegated = place.as_deref().is_some_and(|place| {
        rustix::fs::access(place.join("cgroup.subtree_control"), rustix::fs::Access::WRITE_OK).is_ok()
    });
    let shown =
        place.map_or_else(|| "cgroup v2 is not mounted".to_owned(), |place| place.display().to_string());
    let mut features = vec![Feature {
        name: "cgroup-delegation",
        present: delegated,
        detail: shown.clone(),
        need: Need::Limits,
    }];
    for (name, controller) in [("cgroup-memory", "memory"), ("cgroup-pids", "pids"), ("cgroup-cpu", "cpu")] {
        features.push(Feature {
            name,
            present: delegated && offered.iter().any(|one| one == controller),
            detail: format!("controller `{controller}` in {shown}"),
            need: Need::Limits,
        });
    }
    features
}
/// Whether Landlock has rules on TCP here (ABI 4).
#[must_use]
pub fn landlock_holds_tcp() -> bool {
    kernel::landlock_abi().is_ok_and(|abi| abi >= 4)
}
