//! Whether this process can have a filter at all: asked before a run is admitted, answered by trying.

use rustix::io::Errno;

use crate::error::Error;
use crate::filter::{Maps, PLACES, load};
use crate::object::Object;

/// What [`support`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// Maps can be made and a program loaded.
    Available,
    /// They cannot.
    Unavailable {
        /// Why, as a clause for a message.
        reason: String,
    },
}

/// Numbers of linux/capability.h.
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// Makes the maps and loads one of the programs, attached to nothing, and drops them again: about half a millisecond.
#[must_use]
pub fn support() -> Support {
    match attempt() {
        Ok(()) => Support::Available,
        Err(reason) => Support::Unavailable { reason },
    }
}

fn attempt() -> Result<(), String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("`/proc/self/mountinfo` cannot be read: {error}"))?;
    if !has_cgroup2(&mounts) {
        return Err("no cgroup v2 is mounted".to_owned());
    }
    let tried = || -> Result<(), Error> {
        let object = Object::built_in()?;
        let maps = Maps::create(&object)?;
        let [place, ..] = &PLACES;
        load(&object, &maps, place).map(drop)
    };
    match tried() {
        Ok(()) => Ok(()),
        Err(Error::Map { errno: Errno::NOSYS, .. }) => Err("this kernel is built without bpf(2)".to_owned()),
        Err(error @ (Error::Map { errno: Errno::PERM, .. } | Error::Load { errno: Errno::PERM, .. })) => {
            let status = std::fs::read_to_string("/proc/self/status")
                .map_err(|error| format!("`/proc/self/status` cannot be read: {error}"))?;
            Err(match lacking(&status) {
                None => format!("{error}; and `/proc/self/status` does not say which are missing"),
                Some(lacking) if lacking.is_empty() => format!(
                    "bpf(2) is refused although this process has the capabilities: it is in a user namespace, or a container's \
                     seccomp filter or kernel lockdown forbids it ({error})"
                ),
                Some(lacking) => format!("this process lacks {}", lacking.join(", ")),
            })
        }
        // Whatever else fails, fails on a host that could have a filter: whoever attaches one meets it, and refuses.
        Err(_) => Ok(()),
    }
}

fn has_cgroup2(mountinfo: &str) -> bool {
    let mut kinds = mountinfo.lines().filter_map(|line| line.split_once(" - ")).map(|(_, kind)| kind);
    kinds.any(|kind| kind.starts_with("cgroup2 "))
}

/// The needed capabilities that are not among the effective ones. `None`: the line is not there.
fn lacking(status: &str) -> Option<Vec<&'static str>> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    Some(NEEDED.iter().filter(|(bit, _)| effective & (1 << bit) == 0).map(|(_, name)| *name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(lacking("CapEff:\t000001ffffffffff\n"), Some(vec![]));
        assert_eq!(lacking("CapEff:\t0000008000001000\n"), Some(vec!["CAP_PERFMON"]));
        assert_eq!(lacking("CapEff:\t0\n"), Some(vec!["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]));
        assert_eq!(lacking("Name: x\n"), None);
    }

    #[test]
    fn only_a_mount_of_version_2_counts() {
        assert!(has_cgroup2("41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n"));
        assert!(!has_cgroup2("41 31 0:38 / /mnt/cgroup2 rw - cgroup none rw,pids\n"));
    }
}
