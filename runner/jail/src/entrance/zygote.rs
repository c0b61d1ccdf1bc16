//! The zygote: a copy of the supervisor from before the log was open. It forks, for each piece of work, a process that becomes a
//! tool's sandbox, and says how that went. It hears nobody but the supervisor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::tool::{Door, Job, Tool};
use super::{Prepared, wait, wire};
use crate::channel::{self, Answer, Message};
use crate::step::{Failure, Step, run};
use crate::sys::process::{Cloned, Strings, clone_into, signal_pidfd};
use crate::sys::signal;

/// How long a process may take to prove itself: milliseconds, unless what is left to it is little, or the kernel is still taking other
/// network namespaces down. Less than the supervisor waits for the answer.
const ARMING: Duration = Duration::from_secs(8);

/// Its whole life. Returns its exit code.
pub(super) fn serve(prepared: &Prepared<'_>, cgroup: Option<BorrowedFd<'_>>, channel: &OwnedFd) -> u8 {
    // The kernel reaps what ends: what is to be known about it comes by its pidfd and its pipe.
    signal::ignore(libc::SIGCHLD);
    let Some(door) = door(prepared, channel) else { return 1 };
    loop {
        let said = match wire::receive(channel.as_fd()) {
            Ok(None) => return 0,
            Ok(Some((work, namespaces))) => {
                let super::Work { argv, environment, directory, streams, status } = work;
                let Some(program) = argv.first().cloned() else { return 1 };
                let (argv, environment) = (Strings::new(argv), Strings::new(environment));
                let job = Job { program, argv, environment, directory, streams, status, namespaces };
                enter(prepared, &door, cgroup, job)
            }
            Err(errno) => Message::Failed(Failure { step: Step::ToolRequest, item: 2, errno }),
        };
        if channel::send(channel.as_fd(), &said).is_err() {
            return 1;
        }
    }
}

/// What tools enter by, when the sandbox is armed. `None`: the launch was refused.
fn door(prepared: &Prepared<'_>, channel: &OwnedFd) -> Option<Door> {
    let next = || match channel::receive(channel.as_fd()) {
        Ok(Some(Message::Door(descriptor))) => Some(descriptor),
        _ => None,
    };
    let (user, mounts) = (next()?, next()?);
    let mut opened = Vec::with_capacity(prepared.anew.len());
    for anew in &prepared.anew {
        let descriptor = next()?;
        opened.push((!anew).then_some(descriptor));
    }
    Some(Door { user, mounts, opened })
}

/// Makes the process, and says what became of it. Whatever does not go well ends it.
fn enter(prepared: &Prepared<'_>, door: &Door, cgroup: Option<BorrowedFd<'_>>, job: Job) -> Message {
    let zygote = rustix::process::getpid();
    let (ours, theirs) = match run(Step::Channel, 2, channel::pair) {
        Ok(pair) => pair,
        Err(failure) => return Message::Failed(failure),
    };
    let pidfd = match run(Step::ToolProcess, 0, || clone_into(0, cgroup)) {
        Err(failure) => return Message::Failed(failure),
        Ok(Cloned::Child) => {
            crate::child::enter();
            drop(ours);
            Tool { prepared, door, job: &job, channel: theirs, zygote }.run()
        }
        Ok(Cloned::Parent { pidfd, .. }) => pidfd,
    };
    drop(theirs);
    // What is the tool's is the tool's alone: whoever reads its output waits for the end of it.
    drop(job);
    let mut init = None;
    let said = watch(&ours, &mut init);
    match (said, init) {
        (Ok(()), Some(init)) => Message::Entered(init),
        (said, init) => {
            for pidfd in [Some(pidfd), init].into_iter().flatten() {
                // One that has ended already is none to end.
                let _ = signal_pidfd(pidfd.as_fd(), libc::SIGKILL);
            }
            said.err().unwrap_or(Message::Failed(Failure {
                step: Step::ToolProcess,
                item: 4,
                errno: Errno::PIPE,
            }))
        }
    }
}

/// Waits until the tool's program is being executed: it has proven itself, and its end of the channel closed by that.
fn watch(channel: &OwnedFd, init: &mut Option<OwnedFd>) -> Result<(), Message> {
    let failed = |item, errno| Message::Failed(Failure { step: Step::ToolProcess, item, errno });
    let started = Instant::now();
    let (mut proven, mut told) = (false, false);
    loop {
        let left = ARMING.saturating_sub(started.elapsed());
        match wait(channel.as_fd(), left)
            .and_then(|ready| if ready { channel::receive(channel.as_fd()) } else { Err(Errno::TIMEDOUT) })
        {
            Ok(Some(Message::Entered(pidfd))) if init.is_none() => *init = Some(pidfd),
            Ok(Some(Message::Proven)) if !proven => proven = true,
            Ok(Some(said @ (Message::Failed(_) | Message::ExecFailed(_)))) => return Err(said),
            Ok(None) if told => return Ok(()),
            // It ended without a word: somebody killed it, or the run's limits did.
            Ok(None) => return Err(failed(5, Errno::PIPE)),
            Ok(Some(_)) => return Err(failed(5, Errno::BADMSG)),
            Err(errno) => return Err(failed(5, errno)),
        }
        // Only what can be killed is let go.
        if proven && init.is_some() && !told {
            run(Step::Go, 2, || channel::answer(channel.as_fd(), Answer::Go)).map_err(Message::Failed)?;
            told = true;
        }
    }
}
