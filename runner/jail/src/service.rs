//! Processes of ours that serve a run from outside of the sandbox, beside the supervisor: forked from it while it has one
//! thread and no secret, each with nothing but its channel, and dead when the supervisor is. What they read comes from the
//! agent and from the internet; so they give up what they do not need before they read the first byte of it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

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
/// Most memory of a service that reads what agents and servers write, in bytes (RLIMIT_DATA): many times what it needs. Each bounds
/// what it takes by itself; what nobody thought of ends the service, and so the run, and not the host.
const MEMORY: u64 = 1 << 30;

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads the sources of credentials, and ends before the agent starts.
    Resolver,
    /// Serves the sandbox's network.
    Gateway,
    /// Serves the sandbox's tools.
    Broker,
    /// Makes the tools' processes.
    Zygote,
    /// Passes on what the agent says, and keeps some of it for a report.
    Copier,
}

impl Role {
    /// What it is called in messages.
    fn name(self) -> &'static str {
        match self {
            Self::Resolver => "the credential resolver",
            Self::Gateway => "the gateway",
            Self::Broker => "the broker",
            Self::Zygote => "the process that tools come from",
            Self::Copier => "the process that copies the output",
        }
    }

    /// The step of its start.
    fn step(self) -> Step {
        match self {
            Self::Resolver | Self::Gateway | Self::Copier => Step::Gateway,
            Self::Broker => Step::Broker,
            Self::Zygote => Step::Zygote,
        }
    }
}

/// A running service. Dropping it ends it.
#[derive(Debug)]
pub struct Service {
    role: Role,
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
    pub fn start(
        role: Role,
        kept: &[BorrowedFd<'_>],
        work: impl FnOnce(OwnedFd) -> u8,
    ) -> Result<Self, Refusal> {
        run(Step::SingleThread, 1, crate::launch::single_thread)?;
        let supervisor = rustix::process::getpid();
        let (ours, theirs) = run(role.step(), 0, channel::pair)?;
        match run(role.step(), 1, || clone_into(0, None))? {
            Cloned::Parent { pid, pidfd } => Ok(Self { role, pid, pidfd, channel: ours }),
            Cloned::Child => {
                let code = match isolate(role, kept, theirs.as_fd(), supervisor) {
                    Ok(()) => work(theirs),
                    Err(_) => 125,
                };
                exit(code.into())
            }
        }
    }

    /// Reads back that a filter is on the service, as [`confine`] and [`confine_broker`] put it on: the name of its table. The
    /// kernel says that there is one, not which: a process puts one on itself, once.
    ///
    /// # Errors
    /// There is none, `/proc` does not say, or the service is one that has no table.
    pub fn filter(&self) -> Result<&'static str, Refusal> {
        let name = self.role.name();
        let table = match self.role {
            Role::Gateway => seccomp::GATEWAY,
            Role::Broker => seccomp::BROKER,
            Role::Resolver | Role::Zygote | Role::Copier => {
                return Err(Refusal::new(Step::ReadBack, format!("{name} has no system call filter")));
            }
        };
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).map_err(|error| {
            Refusal::kernel(Step::ReadBack, &format!("{name}'s status"), errno_of(&error))
        })?;
        // 2 is SECCOMP_MODE_FILTER (proc_pid_status(5)).
        match status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim) {
            Some("2") => Ok(table),
            other => {
                let reason = format!("no system call filter is on {name}: Seccomp {}", other.unwrap_or("?"));
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

impl Service {
    /// Ends it.
    pub(crate) fn kill(&self) {
        // A failure means that it is gone.
        let _ = signal_pidfd(self.pidfd.as_fd(), libc::SIGKILL);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        let _ = wait(self.pid, true);
    }
}

/// What every service is from its first moment: out of the terminal's reach, without files of the supervisor's, and dead
/// when the supervisor is.
fn isolate(
    role: Role,
    kept: &[BorrowedFd<'_>],
    channel: BorrowedFd<'_>,
    supervisor: Pid,
) -> Result<(), Failure> {
    run(role.step(), 2, || {
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

/// Gives up, for good, all that the gateway does not need to move bytes between sockets: root's identity, every capability,
/// the right to gain any, to write, make, remove or execute any file, and every system call but those of
/// `policies/seccomp-gateway.toml`. The process has one thread.
///
/// # Errors
/// What the kernel does not take away. The service must not go on.
pub fn confine() -> Result<(), Refusal> {
    run(Step::GatewayConfine, 0, || give_up_privilege(true))?;
    run(Step::GatewayConfine, 1, landlock::read_only)?;
    Ok(run(Step::GatewayConfine, 2, seccomp::gateway)?)
}

/// Gives up, for good, all that the broker does not need: as [`confine`], but of the file system there is nothing left to it
/// save the folder `writable`, where it keeps memories, and reading `/proc`, by which it tells who asks; and its system calls
/// are those of `policies/seccomp-broker.toml`, which make no process, no thread and no socket. The process has one thread.
/// Memories are opened before: what opens them (openat2(2)) has its flags where no filter can look.
///
/// Root's broker becomes nobody, unless there is a folder: that is root's, and closed to everybody else, so that nobody could
/// not keep anything in it. Then it stays user 0 without any capability, which is an ordinary user who owns many files: all
/// of those but `writable` Landlock denies it, and no program that would give it more can be executed.
///
/// # Errors
/// What the kernel does not take away, or `writable` cannot be opened. The service must not go on.
pub fn confine_broker(writable: Option<&Path>) -> Result<(), Refusal> {
    let about = |path: &Path, failure: Failure| {
        Refusal::kernel(failure.step, &path.display().to_string(), failure.errno)
    };
    let folder = writable.map(|path| {
        run(Step::BrokerConfine, 0, || landlock::folder(path)).map_err(|failure| about(path, failure))
    });
    let folder = folder.transpose()?;
    run(Step::BrokerConfine, 1, || give_up_privilege(folder.is_none()))?;
    run(Step::BrokerConfine, 2, || landlock::folder_alone(folder.as_ref().map(AsFd::as_fd)))?;
    drop(folder);
    Ok(run(Step::BrokerConfine, 3, seccomp::broker)?)
}

/// Every capability, the right to gain any, memory without end, and, if it is root's and to become `nobody`, its identity.
fn give_up_privilege(nobody: bool) -> Result<(), Errno> {
    kernel::set_rlimit(libc::RLIMIT_DATA, MEMORY.min(kernel::hard_limit(libc::RLIMIT_DATA)?))?;
    if nobody && rustix::process::geteuid().is_root() {
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
