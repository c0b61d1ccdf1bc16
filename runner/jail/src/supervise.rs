//! Stage 6, while the agent runs: one loop over the channel, init's pidfd, the signals, the terminal and the clock. It never
//! touches what the agent does; it waits, forwards, records, and kills.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use agentfile::plan::{Bound, CgroupLimit};
use agentrc_audit::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::Recorder;
use crate::beside::Beside;
use crate::cgroup::{Cgroup, Counts};
use crate::channel::{self, Message};
use crate::layer::mounts::Mounts;
use crate::pty::Relay;
use crate::step::Failure;
use crate::sys::process::{Reaped, signal_pidfd, wait};
use crate::sys::signal;

/// How often the audit log and the cgroup's counters are looked at.
const TICK: Duration = Duration::from_millis(250);

/// A running sandbox.
pub(crate) struct Sandbox {
    /// Init's pid and pidfd.
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// The supervisor's end of the channel.
    pub(crate) channel: OwnedFd,
    /// Where the supervisor's own signals are read.
    pub(crate) signals: OwnedFd,
    /// The sandbox's mount table, once it has been judged: it becomes readable anew when it changes.
    pub(crate) mountinfo: Option<std::fs::File>,
    /// The gateway's channel, the egress filter's ring, the broker's channel and the zygote's, once they are to be heard.
    pub(crate) outside: [Option<OwnedFd>; 4],
    /// When everything began.
    pub(crate) started: Instant,
}

/// What the loop was woken by.
pub(crate) enum Woken {
    /// A message, or the end of the channel.
    Message(Option<Message>),
    /// A signal to the supervisor.
    Signal(i32),
    /// Init is gone.
    Dead,
    /// The gateway or the broker has something to say, or is gone, or the zygote is; or the egress filter has refused something.
    Outside(Outside),
    /// The sandbox's mount table changed.
    Mounts,
    /// Nothing but time.
    Tick,
}

/// Who serves the sandbox from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    Gateway,
    Filter,
    Broker,
    Zygote,
}

impl Sandbox {
    /// Waits for the next thing, and moves the terminal's bytes meanwhile.
    pub(crate) fn next(&self, relay: Option<&mut Relay>, timeout: Duration) -> Result<Woken, Errno> {
        let none = (self.channel.as_fd(), PollFlags::empty());
        // A descriptor of which nothing is wanted is not watched at all: poll(2) would report its hang-up for ever.
        let interests = relay.as_ref().map_or([none; 3], |relay| {
            relay.interests().map(|interest| if interest.1.is_empty() { none } else { interest })
        });
        let mut watched = [
            PollFd::from_borrowed_fd(self.channel.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN),
            interest(interests[0]),
            interest(interests[1]),
            interest(interests[2]),
            // Without a table yet, nothing is wanted of the channel a second time.
            self.mountinfo.as_ref().map_or(interest(none), |table| {
                PollFd::from_borrowed_fd(table.as_fd(), PollFlags::PRI | PollFlags::ERR)
            }),
            self.outside[0].as_ref().map_or(interest(none), |fd| interest((fd.as_fd(), PollFlags::IN))),
            self.outside[1].as_ref().map_or(interest(none), |fd| interest((fd.as_fd(), PollFlags::IN))),
            self.outside[2].as_ref().map_or(interest(none), |fd| interest((fd.as_fd(), PollFlags::IN))),
            self.outside[3].as_ref().map_or(interest(none), |fd| interest((fd.as_fd(), PollFlags::IN))),
        ];
        let wait = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        match poll(&mut watched, Some(&wait)) {
            Err(Errno::INTR) => return Ok(Woken::Tick),
            other => other.map(drop)?,
        }
        let ready = watched.each_ref().map(PollFd::revents);
        let [message, signal, dead, stdin, master, stdout, table, gateway, filter, broker, zygote] = ready;
        if let Some(relay) = relay {
            relay.move_bytes([stdin, master, stdout]);
        }
        if !message.is_empty() {
            return channel::receive(self.channel.as_fd()).map(Woken::Message);
        }
        if !signal.is_empty() {
            return Ok(signal::next(&self.signals)?.map_or(Woken::Tick, Woken::Signal));
        }
        if !dead.is_empty() {
            return Ok(Woken::Dead);
        }
        if !gateway.is_empty() && self.outside[0].is_some() {
            return Ok(Woken::Outside(Outside::Gateway));
        }
        if !filter.is_empty() && self.outside[1].is_some() {
            return Ok(Woken::Outside(Outside::Filter));
        }
        if !broker.is_empty() && self.outside[2].is_some() {
            return Ok(Woken::Outside(Outside::Broker));
        }
        if !zygote.is_empty() && self.outside[3].is_some() {
            return Ok(Woken::Outside(Outside::Zygote));
        }
        Ok(if table.is_empty() { Woken::Tick } else { Woken::Mounts })
    }

    /// Sends a signal to init, which forwards it to the agent; SIGKILL ends init and with it everything.
    pub(crate) fn signal(&self, signal: i32) {
        // A failure means that init is already gone, which the pidfd says too.
        let _ = signal_pidfd(self.pidfd.as_fd(), signal);
    }

    /// Reads the mount table again.
    fn mounts(&self) -> Result<String, String> {
        use std::io::{Read, Seek};
        let Some(mut table) = self.mountinfo.as_ref() else { return Ok(String::new()) };
        let mut text = Vec::with_capacity(8192);
        table.rewind().and_then(|()| table.read_to_end(&mut text)).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether all is mounted that was when it was judged.
    pub(crate) fn still_holds(&self, mounts: &Mounts) -> Result<(), String> {
        let table = self.mounts();
        let checked = table.and_then(|table| mounts.still_holds(&table).map_err(|refusal| refusal.reason));
        checked.map_err(|reason| {
            format!("the host replaced a file that was held for it, which may have been open since: {reason}")
        })
    }

    /// Waits until init, and with it every process of the sandbox, is gone. `None`: it cannot be killed (it hangs in
    /// the kernel, on a file system that does not answer), and is left to the kernel.
    pub(crate) fn reap(&self) -> Option<Reaped> {
        let mut watched = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
        let ended = poll(&mut watched, Some(&patience)).is_ok_and(|ready| ready > 0);
        wait(self.pid, ended).ok().flatten()
    }
}

fn interest((fd, flags): (BorrowedFd<'_>, PollFlags)) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, flags)
}

/// How the agent ended, before it is reaped.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// wait(2) status of the agent, when init could still say.
    pub(crate) status: Option<i32>,
    /// Why the supervisor killed it.
    pub(crate) killed: Option<String>,
    /// Why the command could not be executed.
    pub(crate) exec_failed: Option<Errno>,
    /// A step that failed after the supervisor's go.
    pub(crate) failed: Option<Failure>,
}

/// Limits that the loop watches.
pub(crate) struct Watched<'a> {
    /// Wall time.
    pub(crate) wall: Option<&'a Bound>,
    /// The run's cgroup.
    pub(crate) cgroup: Option<&'a Cgroup>,
    /// Its limits, for their origins.
    pub(crate) limits: &'a [CgroupLimit],
    /// What must stay mounted.
    pub(crate) mounts: &'a Mounts,
}

impl Watched<'_> {
    /// Records what the kernel has counted since `before`.
    fn record(&self, before: &mut Counts, recorder: &mut dyn Recorder) -> Result<(), String> {
        let Some(cgroup) = self.cgroup else { return Ok(()) };
        let now = cgroup.counts();
        let news = [
            ("memory", "memory.max", "killed", now.oom_kills.saturating_sub(before.oom_kills)),
            ("pids", "pids.max", "denied", now.forks_refused.saturating_sub(before.forks_refused)),
        ];
        *before = now;
        for (limit, file, outcome, count) in news {
            if count > 0 {
                let origin = self.limits.iter().find(|limit| limit.file == file);
                recorder.record(&Event::Limit {
                    limit: limit.to_owned(),
                    outcome: outcome.to_owned(),
                    count,
                    origin: origin.map(|limit| limit.origin.to_string()),
                })?;
            }
        }
        Ok(())
    }
}

/// The loop, until init is gone. Whatever goes wrong in it kills the sandbox.
pub(crate) fn supervise(
    sandbox: &Sandbox,
    mut relay: Option<Relay>,
    watched: &Watched<'_>,
    beside: &mut Beside<'_, '_>,
    recorder: &mut dyn Recorder,
) -> End {
    let mut end = End::default();
    let mut counts = Counts::default();
    let mut next_tick = Instant::now() + TICK;
    // A time that no clock reaches is no deadline.
    let deadline = watched
        .wall
        .and_then(|bound| Some((sandbox.started.checked_add(Duration::from_secs(bound.value))?, bound)));
    let mut asked = 0;
    loop {
        let now = Instant::now();
        if let Some((_, bound)) = deadline.filter(|(at, _)| now >= *at && end.killed.is_none()) {
            let reason = format!("it ran for {} s, the most that {} allows", bound.value, bound.origin);
            let event = Event::Limit {
                limit: "wall".to_owned(),
                outcome: "killed".to_owned(),
                count: 1,
                origin: Some(bound.origin.to_string()),
            };
            // The kill follows either way.
            drop(recorder.record(&event));
            kill(sandbox, &mut end, reason);
        }
        if now >= next_tick {
            next_tick = now + TICK;
            check_mounts(sandbox, watched, &mut end);
            if let Err(reason) = beside.tick(sandbox.pid, recorder) {
                kill(sandbox, &mut end, reason);
            }
            if let Err(reason) = recorder.check().and_then(|()| watched.record(&mut counts, recorder)) {
                kill(sandbox, &mut end, format!("the audit log cannot be written: {reason}"));
            }
        }
        if let Err(reason) = beside.converse(relay.as_mut(), recorder) {
            kill(sandbox, &mut end, reason);
        }
        let wake = deadline.map_or(next_tick, |(deadline, _)| {
            if end.killed.is_none() { deadline.min(next_tick) } else { next_tick }
        });
        match sandbox.next(relay.as_mut(), wake.saturating_duration_since(now)) {
            Ok(Woken::Message(Some(Message::Exited(status)))) => end.status = Some(status),
            Ok(Woken::Message(Some(Message::ExecFailed(errno)))) => end.exec_failed = Some(errno),
            Ok(Woken::Message(Some(Message::Failed(failure)))) => end.failed = Some(failure),
            Ok(Woken::Message(Some(_))) => kill(sandbox, &mut end, "it sent what it must not".to_owned()),
            // The end of the channel: init ends now.
            Ok(Woken::Message(None) | Woken::Dead) => break,
            Ok(Woken::Signal(libc::SIGWINCH)) => {
                if let Some(relay) = &relay {
                    relay.resize();
                }
            }
            Ok(Woken::Signal(signal @ (libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU))) => {
                sandbox.signal(signal);
                if let Some(relay) = &relay {
                    relay.suspend();
                }
                stop_self();
                sandbox.signal(libc::SIGCONT);
                if let Some(relay) = &relay {
                    relay.resume();
                }
            }
            Ok(Woken::Signal(signal)) => {
                sandbox.signal(signal);
                asked += u32::from(matches!(signal, libc::SIGINT | libc::SIGTERM | libc::SIGQUIT));
                if asked == PATIENCE {
                    kill(sandbox, &mut end, format!("it was asked to end {PATIENCE} times"));
                }
            }
            Ok(Woken::Outside(who)) => {
                if let Err(reason) = beside.heard(who, sandbox.pid, recorder) {
                    kill(sandbox, &mut end, reason);
                    break;
                }
            }
            Ok(Woken::Mounts) => check_mounts(sandbox, watched, &mut end),
            Ok(Woken::Tick) => {}
            Err(errno) => {
                kill(sandbox, &mut end, crate::refusal::describe(errno));
                break;
            }
        }
    }
    sandbox.signal(libc::SIGKILL);
    beside.end();
    // What was replaced just before the end must not pass for a run in which all was held: the open table keeps the mount
    // namespace when its last process is gone.
    if end.killed.is_none() {
        check_mounts(sandbox, watched, &mut end);
    }
    if let Some(relay) = &mut relay {
        relay.asked("the run ended");
        relay.finish();
    }
    if let Err(reason) = watched.record(&mut counts, recorder) {
        end.killed.get_or_insert(format!("the audit log cannot be written: {reason}"));
    }
    end
}

/// How often a person has to ask (SIGINT, SIGTERM, SIGQUIT) before the sandbox is killed.
const PATIENCE: u32 = 3;

/// A mount on a file of the host is gone when the host replaces, renames or removes that file: an editor that saves does.
/// What it held or hid is then open, so the run ends.
fn check_mounts(sandbox: &Sandbox, watched: &Watched<'_>, end: &mut End) {
    if let Err(reason) = sandbox.still_holds(watched.mounts) {
        kill(sandbox, end, reason);
    }
}

/// Stops the supervisor, as the signal that was read instead would have.
fn stop_self() {
    let _ = crate::sys::process::kill(rustix::process::getpid().as_raw_nonzero().get(), libc::SIGSTOP);
}

fn kill(sandbox: &Sandbox, end: &mut End, reason: String) {
    end.killed.get_or_insert(reason);
    sandbox.signal(libc::SIGKILL);
}
