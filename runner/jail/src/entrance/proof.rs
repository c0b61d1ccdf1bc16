//! What a tool's process makes sure of before it executes the tool: the kernel's own word on its privileges and namespaces, and
//! two acts that must fail. No allocation.

use std::ffi::CStr;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::Prepared;
use crate::prove::{NAMESPACE_FILES, NAMESPACES};
use crate::step::{Failure, Step, run};

/// What must be in `/proc/self/status` (proc_pid_status(5)): no capability in any set, no way to gain one, a system call filter,
/// and the second process of its pid namespace.
const STATUS: &[(&[u8], &[u8])] = &[
    (b"CapInh", b"0000000000000000"),
    (b"CapPrm", b"0000000000000000"),
    (b"CapEff", b"0000000000000000"),
    (b"CapBnd", b"0000000000000000"),
    (b"CapAmb", b"0000000000000000"),
    (b"NoNewPrivs", b"1"),
    (b"Seccomp", b"2"),
    (b"NSpid", b"2"),
];

/// What each item is about.
const ABOUT: [&str; 4] = ["its privileges", "its namespaces", "Landlock", "the broker's socket"];

/// Checks everything.
pub(super) fn check(prepared: &Prepared<'_>, agent: &[u64; NAMESPACES]) -> Result<(), Failure> {
    run(Step::ToolProof, 0, status)?;
    run(Step::ToolProof, 1, || namespaces(prepared, agent))?;
    run(Step::ToolProof, 2, || {
        let how = OFlags::RDONLY | OFlags::CLOEXEC;
        denied(rustix::fs::openat(CWD, c"/.agentrc/denied", how, Mode::empty()).map(drop), &[Errno::ACCESS])
    })?;
    run(Step::ToolProof, 3, || {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let address = SocketAddrUnix::new(prepared.socket.as_c_str())?;
        denied(rustix::net::connect(&socket, &address), &[Errno::ACCESS, Errno::CONNREFUSED])
    })
}

/// What the failed item was about.
pub(super) fn blame(failure: &Failure) -> Option<String> {
    let about = ABOUT.get(usize::from(failure.item)).filter(|_| failure.step == Step::ToolProof);
    about.map(|about| (*about).to_owned())
}

/// An act that must fail did, and with an answer that proves the denial.
fn denied(done: Result<(), Errno>, expected: &[Errno]) -> Result<(), Errno> {
    match done {
        Err(errno) if expected.contains(&errno) => Ok(()),
        Err(errno) => Err(errno),
        // It succeeded: the lock is not there.
        Ok(()) => Err(Errno::NOLCK),
    }
}

fn status() -> Result<(), Errno> {
    let file =
        rustix::fs::openat(CWD, c"/proc/self/status", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0_u8; 8192];
    let mut length = 0;
    loop {
        let rest = buffer.get_mut(length..).filter(|rest| !rest.is_empty()).ok_or(Errno::TOOBIG)?;
        match rustix::io::read(&file, rest)? {
            0 => break,
            read => length += read,
        }
    }
    if holds(buffer.get(..length).unwrap_or_default()) { Ok(()) } else { Err(Errno::PERM) }
}

/// Whether a status says all that it must. A field that is missing proves nothing.
fn holds(status: &[u8]) -> bool {
    STATUS.iter().all(|(name, expected)| {
        let mut lines = status.split(|byte| *byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(*name)?.strip_prefix(b":"));
        value.is_some_and(|value| value.trim_ascii() == *expected)
    })
}

/// The user namespace is the agent's; each other one is neither the agent's nor the host's.
fn namespaces(prepared: &Prepared<'_>, agent: &[u64; NAMESPACES]) -> Result<(), Errno> {
    let outside = prepared.namespaces.outside();
    for (file, agent) in NAMESPACE_FILES.iter().zip(agent) {
        let own = rustix::fs::stat(*file)?.st_ino;
        let is = |name: &str| is(file, name);
        let planned = outside.iter().find(|(name, _)| is(name));
        let always = ["mnt", "pid", "ipc", "net"].iter().any(|name| is(name));
        let right = match planned {
            _ if is("user") => own == *agent,
            Some((_, outside)) => own != *agent && own != *outside,
            None => !always || own != *agent,
        };
        if !right {
            return Err(Errno::PERM);
        }
    }
    Ok(())
}

/// Whether a file of `/proc/self/ns` has this name.
fn is(file: &CStr, name: &str) -> bool {
    let bytes = file.to_bytes();
    bytes.strip_suffix(name.as_bytes()).is_some_and(|rest| rest.ends_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                       CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nNSpid:\t2\n";

    #[test]
    fn every_field_must_be_there_as_it_must() {
        assert!(holds(ALL.as_bytes()));
        for (name, expected) in STATUS {
            let [name, expected] = [name, expected].map(|text| std::str::from_utf8(text).unwrap());
            let line = format!("{name}:\t{expected}\n");
            assert!(ALL.contains(&line), "{line}");
            assert!(!holds(ALL.replace(&line, "").as_bytes()), "without {name}");
            assert!(!holds(ALL.replace(&line, &format!("{name}:\t7\n")).as_bytes()), "{name}");
        }
    }

    #[test]
    fn an_act_that_succeeds_and_an_answer_that_proves_nothing_are_failures() {
        assert_eq!(denied(Err(Errno::ACCESS), &[Errno::ACCESS]), Ok(()));
        assert_eq!(denied(Err(Errno::NOENT), &[Errno::ACCESS]), Err(Errno::NOENT));
        assert!(denied(Ok(()), &[Errno::ACCESS]).is_err());
    }

    #[test]
    fn files_of_namespaces_have_the_names_that_are_asked_for() {
        for name in ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"] {
            assert_eq!(NAMESPACE_FILES.iter().filter(|file| is(file, name)).count(), 1, "{name}");
        }
    }
}
