//! What a run may not leave behind: a process, a mount, a cgroup, a file, a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lab::Lab;
use crate::outcome::within;
use crate::outside;

/// The state of the host when a lab was made.
pub struct Before {
    temporary: BTreeSet<PathBuf>,
}

impl Before {
    /// Now.
    pub fn now(_lab: &Lab) -> Self {
        Self { temporary: temporary() }
    }

    /// Says that nothing of the lab's runs is left.
    #[track_caller]
    pub fn check(&self, lab: &Lab) {
        // The kernel takes apart a pid namespace after the supervisor has been reaped.
        let gone = within(Duration::from_secs(10), || processes(lab).is_empty());
        assert!(
            gone,
            "processes are left: {:?}",
            processes(lab).iter().map(|pid| describe(*pid)).collect::<Vec<_>>()
        );
        lab.run_again_if_killed();
        assert_eq!(mounts(lab), Vec::<String>::new(), "mounts are left");
        assert_eq!(cgroups(lab), Vec::<PathBuf>::new(), "cgroups are left");
        let fresh: Vec<_> = temporary().difference(&self.temporary).cloned().collect();
        assert!(fresh.is_empty(), "files are left in the host's temporary folders: {fresh:?}");
    }
}

/// Processes that belong to a lab: their program, a word of their command line or a mount of theirs lies in its folder.
pub fn processes(lab: &Lab) -> Vec<u32> {
    let mark = lab.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let own = std::process::id();
    outside::all().into_iter().filter(|pid| *pid != own && belongs(*pid, &mark)).collect()
}

fn belongs(pid: u32, mark: &str) -> bool {
    let has = |text: &[u8]| text.windows(mark.len()).any(|window| window == mark.as_bytes());
    let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).is_ok_and(|text| has(&text));
    let link = |name: &str| {
        fs::read_link(format!("/proc/{pid}/{name}")).is_ok_and(|to| has(to.as_os_str().as_encoded_bytes()))
    };
    link("exe") || link("cwd") || file("cmdline") || file("mountinfo")
}

fn describe(pid: u32) -> String {
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
    format!("{pid} {command}({})", outside::status(pid).get("State").cloned().unwrap_or_default())
}

/// Ends all of a lab's processes.
pub fn kill_all(lab: &Lab) {
    for pid in processes(lab) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
            // It may have ended by itself meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn mounts(lab: &Lab) -> Vec<String> {
    let mark = lab.path("").to_string_lossy().into_owned();
    let table = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    table
        .lines()
        .filter(|line| line.contains(&mark) || line.contains("agentrc/runs"))
        .map(str::to_owned)
        .collect()
}

/// cgroups named after one of the lab's runs.
fn cgroups(lab: &Lab) -> Vec<PathBuf> {
    let runs: Vec<_> =
        lab.runs().iter().filter_map(|run| Some(run.file_name()?.to_string_lossy().into_owned())).collect();
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), &mut |folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if runs.iter().any(|run| name.contains(run.as_str())) {
            found.push(folder.to_owned());
        }
    });
    found
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in
        entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        visit(&entry.path());
        walk(&entry.path(), visit);
    }
}

/// Things that carry our name where anyone may leave files. Other tests' labs come and go: they are not counted.
fn temporary() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for folder in ["/tmp", "/var/tmp", "/dev/shm", "/run"] {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("agentrc") && !name.starts_with("agentrc-test-") {
                found.insert(entry.path());
            }
        }
    }
    found
}

/// Everything below a folder: kind, mode, owner, links, time of change, text (or link), by relative path. Two that are equal
/// mean that nothing was changed: ctime moves with every change of contents, attributes or names.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    record(folder, folder, &mut found);
    found
}

fn record(root: &Path, path: &Path, into: &mut BTreeMap<PathBuf, String>) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    let content = if metadata.is_symlink() {
        format!("{:?}", fs::read_link(path).ok())
    } else if metadata.is_file() {
        format!("{:?}", fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    } else {
        String::new()
    };
    let line = format!(
        "{:o} {}:{} links {} blocks {} changed {}.{} {content}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        metadata.nlink(),
        metadata.blocks(),
        metadata.ctime(),
        metadata.ctime_nsec()
    );
    into.insert(path.strip_prefix(root).unwrap_or(path).to_owned(), line);
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
            record(root, &entry.path(), into);
        }
    }
}

/// The files beneath a folder that have a text in them, which is to be in none.
pub fn anywhere(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(anywhere(&path, text));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}
