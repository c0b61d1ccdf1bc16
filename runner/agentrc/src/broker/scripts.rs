//! The scripts of skills that say what they may touch. Each call is a run of its own, of the plan that the agent's plan has for it, in
//! a process of this program's that is started here, as those of MCP servers are; the call's pipes are its standard streams. What its
//! sandbox is, who serves it and what is on record of it, is that run's.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agentfile::plan::{BrokerEntry, Origin, Plan, digest};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::LAYER;
use crate::fault;
use crate::refusal::Refusal;

/// This program, whatever became of its file.
const PROGRAM: &str = "/proc/self/exe";
/// A run that is asked three times kills what it runs, at once and in order.
const ASKING: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];
/// How long one may take for that.
const ASKED: Duration = Duration::from_secs(2);
/// Between two looks whether the last have ended.
const LOOK: Duration = Duration::from_millis(2);

/// Those of one run.
pub(super) struct Scripts {
    skills: HashMap<usize, Skill>,
    running: HashMap<u64, Running>,
    agentfile: PathBuf,
    plan_sha256: String,
    run: String,
}

/// A skill whose calls are runs.
struct Skill {
    name: String,
    origin: Origin,
    plan_sha256: String,
}

/// A call.
struct Running {
    pidfd: OwnedFd,
    /// When it was asked to end.
    asked: Option<Instant>,
    /// Waits for the process, and says how it ended.
    waiter: JoinHandle<()>,
}

impl Scripts {
    /// Those of `plan`, none of them started.
    ///
    /// # Errors
    /// A plan without a canonical form.
    pub(super) fn of(plan: &Plan, agentfile: &Path, plan_sha256: &str, run: &str) -> Result<Self, Refusal> {
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
        let (agentfile, plan_sha256) = (agentfile.to_owned(), plan_sha256.to_owned());
        Ok(Self { skills, running: HashMap::new(), agentfile, plan_sha256, run: run.to_owned() })
    }

    /// Name and plan of each, and its line.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.skills.values().map(|skill| (skill.name.as_str(), skill.plan_sha256.as_str(), &skill.origin))
    }

    /// Whether the calls of this entry of the plan are runs.
    pub(super) fn has(&self, entry: usize) -> bool {
        self.skills.contains_key(&entry)
    }

    /// Starts one. `status` is where the status of wait(2) is written, four bytes in native order, when it has ended.
    ///
    /// # Errors
    /// Why it was not started.
    pub(super) fn start(
        &mut self,
        entry: usize,
        call: u64,
        [stdin, stdout, stderr]: [OwnedFd; 3],
        status: OwnedFd,
    ) -> Result<(), String> {
        let skill = self.skills.get(&entry).ok_or("the plan has no such skill")?;
        let supervisor = std::process::id().to_string();
        let mut command = Command::new(PROGRAM);
        command.arg("serve-skill").arg(&self.agentfile);
        command.args([&skill.name, &self.plan_sha256, &supervisor, &self.run]);
        // What a terminal tells the agent's run to do is not for it: it ends with the agent.
        command.process_group(0);
        command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
        fault::unarmed(&mut command);
        // Before there is a process, which could not be waited for otherwise.
        let (give, take) = mpsc::channel();
        let waiter = std::thread::Builder::new().spawn(move || wait(&take, &status));
        let waiter = waiter.map_err(|error| error.to_string())?;
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
        self.running.insert(call, Running { pidfd, asked: None, waiter });
        Ok(())
    }

    /// Ends a call, with all that it started.
    pub(super) fn kill(&mut self, call: u64) {
        if let Some(running) = self.running.get_mut(&call) {
            running.ask();
        }
    }

    /// Kills what was asked to end and did not, and forgets what has ended.
    pub(super) fn tick(&mut self) {
        for running in self.running.values() {
            if running.asked.is_some_and(|asked| asked.elapsed() > ASKED) {
                running.kill();
            }
        }
        self.running.retain(|_, running| !running.waiter.is_finished());
    }

    /// Ends all of them, and waits for that.
    pub(super) fn end(&mut self) {
        self.running.values_mut().for_each(Running::ask);
        let deadline = Instant::now() + ASKED;
        let running = |scripts: &Self| scripts.running.values().any(|running| !running.waiter.is_finished());
        while running(self) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        for (_, running) in self.running.drain() {
            running.kill();
            // It does nothing but wait for what was just killed.
            let _ = running.waiter.join();
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
