//! The scripts of skills that say what they may touch. Each call is a run of its own, of the plan that the agent's plan has for it, in
//! a process of this program's that is started here, as those of MCP servers are; the call's pipes are its standard streams. What its
//! sandbox is, who serves it and what is on record of it, is that run's.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use agentfile::plan::{BrokerEntry, Origin, Plan, digest};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::LAYER;
use crate::beside::Agent;
use crate::refusal::Refusal;

/// A run that is asked three times kills what it runs, at once and in order.
const ASKING: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];
/// Most that wait for their turn: the broker hands over one at a time, and the next once the last was cancelled.
const MOST: usize = 32;
/// How long one may take for that.
const ASKED: Duration = Duration::from_secs(5);

/// Those of one run. One runs at a time, since each has the agent's limits for itself.
pub(super) struct Scripts {
    skills: HashMap<usize, Skill>,
    running: Option<Running>,
    /// Those that follow it, in their order.
    waiting: VecDeque<Waiting>,
    agent: Agent,
}

/// A skill whose calls are runs.
struct Skill {
    name: String,
    origin: Origin,
    plan_sha256: String,
}

/// A call that runs.
struct Running {
    call: u64,
    pidfd: OwnedFd,
    /// When it was asked to end.
    asked: Option<Instant>,
}

/// A call that waits for its turn.
struct Waiting {
    call: u64,
    entry: usize,
    streams: [OwnedFd; 3],
    status: OwnedFd,
}

impl Scripts {
    /// Those of `plan`, which is `agent`'s, none of them started.
    ///
    /// # Errors
    /// A plan without a canonical form.
    pub(super) fn of(plan: &Plan, agent: Agent) -> Result<Self, Refusal> {
        let mut skills = HashMap::new();
        for (entry, declared) in plan.broker.iter().enumerate() {
            let BrokerEntry::Skill { definition: Some(skill), permitted: true, origin, .. } = declared else {
                continue;
            };
            let Some(plan) = &skill.plan else { continue };
            let plan_sha256 = digest::digest(plan).map_err(|error| {
                Refusal::new(format!("the plan of `{}` has no canonical form: {error}", skill.name))
                    .step(LAYER)
            })?;
            skills.insert(entry, Skill { name: skill.name.clone(), origin: origin.clone(), plan_sha256 });
        }
        Ok(Self { skills, running: None, waiting: VecDeque::new(), agent })
    }

    /// Name and plan of each, and its line.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.skills.values().map(|skill| (skill.name.as_str(), skill.plan_sha256.as_str(), &skill.origin))
    }

    /// Whether the calls of this entry of the plan are runs.
    pub(super) fn has(&self, entry: usize) -> bool {
        self.skills.contains_key(&entry)
    }

    /// Starts one, when its turn comes. `status` is where the status of wait(2) is written, four bytes in native order, when it has
    /// ended; an end of file without them: it was never started, or nobody knows how it ended.
    ///
    /// # Errors
    /// Why it was not started.
    pub(super) fn start(
        &mut self,
        entry: usize,
        call: u64,
        streams: [OwnedFd; 3],
        status: OwnedFd,
    ) -> Result<(), String> {
        let waits = self.waiting.iter().any(|waiting| waiting.call == call);
        if waits || self.running.as_ref().is_some_and(|running| running.call == call) {
            return Err("a call of this number is under way".to_owned());
        }
        if self.waiting.len() >= MOST {
            return Err(format!("{MOST} calls of skills wait already"));
        }
        let next = Waiting { call, entry, streams, status };
        if self.is_free() && self.waiting.is_empty() {
            return self.execute(next);
        }
        self.waiting.push_back(next);
        Ok(())
    }

    /// Whether none runs.
    fn is_free(&mut self) -> bool {
        if self.running.as_ref().is_some_and(Running::has_ended) {
            self.running = None;
        }
        self.running.is_none()
    }

    fn execute(&mut self, next: Waiting) -> Result<(), String> {
        let Waiting { call, entry, streams: [stdin, stdout, stderr], status } = next;
        let skill = self.skills.get(&entry).ok_or("the plan has no such skill")?;
        let mut command = self.agent.command("serve-skill", &skill.name);
        command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
        // Before there is a process, which could not be waited for otherwise.
        let (give, take) = mpsc::channel();
        let waiter = std::thread::Builder::new().spawn(move || wait(&take, &status));
        waiter.map_err(|error| error.to_string())?;
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let pidfd = match open(&child) {
            Ok(pidfd) => pidfd,
            Err(reason) => {
                // Nothing but that would end it.
                let _ = child.kill();
                let _ = child.wait();
                return Err(reason);
            }
        };
        // The waiter is there for as long as nothing was sent.
        let _ = give.send(child);
        self.running = Some(Running { call, pidfd, asked: None });
        Ok(())
    }

    /// Ends a call, with all that it started.
    pub(super) fn kill(&mut self, call: u64) {
        self.waiting.retain(|waiting| waiting.call != call);
        if let Some(running) = self.running.as_mut().filter(|running| running.call == call) {
            running.ask();
        }
    }

    /// Kills what was asked to end and did not, and starts what waits for its turn.
    pub(super) fn tick(&mut self) {
        if let Some(running) = &self.running
            && running.asked.is_some_and(|asked| asked.elapsed() > ASKED)
        {
            running.kill();
        }
        while self.is_free() {
            let Some(next) = self.waiting.pop_front() else { return };
            // One that cannot be started is told so by the end of its pipes.
            let _ = self.execute(next);
        }
    }

    /// Ends all of them, and waits for that.
    pub(super) fn end(&mut self) {
        self.waiting.clear();
        let Some(mut running) = self.running.take() else { return };
        running.ask();
        if !running.ends_within(ASKED) {
            running.kill();
            // What is killed and does not end hangs in the kernel, and is left to it.
            running.ends_within(ASKED);
        }
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    fn ask(&mut self) {
        if self.asked.is_none() {
            self.asked = Some(Instant::now());
            for signal in ASKING {
                // One that has ended is none to ask.
                let _ = pidfd_send_signal(&self.pidfd, signal);
            }
        }
    }

    fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Whether it does. How it ended is the waiter's to say, who may have to wait for room in a pipe of the broker's.
    fn ends_within(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&left)) {
                Err(Errno::INTR) => {}
                ready => return ready.is_ok_and(|ready| ready > 0),
            }
        }
    }
}

fn open(child: &Child) -> Result<OwnedFd, String> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("it has no process id")?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| errno.to_string())
}

/// What a waiter does. Whoever does not hear how it ended is told that it was killed.
fn wait(take: &mpsc::Receiver<Child>, to: &OwnedFd) {
    let Ok(mut child) = take.recv() else { return };
    if let Ok(status) = child.wait() {
        // Nobody may want to know any more.
        let _ = rustix::io::write(to, &status.into_raw().to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::Command;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    /// The other end of a call's status, and the call's own ends.
    fn ends() -> (std::fs::File, [OwnedFd; 3], OwnedFd) {
        let null =
            || OwnedFd::from(std::fs::File::options().read(true).write(true).open("/dev/null").unwrap());
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        (ours.into(), [null(), null(), null()], theirs)
    }

    /// One skill, of which call 1 runs until it is killed.
    fn busy() -> (Scripts, Child) {
        let child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let running = Running { call: 1, pidfd: open(&child).unwrap(), asked: None };
        let skill = Skill {
            name: "no-skill".to_owned(),
            origin: Origin::builtin("none"),
            plan_sha256: "no-digest".to_owned(),
        };
        let scripts = Scripts {
            skills: HashMap::from([(0, skill)]),
            running: Some(running),
            waiting: VecDeque::new(),
            agent: Agent::new("/nonexistent/Agentfile".as_ref(), "no-digest", "no-run"),
        };
        (scripts, child)
    }

    fn runs(scripts: &Scripts) -> Option<u64> {
        scripts.running.as_ref().map(|running| running.call)
    }

    #[test]
    fn a_call_begins_when_the_last_has_ended_and_not_when_it_was_asked_to() {
        let (mut scripts, mut child) = busy();
        let (mut status, streams, theirs) = ends();
        scripts.start(0, 2, streams, theirs).unwrap();
        scripts.tick();
        assert_eq!((runs(&scripts), scripts.waiting.len()), (Some(1), 1));
        child.kill().unwrap();
        child.wait().unwrap();
        scripts.tick();
        assert!(runs(&scripts) != Some(1) && scripts.waiting.is_empty());
        // It may have ended by now: it was started.
        assert_eq!(status.read(&mut [0; 4]).unwrap(), 4);
    }

    #[test]
    fn one_that_waits_can_be_cancelled_and_a_number_is_one_call() {
        let (mut scripts, mut child) = busy();
        let (mut status, streams, theirs) = ends();
        scripts.start(0, 2, streams, theirs).unwrap();
        for call in [1, 2] {
            let (_status, streams, theirs) = ends();
            assert!(scripts.start(0, call, streams, theirs).unwrap_err().contains("under way"));
        }
        scripts.kill(2);
        // An end of file, and no status: it was never started.
        assert_eq!(status.read(&mut [0; 4]).unwrap(), 0);
        let mut kept = Vec::new();
        for call in 0..MOST as u64 {
            let (status, streams, theirs) = ends();
            scripts.start(0, 10 + call, streams, theirs).unwrap();
            kept.push(status);
        }
        let (_status, streams, theirs) = ends();
        assert!(scripts.start(0, 99, streams, theirs).unwrap_err().contains("wait already"));
        child.kill().unwrap();
        child.wait().unwrap();
        scripts.end();
        assert!(scripts.waiting.is_empty() && scripts.running.is_none());
    }
}
