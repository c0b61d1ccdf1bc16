//! As whom a test runs: root and an ordinary user when the tests are started as root, else the user who started them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::lab::Lab;

/// A user of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `root` or `user`, for messages.
    pub name: &'static str,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Whether its runs have the eBPF egress filter: root's, unless its host refuses bpf(2).
    pub filter: bool,
}

impl Identity {
    /// Whether it is the superuser.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// Whether the tests themselves run as root.
pub fn started_as_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Root, where the tests are root.
pub fn root() -> Option<Identity> {
    started_as_root().then_some(Identity { name: "root", uid: 0, gid: 0, filter: true })
}

/// Root on a host that lets nobody load eBPF programs, as container runtimes do by default.
fn root_without_filter() -> Option<Identity> {
    root().map(|root| Identity { name: "root without the filter", filter: false, ..root })
}

/// An ordinary user: the caller, or when that is root a user id without an account, so that nothing has to be made or
/// removed in `/etc`.
pub fn ordinary() -> Identity {
    if !started_as_root() {
        let uid = rustix::process::getuid().as_raw();
        return Identity { name: "user", uid, gid: rustix::process::getgid().as_raw(), filter: false };
    }
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let taken = |uid: u32| accounts.lines().any(|line| line.split(':').nth(2) == Some(&uid.to_string()));
    let uid = (61_337..62_337).find(|uid| !taken(*uid)).expect("a user id that no account has");
    Identity { name: "user", uid, gid: uid, filter: false }
}

/// Runs a test as every identity there is, each in a fresh [`Lab`], and checks afterwards that nothing is left.
///
/// `binary` is `env!("CARGO_BIN_EXE_agentrc")`: only a test of that package knows it. `AGENTRC_TEST_BINARY` names another
/// one, such as an installed release.
pub fn as_each(binary: &str, test: impl Fn(&Lab)) {
    as_all(binary, root().into_iter().chain([ordinary()]), test);
}

/// As [`as_each`], and as root on a host that does not let it load the eBPF egress filter: what holds the network must hold
/// on the other two locks alone. Each run's first event must say on which it stood.
pub fn as_each_and_without_filter(binary: &str, test: impl Fn(&Lab)) {
    let all = root().into_iter().chain(root_without_filter()).chain([ordinary()]);
    as_all(binary, all, |lab| {
        test(lab);
        let said: Vec<String> = lab.runs().iter().filter_map(|run| crate::audit::filter_of(run)).collect();
        assert!(!said.is_empty(), "as {}: no run was armed", lab.who.name);
        let expected = if lab.who.filter { "yes" } else { "no: " };
        assert!(said.iter().all(|attached| attached.starts_with(expected)), "as {}: {said:?}", lab.who.name);
    });
}

/// Runs a test as root on a host that does not let it load the eBPF egress filter, where the tests are root.
pub fn without_filter(binary: &str, test: impl Fn(&Lab)) {
    as_all(binary, root_without_filter().into_iter(), test);
}

fn as_all(binary: &str, all: impl Iterator<Item = Identity>, test: impl Fn(&Lab)) {
    if !started_as_root() {
        eprintln!("note: not started as root: this test runs as uid {} only", ordinary().uid);
    }
    // One identity's failure does not hide the other's.
    let failed: Vec<&str> = all
        .filter(|who| {
            eprintln!("as {} (uid {}):", who.name, who.uid);
            let run = || {
                let lab = Lab::new(&chosen(binary), who.clone());
                test(&lab);
                lab.finish();
            };
            catch_unwind(AssertUnwindSafe(run)).is_err()
        })
        .map(|who| who.name)
        .collect();
    assert!(failed.is_empty(), "failed as {}", failed.join(" and as "));
}

/// Runs a test that only root can run (it needs a file system of its own, or another user's files). Started by an ordinary
/// user it says so and does nothing: the same behaviour has a test without that need beside it.
pub fn as_root_only(binary: &str, test: impl Fn(&Lab)) {
    match root() {
        Some(who) => {
            let lab = Lab::new(&chosen(binary), who);
            test(&lab);
            lab.finish();
        }
        None => eprintln!("note: needs root, not run as uid {}", ordinary().uid),
    }
}

fn chosen(binary: &str) -> PathBuf {
    std::env::var_os("AGENTRC_TEST_BINARY").map_or_else(|| PathBuf::from(binary), PathBuf::from)
}
