//! Stage 6 from the supervisor's side: while the sandbox arms itself, it is moved into its cgroup, its sockets go to the
//! gateway, and in the end its evidence is judged.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use agentrc_audit::event::Evidence;
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::channel::{self, Answer, Message};
use crate::launch::{blame, refused};
use crate::layer::Layer;
use crate::prove::{NAMESPACES, Readings, judge};
use crate::refusal::Refusal;
use crate::step::{Step, run};
use crate::supervise::{Sandbox, Woken};
use crate::sys::signal;
use crate::{Filter, Gateway};

/// How long arming may take before it counts as hung: a bind on a dead network file system must not hang the caller.
const ARMING: Duration = Duration::from_secs(30);
/// How long the last words of a sandbox that is gone are waited for.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A sandbox that has proven itself.
pub(crate) struct Armed {
    /// What it proved.
    pub(crate) evidence: Evidence,
    /// Its terminal.
    pub(crate) master: Option<OwnedFd>,
    /// The broker's socket inside.
    pub(crate) listener: Option<OwnedFd>,
    /// What the entrance needs of it.
    pub(crate) door: Vec<OwnedFd>,
    /// The inode numbers of its namespaces.
    pub(crate) namespaces: [u64; NAMESPACES],
    /// Its mount table.
    pub(crate) mountinfo: std::fs::File,
}

/// What is around the sandbox.
pub(crate) struct Around<'a> {
    /// What arms itself.
    pub(crate) layers: &'a [&'a dyn Layer],
    /// How many sockets the gateway gets.
    pub(crate) expected: usize,
    /// How many descriptors the entrance needs.
    pub(crate) door: usize,
    /// Where the sandbox is moved to, if it was not born there.
    pub(crate) moved: Option<&'a Cgroup>,
    /// Whether it waits to be told that it is there.
    pub(crate) waits: bool,
    /// Whether the egress filter is attached to that.
    pub(crate) filtered: bool,
}

impl Around<'_> {
    /// Waits for the evidence of an armed sandbox, and judges it.
    pub(crate) fn arm(
        &self,
        sandbox: &Sandbox,
        gateway: &mut Option<&mut (dyn Gateway + 'static)>,
        filter: &mut dyn Filter,
    ) -> Result<Armed, Refusal> {
        let started = Instant::now();
        let mut master = None;
        let mut listener = None;
        let mut door = Vec::with_capacity(self.door);
        let mut sockets = Vec::with_capacity(self.expected);
        if self.expected == 0 {
            // One that serves the broker alone gets none, and waits for no other.
            if gateway.is_some() {
                self.hand_over(Vec::new(), gateway, filter)?;
            }
            self.enter(sandbox).map_err(|refusal| last_words(sandbox, self.layers).unwrap_or(refusal))?;
        }
        loop {
            let left = ARMING.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Refusal::new(Step::Evidence, "the sandbox did not come up within 30 s")
                    .help("a bind on a network file system that does not answer can do that"));
            }
            match sandbox.next(None, left) {
                Ok(Woken::Message(Some(Message::Pty(descriptor)))) => master = Some(descriptor),
                Ok(Woken::Message(Some(Message::Listener(socket)))) if listener.is_none() => {
                    listener = Some(socket);
                }
                Ok(Woken::Message(Some(Message::Door(descriptor)))) if door.len() < self.door => {
                    door.push(descriptor);
                }
                Ok(Woken::Message(Some(Message::Socket(socket)))) if sockets.len() < self.expected => {
                    sockets.push(socket);
                    if sockets.len() == self.expected {
                        self.hand_over(std::mem::take(&mut sockets), gateway, filter)?;
                        // A sandbox that is gone has said why: that is the nearer reason.
                        self.enter(sandbox)
                            .map_err(|refusal| last_words(sandbox, self.layers).unwrap_or(refusal))?;
                    }
                }
                Ok(Woken::Message(Some(Message::Failed(failure)))) => {
                    return Err(blame(&failure, self.layers));
                }
                Ok(Woken::Message(Some(Message::Evidence {
                    status,
                    mountinfo,
                    limits,
                    namespaces,
                    answers,
                }))) => {
                    let mountinfo = std::fs::File::from(mountinfo);
                    let readings = Readings::read(status, &mountinfo, limits, namespaces, answers);
                    let readings =
                        readings.map_err(|refusal| last_words(sandbox, self.layers).unwrap_or(refusal))?;
                    let evidence = judge(self.layers, &readings)?;
                    // What came in while the log was opened has not been heard yet.
                    go_on(sandbox)?;
                    return Ok(Armed { evidence, master, listener, door, namespaces, mountinfo });
                }
                Ok(Woken::Signal(signal)) => heed(signal)?,
                Ok(Woken::Tick | Woken::Mounts | Woken::Outside(_)) => {}
                Ok(Woken::Message(_) | Woken::Dead) => {
                    return Err(Refusal::new(
                        Step::Evidence,
                        "the sandbox ended before it could prove itself",
                    ));
                }
                Err(errno) => return Err(hear(errno)),
            }
        }
    }

    /// The sockets go to the gateway; the filter learns from one of them which namespace is the sandbox's.
    fn hand_over(
        &self,
        sockets: Vec<OwnedFd>,
        gateway: &mut Option<&mut (dyn Gateway + 'static)>,
        filter: &mut dyn Filter,
    ) -> Result<(), Refusal> {
        if let Some(socket) = sockets.first().filter(|_| self.filtered) {
            filter.confine(socket.as_fd()).map_err(|unopened| refused(Step::AttachFilter, unopened))?;
        }
        match gateway {
            Some(gateway) => {
                gateway.hand_over(sockets, self.filtered).map_err(|unopened| refused(Step::Serve, unopened))
            }
            None => Err(Refusal::new(Step::Serve, "nobody serves the sandbox's sockets")),
        }
    }

    /// Moves the sandbox into its cgroup, where it was not born there, and tells it that it is inside.
    fn enter(&self, sandbox: &Sandbox) -> Result<(), Refusal> {
        if let Some(cgroup) = self.moved {
            run(Step::EnterCgroup, 0, || cgroup.enter(sandbox.pid))?;
        }
        if !self.waits {
            return Ok(());
        }
        Ok(run(Step::EnterCgroup, 1, || channel::answer(sandbox.channel.as_fd(), Answer::Inside))?)
    }
}

pub(crate) fn hear(errno: Errno) -> Refusal {
    Refusal::kernel(Step::Evidence, "", errno)
}

/// Heeds the signals that have come.
pub(crate) fn go_on(sandbox: &Sandbox) -> Result<(), Refusal> {
    while let Some(signal) = signal::next(&sandbox.signals).map_err(hear)? {
        heed(signal)?;
    }
    Ok(())
}

/// A signal before the command started ends the launch, if it would end or stop a program.
pub(crate) fn heed(signal: i32) -> Result<(), Refusal> {
    if matches!(signal, libc::SIGWINCH | libc::SIGCONT) {
        return Ok(());
    }
    Err(Refusal::new(Step::Evidence, format!("signal {signal} arrived before the command started")))
}

/// What the agent's process said before it went, when it went before its readings were read: the nearer reason.
pub(crate) fn last_words(sandbox: &Sandbox, layers: &[&dyn Layer]) -> Option<Refusal> {
    let started = Instant::now();
    loop {
        let left = LAST_WORDS.checked_sub(started.elapsed()).filter(|left| !left.is_zero())?;
        match sandbox.next(None, left) {
            Ok(Woken::Message(Some(Message::Failed(failure)))) => return Some(blame(&failure, layers)),
            // What was on its way before them: sockets, a terminal.
            Ok(Woken::Message(Some(_)) | Woken::Tick) => {}
            _ => return None,
        }
    }
}
