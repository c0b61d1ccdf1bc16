//! MCP servers, as the supervisor sees them: each is a run of its own, of the plan that the agent's plan has for it, in a process of
//! this program's that is started here, started again when it ends, and ended with the agent's run. What it says on its
//! standard output is the broker's to read.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use agentfile::plan::servers::{Asked, Reached};
use agentfile::plan::{Origin, Plan, digest};
use rustix::process::{Pid, Signal, kill_process};

use crate::beside::Agent;
use crate::broker::LAYER;
use crate::fault;
use crate::refusal::Refusal;

/// How long a server waits before it is started again: doubled each time, up to the most.
const BACK_OFF: Duration = Duration::from_secs(1);
const MOST_BACK_OFF: Duration = Duration::from_secs(60);
/// A server that was there for so long has not failed.
const STEADY: Duration = Duration::from_secs(60);
/// How long a server may take to end when it is asked to. Then its run is told to kill it.
const ASKED: Duration = Duration::from_secs(2);
/// What tells it: a run that is asked three times kills what it runs, at once and in order.
const AGAIN: [Signal; 2] = [Signal::INT, Signal::QUIT];
/// How long the run may take, from the first time on. Then it is killed, and its log has no end.
const ORDERLY: Duration = Duration::from_secs(12);
/// Bytes of its standard error that are kept.
const COMPLAINT: usize = 8 * 1024;

/// The servers of one run, in the order of the plan.
pub struct Servers {
    all: Vec<Server>,
    agent: Agent,
}

/// One of them.
struct Server {
    name: String,
    origin: Origin,
    /// SHA-256 (hex) of its plan, if it is one that is started here.
    plan_sha256: Option<String>,
    running: Option<Running>,
    failures: u32,
    /// When it is to be started again.
    due: Option<Instant>,
}

/// One that runs.
struct Running {
    child: Child,
    since: Instant,
    /// When it was asked to end.
    asked: Option<Instant>,
    /// Whether its run was told to kill it.
    insisted: bool,
    /// The end of what it wrote to its standard error.
    complaint: Vec<u8>,
}

/// The standard input and output of a server, at this side.
pub type Pipes = [OwnedFd; 2];

impl Servers {
    /// Those of `plan`, which is `agent`'s, none of them started.
    ///
    /// # Errors
    /// A plan without a canonical form.
    pub(crate) fn of(plan: &Plan, agent: Agent) -> Result<Self, Refusal> {
        let mut all = Vec::new();
        for Asked { name, reached, origin, .. } in plan.servers_asked() {
            let plan_sha256 = match reached {
                Reached::Started(plan) => Some(digest::digest(plan).map_err(|error| {
                    Refusal::new(format!("the plan of `{name}` has no canonical form: {error}")).step(LAYER)
                })?),
                Reached::Remote { .. } => None,
            };
            let (name, origin) = (name.to_owned(), origin.clone());
            all.push(Server { name, origin, plan_sha256, running: None, failures: 0, due: None });
        }
        Ok(Self { all, agent })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The name of one.
    #[must_use]
    pub fn name(&self, number: usize) -> Option<&str> {
        self.all.get(number).map(|server| server.name.as_str())
    }

    /// The name of one that is somewhere else.
    #[must_use]
    pub fn name_of_remote(&self, number: usize) -> Option<&str> {
        self.all.get(number).filter(|server| server.plan_sha256.is_none()).map(|server| server.name.as_str())
    }

    /// The numbers of those that are somewhere else.
    pub fn remote(&self) -> impl Iterator<Item = usize> {
        let numbered = self.all.iter().enumerate();
        numbered.filter(|(_, server)| server.plan_sha256.is_none()).map(|(number, _)| number)
    }

    /// Name and plan of each that is started here, and its line.
    pub fn each(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.all
            .iter()
            .filter_map(|server| Some((server.name.as_str(), server.plan_sha256.as_deref()?, &server.origin)))
    }

    /// Starts all that are started here, each with its number. They come up beside each other, and beside the agent's sandbox.
    ///
    /// # Errors
    /// fork(2), pipe(2).
    pub fn start(&mut self) -> Result<Vec<(usize, Pipes)>, Refusal> {
        let mut pipes = Vec::with_capacity(self.all.len());
        let here = self.all.iter_mut().enumerate().filter(|(_, server)| server.plan_sha256.is_some());
        for (number, server) in here {
            fault::check(fault::SERVER).map_err(|reason| Refusal::new(reason).step(fault::SERVER))?;
            let started = server.start(&self.agent);
            let started = started.map_err(|reason| {
                Refusal::new(format!("the server `{}` cannot be started: {reason}", server.name))
                    .step(fault::SERVER)
                    .at(&server.origin)
            })?;
            pipes.push((number, started));
        }
        Ok(pipes)
    }

    /// A server does not answer any more, or said what it must not: one that was started is asked to end, and will be started again. Its name, and why,
    /// with what it wrote to its standard error. `None`: there is no such server.
    pub fn gone(&mut self, number: usize, reason: &str) -> Option<(String, String)> {
        let server = self.all.get_mut(number)?;
        let complaint = server.running.as_mut().map(Running::ask_to_end).unwrap_or_default();
        let said = if complaint.is_empty() { complaint } else { format!(": {complaint}") };
        Some((server.name.clone(), format!("{reason}{said}")))
    }

    /// What each has written to its standard error is taken from its pipe, what was asked to end and does not is killed, and what
    /// is due is started again: number and pipes of the first that is, or why it could not be.
    pub fn tick(&mut self) -> Option<(usize, Result<Pipes, String>)> {
        self.all.iter_mut().for_each(Server::tick);
        let now = Instant::now();
        let due = |server: &Server| server.due.is_some_and(|due| due <= now);
        let number = self.all.iter().position(due)?;
        let server = self.all.get_mut(number)?;
        server.due = None;
        let started = server.start(&self.agent);
        if started.is_err() {
            server.back_off(Duration::ZERO);
        }
        Some((number, started))
    }

    /// Takes what they wrote to their standard error, which holds up one that writes much.
    pub fn listen(&mut self) {
        self.all.iter_mut().filter_map(|server| server.running.as_mut()).for_each(Running::listen);
    }

    /// What those that `reason` names wrote to their standard error.
    pub fn complaints(&mut self, reason: &str) -> String {
        let mut all = Vec::new();
        for server in &mut self.all {
            let Some(running) = &mut server.running else { continue };
            if !reason.contains(&format!("`{}`", server.name)) {
                continue;
            }
            running.listen();
            let text = running.text();
            if !text.is_empty() {
                all.push(format!("`{}` says: {text}", server.name));
            }
        }
        all.join("; ")
    }
}

impl Server {
    fn start(&mut self, agent: &Agent) -> Result<Pipes, String> {
        let mut command = agent.command("serve-mcp", &self.name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let running =
            Running { child, since: Instant::now(), asked: None, insisted: false, complaint: Vec::new() };
        if let Some(stderr) = &running.child.stderr {
            rustix::io::ioctl_fionbio(stderr, true).map_err(|errno| errno.to_string())?;
        }
        self.running = Some(running);
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => Ok([stdin.into(), stdout.into()]),
            _ => Err("it has no pipes".to_owned()),
        }
    }
}

impl Server {
    fn tick(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.listen();
        let Some(asked) = running.asked else { return };
        if !running.has_ended() {
            // That it is gone is seen the next time.
            return running.press();
        }
        let lasted = asked.duration_since(running.since);
        self.running = None;
        self.back_off(lasted);
    }

    /// When it is started again.
    fn back_off(&mut self, lasted: Duration) {
        self.failures = if lasted > STEADY { 1 } else { self.failures.saturating_add(1) };
        let wait = BACK_OFF.saturating_mul(1 << (self.failures - 1).min(6)).min(MOST_BACK_OFF);
        self.due = Some(Instant::now() + wait);
    }
}

impl Running {
    /// Takes what it wrote to its standard error.
    fn listen(&mut self) {
        let Some(stderr) = &mut self.child.stderr else { return };
        let mut buffer = [0; 4096];
        // As much as a pipe holds, so that one that writes for ever is not listened to for ever.
        for _ in 0..16 {
            match stderr.read(&mut buffer) {
                Ok(read @ 1..) => self.complaint.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                _ => break,
            }
        }
        let more = self.complaint.len().saturating_sub(COMPLAINT);
        self.complaint.drain(..more);
    }

    fn text(&self) -> String {
        agentrc_audit::text::printable_text(String::from_utf8_lossy(&self.complaint).trim())
    }

    /// Asks it to end. What it wrote.
    fn ask_to_end(&mut self) -> String {
        self.listen();
        self.tell(Signal::TERM);
        self.asked.get_or_insert_with(Instant::now);
        self.text()
    }

    /// Goes on with one that was asked to end and has not.
    fn press(&mut self) {
        let asked = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        if asked > ORDERLY {
            let _ = self.child.kill();
        } else if asked > ASKED && !self.insisted {
            self.insisted = true;
            AGAIN.into_iter().for_each(|signal| self.tell(signal));
        }
    }

    fn tell(&self, signal: Signal) {
        // One that has ended meanwhile is still ours to reap: its number is nobody else's.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it is gone; then it is reaped.
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // All are asked before one is waited for.
        for running in self.all.iter_mut().filter_map(|server| server.running.as_mut()) {
            drop(running.ask_to_end());
        }
        let mut left: Vec<_> = self.all.iter_mut().filter_map(|server| server.running.as_mut()).collect();
        loop {
            left.retain_mut(|running| !running.has_ended());
            if left.is_empty() {
                return;
            }
            for running in &mut left {
                running.listen();
                running.press();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The ends as they are attached to a message.
#[must_use]
pub fn each(pipes: &Pipes) -> [BorrowedFd<'_>; 2] {
    pipes.each_ref().map(AsFd::as_fd)
}
