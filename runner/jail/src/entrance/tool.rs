//! From the zygote's clone to the tool's exec: the way into the sandbox, and the tool's init. Nothing here allocates or takes a
//! lock, as in `init.rs`.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::Pid;

use super::{Prepared, proof};
use crate::channel::{self, Answer, Message};
use crate::prove::NAMESPACES;
use crate::step::{Failure, Step, run};
use crate::sys::process::{Cloned, Strings, clone_into, exec, exit, fork, set_namespace, wait};
use crate::sys::{kernel, signal};

/// What a tool enters by.
pub(super) struct Door {
    /// The sandbox's user namespace.
    pub(super) user: OwnedFd,
    /// Its mount namespace.
    pub(super) mounts: OwnedFd,
    /// What Landlock's rules are about; `None`: something of the tool's own.
    pub(super) opened: Vec<Option<OwnedFd>>,
}

/// What it does inside.
pub(super) struct Job {
    pub(super) program: CString,
    pub(super) argv: Strings,
    pub(super) environment: Strings,
    pub(super) directory: CString,
    pub(super) streams: [OwnedFd; 3],
    pub(super) status: OwnedFd,
    /// The agent's namespaces.
    pub(super) namespaces: [u64; NAMESPACES],
}

/// One of the three processes on the way.
pub(super) struct Tool<'a> {
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) door: &'a Door,
    pub(super) job: &'a Job,
    /// To the zygote; whoever executes the tool closes it by that.
    pub(super) channel: OwnedFd,
    pub(super) zygote: Pid,
}

/// Exit code when a step failed; the reason went over the channel.
const REFUSED: i32 = 125;

impl Tool<'_> {
    /// The life of the first process: it joins, makes the tool's init, and ends.
    pub(super) fn run(self) -> ! {
        match self.arrive() {
            Ok(()) => exit(0),
            Err(failure) => self.refuse(failure),
        }
    }

    /// Nothing can be done about a failure to send: the zygote sees the end of the channel, and refuses.
    fn refuse(&self, failure: Failure) -> ! {
        let _ = channel::send(self.channel.as_fd(), &Message::Failed(failure));
        exit(REFUSED)
    }

    fn arrive(&self) -> Result<(), Failure> {
        let [input, output, error] = &self.job.streams;
        run(Step::ToolProcess, 1, || {
            rustix::process::setsid()?;
            rustix::stdio::dup2_stdin(input)?;
            rustix::stdio::dup2_stdout(output)?;
            rustix::stdio::dup2_stderr(error)
        })?;
        // Of this user's own namespaces, whoever makes them has every capability (user_namespaces(7)): that is the supervisor's
        // user.
        run(Step::ToolNamespaces, 0, || set_namespace(self.door.user.as_fd(), libc::CLONE_NEWUSER))?;
        self.prepared.namespaces.apply_again()?;
        // The change of credentials cleared it.
        run(Step::DieWithParent, 1, kernel::die_with_parent)?;
        run(Step::ParentAlive, 1, || {
            if rustix::process::getppid() == Some(self.zygote) { Ok(()) } else { Err(Errno::PIPE) }
        })?;
        // The zygote's child, as this one is, which therefore can end.
        match run(Step::ToolProcess, 2, || clone_into(libc::CLONE_PARENT.unsigned_abs().into(), None))? {
            Cloned::Child => match self.arm() {
                Ok(tool) => self.serve(tool),
                Err(failure) => self.refuse(failure),
            },
            Cloned::Parent { pidfd, .. } => {
                run(Step::ToolProcess, 3, || channel::send(self.channel.as_fd(), &Message::Entered(pidfd)))
            }
        }
    }

    /// In the tool's init: arms everything, and forks the tool. Returns its pid.
    fn arm(&self) -> Result<i32, Failure> {
        signal::default_dispositions();
        self.prepared.again.make()?;
        self.prepared.again.enter(self.door.mounts.as_fd())?;
        self.prepared.privilege.apply()?;
        // The zygote may have died before the line above tied this process to it: then nobody holds the other end.
        run(Step::ParentAlive, 2, || {
            let mut watched = [PollFd::new(&self.channel, PollFlags::empty())];
            poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
            let gone = watched.iter().any(|one| !one.revents().is_empty());
            if gone { Err(Errno::PIPE) } else { Ok(()) }
        })?;
        self.prepared.landlock.apply_again(&self.door.opened)?;
        self.prepared.seccomp.apply()?;
        match run(Step::Fork, 1, fork)? {
            Some(tool) => {
                // Init keeps the pipe for the status and nothing else.
                run(Step::CloseDescriptors, 3, || {
                    rustix::stdio::dup2_stdin(&self.job.status)?;
                    kernel::close_from(1)
                })?;
                Ok(tool)
            }
            None => self.become_tool(),
        }
    }

    /// Reaps whatever ends, says how the tool did, and ends with it, which ends everything. The pipe is descriptor 0. All signals
    /// are blocked, so that a pipe that nobody reads is an error.
    fn serve(&self, tool: i32) -> ! {
        loop {
            match wait(-1, true) {
                Ok(Some(reaped)) if reaped.pid == tool => {
                    let _ = rustix::io::write(rustix::stdio::stdin(), &reaped.status.to_ne_bytes());
                    exit(0)
                }
                Ok(_) => {}
                Err(_) => exit(REFUSED),
            }
        }
    }

    fn become_tool(&self) -> ! {
        let said = match self.prepare_tool() {
            Ok(()) => Message::ExecFailed(exec(&self.job.program, &self.job.argv, &self.job.environment)),
            Err(failure) => Message::Failed(failure),
        };
        let heard = channel::send(self.channel.as_fd(), &said);
        // The zygote kills all of this now. An end of its own would be told as if it were the tool's.
        while heard.is_ok() {
            let _ = poll(&mut [], None);
        }
        exit(REFUSED)
    }

    fn prepare_tool(&self) -> Result<(), Failure> {
        run(Step::Session, 1, || {
            rustix::process::setsid()?;
            rustix::process::umask(Mode::from_raw_mode(self.prepared.umask));
            signal::default_dispositions();
            signal::Set::empty().block().map(drop)
        })?;
        // Only the channel is left, which closes on exec, and the standard streams.
        run(Step::CloseDescriptors, 4, || kernel::close_others(self.channel.as_fd()))?;
        self.prepared.limits.apply()?;
        run(Step::WorkingDirectory, 1, || rustix::process::chdir(self.job.directory.as_c_str()))?;
        proof::check(self.prepared, &self.job.namespaces)?;
        run(Step::ToolProof, 4, || channel::send(self.channel.as_fd(), &Message::Proven))?;
        run(Step::Go, 3, || channel::await_answer(self.channel.as_fd(), Answer::Go))?;
        run(Step::ToolProgram, 0, || Ok(()))
    }
}
