//! A cgroup of the test's own, and a child in it that tries things. Started by an ordinary user, there is no cgroup to
//! make: [`lab`] then checks what such a user gets instead.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use agentrc_ebpf::{Allowed, Event, Filter, Hook, Protocol, Support, support};

pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/attempt.py");

/// A cgroup that is removed with the value.
pub(crate) struct Lab {
    pub(crate) path: PathBuf,
    pub(crate) directory: OwnedFd,
}

/// As root, a cgroup. As an ordinary user, `None`, after it was seen that no filter is to be had and why.
pub(crate) fn lab() -> Option<Lab> {
    if !rustix::process::geteuid().is_root() {
        without_privilege();
        return None;
    }
    assert_eq!(support(), Support::Available, "root can load eBPF on this machine");
    Some(Lab::new())
}

/// What an ordinary user gets.
pub(crate) fn without_privilege() {
    let Support::Unavailable { reason } = support() else { panic!("an ordinary user can load eBPF here") };
    assert!(reason.contains("CAP_BPF") || reason.contains("no cgroup v2"), "{reason}");
    let here = std::fs::File::open("/").unwrap();
    assert!(Filter::attach(here.as_fd(), &[], false).is_err(), "no filter without privilege");
}

impl Lab {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts
            .lines()
            .filter(|line| line.contains(" - cgroup2 "))
            .find_map(|line| line.split(' ').nth(4));
        let name =
            format!("agentrc-ebpf-test.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(mount.expect("cgroup v2 is mounted")).join(name);
        std::fs::create_dir(&path).unwrap();
        let directory = std::fs::File::open(&path).unwrap().into();
        Self { path, directory }
    }

    pub(crate) fn filter(&self, allowed: &[Allowed]) -> Filter {
        Filter::attach(self.directory.as_fd(), allowed, true).unwrap()
    }

    /// The acts of `attempt.py` by a child in the cgroup.
    pub(crate) fn command(&self, acts: &[&str]) -> Command {
        let mut command = Command::new("python3");
        command.arg(SCRIPT).args(acts).env("CGROUP", &self.path);
        command
    }

    /// One answer for each act.
    pub(crate) fn attempt(&self, acts: &[&str]) -> Vec<String> {
        answers(&self.command(acts).output().unwrap())
    }

    /// The same in a network namespace of the child's own.
    pub(crate) fn attempt_apart(&self, acts: &[&str]) -> Vec<String> {
        answers(&self.command(acts).env("NAMESPACE", "1500").output().unwrap())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The last child was waited for; the kernel may need a moment to take it out.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("{} stays", self.path.display());
    }
}

pub(crate) fn answers(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

/// What `attempt.py` answers to something that it does outside of any cgroup.
pub(crate) fn outside(arguments: &[&str]) -> Vec<String> {
    answers(&Command::new("python3").arg(SCRIPT).args(arguments).output().unwrap())
}

/// The acts of `attempt.py` in a network namespace of its own, and in no cgroup of ours.
pub(crate) fn outside_apart(acts: &[&str]) -> Vec<String> {
    answers(&Command::new("python3").arg(SCRIPT).args(acts).env("NAMESPACE", "1500").output().unwrap())
}

pub(crate) fn events(filter: &mut Filter) -> Vec<Event> {
    let mut all = Vec::new();
    filter.events(|event| all.push(event)).unwrap();
    all
}

/// The denials, without the sockets that were made.
pub(crate) fn denied(events: &[Event]) -> Vec<(Hook, Option<SocketAddr>, u16)> {
    let denials =
        events.iter().filter(|event| !matches!(event.verdict, agentrc_ebpf::Verdict::Allowed { .. }));
    denials.map(|event| (event.hook, event.destination, event.protocol)).collect()
}

pub(crate) fn rule(protocol: Protocol, address: &str, prefix: u8, port: impl Into<Option<u16>>) -> Allowed {
    Allowed { protocol, address: address.parse().unwrap(), prefix, port: port.into() }
}

pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

/// Ids of the filter's programs, from its evidence.
pub(crate) fn programs(filter: &Filter) -> Vec<String> {
    let evidence = filter.read_back().unwrap();
    evidence
        .values()
        .filter_map(|text| Some(text.strip_prefix("program ")?.split(' ').next()?.to_owned()))
        .collect()
}

/// Waits until none of the programs exists any more: the kernel frees them a moment after the last descriptor.
pub(crate) fn all_gone(ids: &[String]) -> bool {
    let arguments: Vec<_> = std::iter::once("exists").chain(ids.iter().map(String::as_str)).collect();
    (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        outside(&arguments).iter().all(|answer| answer == "ENOENT")
    })
}

/// Kills and waits.
pub(crate) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
