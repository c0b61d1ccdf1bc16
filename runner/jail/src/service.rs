//! Processes of ours that serve a run from outside of the sandbox, beside the supervisor: forked from it while it has one
//! thread and no secret, each with nothing but its channel, and dead when the supervisor is. What they read comes from the
//! agent and from the internet; so they give up what they do not need before they read the first byte of it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Uid};

use crate::channel;
use crate::layer::{landlock, seccomp};
use crate::refusal::Refusal;
use crate::step::{Failure, Step, run};
use crate::sys::process::{Cloned, clone_into, exit, signal_pidfd, wait};
use crate::sys::{kernel, signal};

/// The user and group that a service of root's becomes: nobody's (the kernel's overflow ids).
const NOBODY: u32 = 65534;

/// A running service. Dropping it ends it.
#[derive(Debug)]
pub struct Service {
    pid: i32,
    pidfd: OwnedFd,
    channel: OwnedFd,
}

impl Service {
    /// Forks. The new process keeps `kept` and its end of the channel, runs `work`, and exits with what that returns.
    ///
    /// The caller has one thread: [`crate::launch`] has asserted that, or will.
    ///
    /// # Errors
    /// socketpair(2), clone3(2).
    pub fn start(kept: &[BorrowedFd<'_>], work: impl FnOnce(OwnedFd) -> u8) -> Result<Self, Refusal> {
        run(Step::SingleThread, 1, crate::launch::single_thread)?;
        let supervisor = rustix::process::getpid();
        let (ours, theirs) = run(Step::Gateway, 0, channel::pair)?;
        match run(Step::Gateway, 1, || clone_into(0, None))? {
            Cloned::Parent { pid, pidfd } => Ok(Self { pid, pidfd, channel: ours }),
            Cloned::Child => {
                let code = match isolate(kept, theirs.as_fd(), supervisor) {
                    Ok(()) => work(theirs),
                    Err(_) => 125,
                };
                exit(code.into())
            }
        }
    }

    /// Reads back that the filter of [`confine`] is on the service: the name of its table.
    ///
    /// # Errors
    /// It is not, or `/proc` does not say.
    pub fn filter(&self) -> Result<&'static str, Refusal> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))
            .map_err(|error| Refusal::kernel(Step::ReadBack, "the gateway's status", errno_of(&error)))?;
        // 2 is SECCOMP_MODE_FILTER (proc_pid_status(5)).
        match status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim) {
            Some("2") => Ok(seccomp::GATEWAY),
            other => {
                let reason =
                    format!("no system call filter is on the gateway: Seccomp {}", other.unwrap_or("?"));
                Err(Refusal::new(Step::ReadBack, reason))
            }
        }
    }

    /// The supervisor's end of the channel: a seqpacket socket, that ends when the service does.
    #[must_use]
    pub fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A failure means that it is gone, and then it is waited for all the same.
        let _ = signal_pidfd(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = wait(self.pid, true);
    }
}

/// What every service is from its first moment: out of the terminal's reach, without files of the supervisor's, and dead
/// when the supervisor is.
fn isolate(kept: &[BorrowedFd<'_>], channel: BorrowedFd<'_>, supervisor: Pid) -> Result<(), Failure> {
    run(Step::Gateway, 2, || {
        kernel::die_with_parent()?;
        kernel::set_undumpable()?;
        rustix::process::setsid()?;
        // resolver(5): no search list, which would make other names of those that the plan declares.
        kernel::set_environment(c"LOCALDOMAIN", c"")?;
        // What a person's Ctrl-C means is the supervisor's to say.
        signal::Set::full().block()?;
        let null = rustix::fs::openat(CWD, c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        drop(null);
        let mut keep: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
        keep.push(channel.as_raw_fd().unsigned_abs());
        keep.sort_unstable();
        kernel::close_all_but(&keep)?;
        // The supervisor may have died before this process was tied to it.
        if rustix::process::getppid() == Some(supervisor) { Ok(()) } else { Err(Errno::PIPE) }
    })
}

/// Gives up, for good, all that a service does not need to move bytes between sockets: root's identity, every capability,
/// the right to gain any, to write, make, remove or execute any file, and every system call but those of
/// `policies/seccomp-gateway.toml`. The process has one thread.
///
/// # Errors
/// What the kernel does not take away. The service must not go on.
pub fn confine() -> Result<(), Refusal> {
    run(Step::GatewayConfine, 0, || {
        if rustix::process::geteuid().is_root() {
            let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(group, group, group)?;
            rustix::thread::set_thread_res_uid(user, user, user)?;
        }
        kernel::clear_ambient()?;
        kernel::clear_capabilities()?;
        kernel::set_no_new_privs()?;
        // A change of credentials clears both of these.
        kernel::set_undumpable()?;
        kernel::die_with_parent()
    })?;
    run(Step::GatewayConfine, 1, landlock::read_only)?;
    Ok(run(Step::GatewayConfine, 2, seccomp::gateway)?)
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Keeps the memory that holds `secret` out of the swap space, as far as RLIMIT_MEMLOCK goes.
///
/// # Errors
/// mlock(2).
pub fn keep_from_swap(secret: &[u8]) -> std::io::Result<()> {
    Ok(kernel::lock(secret)?)
}
