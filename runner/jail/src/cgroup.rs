//! The run's cgroup (cgroup v2, Documentation/admin-guide/cgroup-v2.rst): made when the plan has limits that need
//! controllers, and for the egress filter. As root it lies under `agentrc` in the hierarchy's root; as an ordinary user in the cgroup that the service
//! manager delegated (`systemd-run --user --scope -p Delegate=yes`). Without the controllers: a refusal.

mod hierarchy;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentfile::plan::CgroupLimit;
use rustix::fs::{Access, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

pub(crate) use self::hierarchy::{Hierarchy, controllers};
use crate::refusal::Refusal;
use crate::step::{Step, run};

/// What the names of runs' cgroups begin with.
const PREFIX: &str = "agentrc-";
/// Below the hierarchy's root, what root's runs are in. The last one removes it.
const PARENT: &str = "agentrc";
/// How long what others remove at the same moment is made again.
const RIVALS: Duration = Duration::from_secs(5);

/// The run's cgroup. Dropping it kills what is still in it, and removes it.
pub(crate) struct Cgroup {
    path: PathBuf,
    directory: OwnedFd,
    /// Where the supervisor was moved to, to make room. Dropped after the cgroup itself is removed.
    moved: Option<Moved>,
}

/// The supervisor in a leaf of its own; dropping it moves it back.
struct Moved {
    leaf: PathBuf,
    own: PathBuf,
}

impl Drop for Moved {
    fn drop(&mut self) {
        let enabled = std::fs::read_to_string(self.own.join("cgroup.subtree_control")).unwrap_or_default();
        let disable: Vec<_> = enabled.split_whitespace().map(|controller| format!("-{controller}")).collect();
        // Whatever of this fails, the service manager removes the scope with all that is in it.
        drop(std::fs::write(self.own.join("cgroup.subtree_control"), disable.join(" ")));
        for pid in std::fs::read_to_string(self.leaf.join("cgroup.procs")).unwrap_or_default().lines() {
            drop(std::fs::write(self.own.join("cgroup.procs"), pid));
        }
        drop(std::fs::remove_dir(&self.leaf));
    }
}

/// What has happened in a cgroup so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Processes killed because `memory.max` was reached.
    pub(crate) oom_kills: u64,
    /// Forks refused because `pids.max` was reached.
    pub(crate) forks_refused: u64,
}

/// How to get a cgroup with the controllers.
fn way_out() -> &'static str {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // The controllers that version 1 has are not version 2's.
    let first = mounts
        .lines()
        .any(|line| line.split_once(" - ").is_some_and(|(_, kind)| kind.starts_with("cgroup ")));
    if first {
        "the controllers are those of cgroup v1 on this machine: boot with `systemd.unified_cgroup_hierarchy=1` (`agentrc doctor` says how)"
    } else if rustix::process::geteuid().is_root() {
        "this kernel, or the container that this is, does not offer the controller: `agentrc doctor` says what it has"
    } else {
        "run it as `systemd-run --user --scope -p Delegate=yes agentrc run …`, or as root"
    }
}

impl Cgroup {
    /// Makes the cgroup and writes the limits. `wanted`: even without limits, where there is cgroup v2. `None`: there is
    /// no reason for one.
    pub(crate) fn create(limits: &[CgroupLimit], wanted: bool, name: &str) -> Result<Option<Self>, Refusal> {
        if limits.is_empty() && !wanted {
            return Ok(None);
        }
        let refuse = |reason: String| {
            let refusal = Refusal::new(Step::Cgroup, reason);
            limits.first().map_or(refusal.clone(), |limit| refusal.at(&limit.origin))
        };
        run(Step::Cgroup, 0, || Ok(()))?;
        let found = Hierarchy::find()
            .map_err(|error| refuse(format!("could not read `/proc/self/mountinfo`: {error}")))?;
        let Some(hierarchy) = found else {
            let needed = || refuse("this limit needs cgroup v2, and none is mounted here".to_owned());
            return if limits.is_empty() { Ok(None) } else { Err(needed()) };
        };
        let base = if rustix::process::geteuid().is_root() { &hierarchy.mount } else { &hierarchy.own };
        let offered = controllers(base);
        for limit in limits {
            if !offered.contains(&limit.controller) {
                let refusal = Refusal::new(
                    Step::Cgroup,
                    format!(
                        "`{}` needs the cgroup controller `{}`, and `{}` does not have it",
                        limit.file,
                        limit.controller,
                        base.display()
                    ),
                );
                return Err(refusal.at(&limit.origin).help(way_out()));
            }
        }
        let mut wanted: Vec<_> = limits.iter().map(|limit| format!("+{}", limit.controller)).collect();
        wanted.sort();
        wanted.dedup();
        let wanted = wanted.join(" ");
        let unable = |error: std::io::Error| {
            refuse(format!("could not enable {wanted} in `{}`: {error}", base.display())).help(way_out())
        };
        let (parent, moved) = if rustix::process::geteuid().is_root() {
            (base.join(PARENT), None)
        } else {
            if rustix::fs::access(base.join("cgroup.subtree_control"), Access::WRITE_OK).is_err() {
                return Err(refuse(format!("the cgroup `{}` is not delegated to this user", base.display()))
                    .help(way_out()));
            }
            (base.clone(), Some(Self::below_own(base, &wanted).map_err(unable)?))
        };
        let shared = moved.is_none();
        sweep(&parent);
        let again = || match rustix::fs::mkdir(&parent, Mode::from_raw_mode(0o755)) {
            // One that others have made, too, is there.
            Err(Errno::EXIST) => Ok(()),
            made => made,
        };
        let path = parent.join(format!("{PREFIX}{name}"));
        let directory = run(Step::Cgroup, 1, || {
            if shared {
                again()?;
            }
            make(&path, || if shared { again() } else { Err(Errno::NOENT) })
        });
        let directory = directory.map_err(|failure| {
            if shared {
                drop(std::fs::remove_dir(&parent));
            }
            Refusal::kernel(failure.step, &path.display().to_string(), failure.errno)
        })?;
        let cgroup = Self { path, directory, moved };
        if shared {
            // Now that there is something in it, nobody removes it.
            Self::below_root(base, &parent, &wanted).map_err(unable)?;
        }
        for limit in limits {
            cgroup.limit(limit)?;
        }
        Ok(Some(cgroup))
    }

    /// The hierarchy's root may hold processes and children with controllers both; nothing has to be moved.
    fn below_root(root: &Path, parent: &Path, wanted: &str) -> std::io::Result<()> {
        std::fs::write(root.join("cgroup.subtree_control"), wanted)?;
        std::fs::write(parent.join("cgroup.subtree_control"), wanted)
    }

    /// A delegated cgroup must be empty to give controllers to children: the supervisor, alone in it but for its own
    /// services, moves to a leaf.
    fn below_own(own: &Path, wanted: &str) -> std::io::Result<Moved> {
        let inside = std::fs::read_to_string(own.join("cgroup.procs"))?;
        let alone = std::process::id().to_string();
        let ours: Vec<&str> = inside.lines().filter(|pid| *pid == alone || is_child(pid)).collect();
        if inside.lines().count() > ours.len() {
            return Err(std::io::Error::other("other processes are in it"));
        }
        let leaf = own.join("agentrc-supervisor");
        match std::fs::create_dir(&leaf) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let moved = Moved { leaf, own: own.to_owned() };
        for pid in ours {
            std::fs::write(moved.leaf.join("cgroup.procs"), pid)?;
        }
        std::fs::write(own.join("cgroup.subtree_control"), wanted)?;
        Ok(moved)
    }

    fn limit(&self, limit: &CgroupLimit) -> Result<(), Refusal> {
        let file = self.path.join(&limit.file);
        let failed = |errno| {
            let subject = format!("{} = {}", limit.file, limit.value);
            Refusal::kernel(Step::CgroupLimit, &subject, errno).at(&limit.origin)
        };
        run(Step::CgroupLimit, 0, || {
            std::fs::write(&file, &limit.value)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
        .or_else(|failure| {
            // Without swap accounting there is no such file; without swap there is nothing that it would bound.
            let no_swap =
                std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() <= 1);
            let harmless = limit.file == "memory.swap.max" && failure.errno == Errno::NOENT && no_swap;
            if harmless { Ok(()) } else { Err(failed(failure.errno)) }
        })
    }

    /// Moves a process into it.
    pub(crate) fn enter(&self, pid: i32) -> Result<(), Errno> {
        std::fs::write(self.path.join("cgroup.procs"), pid.to_string())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// For CLONE_INTO_CGROUP.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// What the kernel holds the limits to be, for the evidence: a value that is not as written, or init (`pid`) not in it,
    /// is a refusal.
    pub(crate) fn read_back(
        &self,
        limits: &[CgroupLimit],
        pid: i32,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let read = |file: &str| {
            std::fs::read_to_string(self.path.join(file)).map_err(|error| {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                Refusal::kernel(Step::ReadBack, file, errno)
            })
        };
        if !read("cgroup.procs")?.lines().any(|line| line == pid.to_string()) {
            return Err(Refusal::new(Step::ReadBack, "the sandbox is not in its cgroup"));
        }
        let mut seen = BTreeMap::new();
        for limit in limits {
            if limit.file == "memory.swap.max" && !self.path.join(&limit.file).exists() {
                seen.insert(limit.file.clone(), "no swap".to_owned());
                continue;
            }
            let value = read(&limit.file)?.trim().to_owned();
            if !holds(&limit.value, &value, limit.controller == "memory") {
                let reason = format!("`{}` is `{value}`, and `{}` was written", limit.file, limit.value);
                return Err(Refusal::new(Step::ReadBack, reason).at(&limit.origin));
            }
            seen.insert(limit.file.clone(), value);
        }
        Ok(seen)
    }

    /// What has happened in it so far.
    pub(crate) fn counts(&self) -> Counts {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(self.path.join(file)).unwrap_or_default();
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            value.unwrap_or(0)
        };
        Counts { oom_kills: field("memory.events", "oom_kill "), forks_refused: field("pids.events", "max ") }
    }
}

/// Whether a process is one of the supervisor's own services.
fn is_child(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.is_some_and(|parent| parent.trim() == std::process::id().to_string())
}

/// Makes the folder, and holds its lock as long as it is open: the mark of a supervisor that lives.
/// `again` makes the one that it is in, which the last run that had it removes.
fn make(path: &Path, again: impl Fn() -> Result<(), Errno>) -> Result<OwnedFd, Errno> {
    let deadline = Instant::now() + RIVALS;
    loop {
        match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                if let Some(directory) = locked(path) {
                    return Ok(directory);
                }
            }
            Err(Errno::NOENT | Errno::NODEV) => again()?,
            // Whoever took the last one for left has not removed it yet.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        if Instant::now() >= deadline {
            return Err(Errno::BUSY);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The folder that is there, with its lock, if nobody else has that: another launch takes one that is not locked for one that was left.
fn locked(path: &Path) -> Option<OwnedFd> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, how, Mode::empty()).ok()?;
    rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
    let (there, own) = (rustix::fs::stat(path).ok()?, rustix::fs::fstat(&directory).ok()?);
    (there.st_ino == own.st_ino).then_some(directory)
}

/// Removes what supervisors left that were killed: nobody holds their locks, and the kernel removes no cgroup with a
/// process in it.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        if let Some(_lock) = locked(&entry.path()) {
            // One that is not empty is somebody else's affair.
            drop(std::fs::remove_dir(entry.path()));
        }
    }
}

/// Whether `found` is what was `written`: the kernel rounds `bytes` down to whole pages.
fn holds(written: &str, found: &str, bytes: bool) -> bool {
    const PAGE: u64 = 64 << 10; // the largest page of any architecture here
    let rounded = |text: &str| text.parse::<u64>().ok();
    written == found
        || bytes
            && rounded(written)
                .zip(rounded(found))
                .is_some_and(|(written, found)| found <= written && written - found < PAGE)
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Everything in it has died with its pid namespace; cgroup.kill (5.14) is for what has not been reaped yet.
        drop(std::fs::write(self.path.join("cgroup.kill"), "1"));
        // As long as the sandbox is waited for: on a busy machine its processes take a while to be gone.
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::fs::remove_dir(&self.path).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        if self.moved.is_none() {
            // One that others are in stays.
            drop(self.path.parent().map(std::fs::remove_dir));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_the_kernel_did_not_take_is_noticed() {
        assert!(holds("100000 100000", "100000 100000", true));
        assert!(holds("1000000", "999424", true), "rounded down to pages");
        assert!(!holds("1000000", "1003520", true));
        assert!(!holds("1000000", "max", true));
        assert!(!holds("64", "", true));
        assert!(!holds("64", "63", false));
    }
}
