//! Processes of a sandbox as the host's `/proc` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// All process ids of the host.
pub fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The command line of a process; empty when it is gone.
pub fn command(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

/// A process and everything that descends from it, parents first.
pub fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&above) = found.get(next) {
        found.extend(children(above));
        next += 1;
    }
    found
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let own = format!("/proc/{}/task/{0}/children", std::process::id());
    if fs::metadata(own).is_err() {
        // A kernel without CONFIG_PROC_CHILDREN: ask everyone for their parent.
        return all().into_iter().filter(|other| parent(*other) == Some(pid)).collect();
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// From `/proc/PID/stat`, which costs a tenth of `status`: this is asked of every process of the host, for every attempt.
fn parent(pid: u32) -> Option<u32> {
    stat_field(pid, 4)
}

/// A field of `/proc/PID/stat` after the program's name, numbered from 1 as in proc_pid_stat(5).
fn stat_field<T: std::str::FromStr>(pid: u32, number: usize) -> Option<T> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, is in parentheses, and may have spaces and parentheses itself.
    stat.rsplit_once(')')?.1.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// `/proc/PID/status` by field.
pub fn status(pid: u32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
        .collect()
}

/// The process ids that a process has, one per namespace, outermost first.
pub fn pids_in_namespaces(pid: u32) -> Vec<u32> {
    status(pid)
        .get("NSpid")
        .map(String::as_str)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect()
}

/// The gateway among a supervisor's descendants: the one that is in no pid namespace below the supervisor's.
#[track_caller]
pub fn gateway(supervisor: u32) -> u32 {
    let depth = |pid: u32| pids_in_namespaces(pid).len();
    let found =
        tree(supervisor).into_iter().find(|pid| *pid != supervisor && depth(*pid) == depth(supervisor));
    found.expect("the gateway")
}

/// The hard limit of a process's memory, in bytes (RLIMIT_DATA).
pub fn most_memory(pid: u32) -> Option<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max data size"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Most memory that a process ever held, in KiB.
#[track_caller]
pub fn peak(pid: u32) -> u64 {
    let status = status(pid);
    let field = status.get("VmHWM").and_then(|text| text.split(' ').next()).expect("VmHWM");
    field.parse().expect("a number")
}

/// What a process has at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Descriptors: number and what they are.
    pub descriptors: BTreeMap<u32, String>,
    /// Namespaces, of the process and of the children it will have.
    pub namespaces: BTreeMap<String, String>,
    /// `/proc/PID/mountinfo`.
    pub mounts: String,
    /// `/proc/PID/status`.
    pub status: BTreeMap<String, String>,
    /// `/proc/PID/personality`.
    pub personality: String,
    /// `/proc/PID/limits`.
    pub limits: String,
    /// `/proc/PID/{root,cwd}`.
    pub places: (Option<PathBuf>, Option<PathBuf>),
    /// Nice value, as in `/proc/PID/stat`.
    pub nice: Option<i32>,
}

impl Holding {
    /// What a process has now.
    pub fn of(pid: u32) -> Self {
        let text = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        Self {
            descriptors: links(&format!("/proc/{pid}/fd"))
                .into_iter()
                .filter_map(|(k, v)| Some((k.parse().ok()?, v)))
                .collect(),
            namespaces: links(&format!("/proc/{pid}/ns")),
            mounts: text("mountinfo"),
            status: status(pid),
            personality: text("personality"),
            limits: text("limits"),
            places: (
                fs::read_link(format!("/proc/{pid}/root")).ok(),
                fs::read_link(format!("/proc/{pid}/cwd")).ok(),
            ),
            nice: nice(pid),
        }
    }

    /// Namespaces that `self` is in and `other` is not.
    pub fn namespaces_beyond(&self, other: &Self) -> BTreeSet<String> {
        self.namespaces.values().filter(|ns| !other.namespaces.values().any(|o| o == *ns)).cloned().collect()
    }
}

/// The nice value of a process.
pub fn nice(pid: u32) -> Option<i32> {
    stat_field(pid, 19)
}

fn links(folder: &str) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let to = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), to.to_string_lossy().into_owned()))
        })
        .collect()
}
