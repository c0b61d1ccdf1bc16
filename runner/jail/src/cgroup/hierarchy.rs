//! Where cgroup v2 is on this machine, and what it offers.

use std::path::{Path, PathBuf};

/// Where cgroup v2 is mounted, and this process's own cgroup in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Mount point.
    pub(crate) mount: PathBuf,
    /// Own cgroup.
    pub(crate) own: PathBuf,
}

impl Hierarchy {
    /// From `/proc/self/mountinfo` and `/proc/self/cgroup`. `None`: there is no cgroup v2 here.
    pub(crate) fn find() -> std::io::Result<Option<Self>> {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self::parse(&mountinfo, &std::fs::read_to_string("/proc/self/cgroup")?))
    }

    fn parse(mountinfo: &str, own: &str) -> Option<Self> {
        let (root, mount) = mountinfo.lines().find_map(|line| {
            let (fields, kind) = line.split_once(" - ")?;
            let mut fields = fields.split(' ').skip(3);
            let (root, mount) = (fields.next()?, fields.next()?);
            kind.starts_with("cgroup2 ").then_some((root, mount))
        })?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let below = own.strip_prefix(root.trim_end_matches('/'))?.trim_start_matches('/');
        Some(Self { mount: mount.into(), own: Path::new(mount).join(below) })
    }
}

/// The controllers that a cgroup can give to its children.
pub(crate) fn controllers(cgroup: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(cgroup.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_in_hybrid_pure_and_namespaced_layouts() {
        let hybrid = "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n31 25 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let found = Hierarchy::parse(hybrid, "3:pids:/a\n0::/user.slice/x\n").unwrap();
        assert_eq!(found.mount, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(found.own, Path::new("/sys/fs/cgroup/unified/user.slice/x"));
        let pure = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
        assert_eq!(Hierarchy::parse(pure, "0::/\n").unwrap().own, Path::new("/sys/fs/cgroup/"));
        let below = "30 25 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(Hierarchy::parse(below, "0::/docker/x/y\n").unwrap().own, Path::new("/sys/fs/cgroup/y"));
        assert_eq!(Hierarchy::parse(below, "0::/elsewhere\n"), None);
        assert_eq!(Hierarchy::parse("1 0 8:1 / / rw - ext4 /dev/vda rw\n", "0::/\n"), None);
    }
}
