//! The supervisor's side of the broker: starts its process, hands it the socket that was made inside, puts what it reports into the log,
//! and has the programs of tools started, each in a sandbox of its own. It decides nothing: the policies are asked in the broker's
//! process; but it starts only what the plan names, and only what is on record.

mod policies;

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentfile::plan::{BrokerEntry, Plan, Runs};
use agentrc_audit::Event;
use agentrc_audit::event::{Denial, LayerEvidence};
use agentrc_audit::folder::Folder;
use agentrc_broker::Config;
use agentrc_broker::report::{Call, Denied, Done, Order, Report};
use agentrc_host::StateDir;
use agentrc_jail::service::{Role, Service, confine_broker};
use agentrc_jail::{Entered, Entrance, Recorder, Unopened, Work};
use agentrc_service::channel;
use rustix::io::Errno;

use crate::policies::Policies;
use crate::refusal::Refusal;
use crate::socket::{self, Process};
use crate::{exit, host};

/// The layer's name in the log.
pub const LAYER: &str = "broker";
/// How long the broker may take for one step of its start. It asks nobody for anything.
const STARTING: Duration = Duration::from_secs(10);
/// Most reports that are heard in one go, and how long that may take: starting a program takes milliseconds.
const AT_ONCE: usize = 64;
const IN_ONE_GO: Duration = Duration::from_millis(20);
/// How long its last reports may take.
const ENDING: Duration = Duration::from_secs(2);
/// Our own program inside.
const CLIENT: &str = "/agentrc/bin/mcp";
/// The folder of all memories in the state directory.
const MEMORIES: &str = "memory";

/// A broker that runs.
pub struct Broker {
    service: Service,
    /// For each entry of the plan's broker, the words of its program, if it has one.
    programs: Vec<Option<Vec<CString>>>,
    environment: Vec<CString>,
    directory: CString,
    /// Calls whose program was started.
    running: HashMap<u64, Entered>,
    /// The sandbox's first process.
    init: i32,
}

/// What the broker of a run is told.
pub struct Setting<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The Agentfile's folder.
    pub folder: &'a Path,
    /// The state directory.
    pub state: &'a StateDir,
    /// The run.
    pub run: &'a str,
    /// The place in the host's configuration that lets untrusted content change memories.
    pub confirms: Option<String>,
}

impl Broker {
    /// Starts one for a plan that has something to serve.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(setting: Setting<'_>) -> Result<Option<Self>, Refusal> {
        let Setting { plan, folder, state, run, confirms } = setting;
        let remembers = plan.broker.iter().any(|entry| matches!(entry, BrokerEntry::Memory { .. }));
        let serves = |entry: &BrokerEntry| matches!(entry, BrokerEntry::Tool { definition: Some(_), .. });
        if !remembers && !plan.broker.iter().any(serves) {
            return Ok(None);
        }
        let memories = remembers.then(|| memories(state)).transpose()?;
        let programs = plan.broker.iter().map(words).collect::<Result<Vec<_>, _>>()?;
        let variables = plan.environment.iter().map(|one| c_string(&format!("{}={}", one.name, one.value)));
        let environment = variables.collect::<Result<Vec<_>, _>>()?;
        let directory = c_string(&plan.workdir)?;
        let service = Service::start(Role::Broker, &[], |channel| {
            let kept = memories.as_ref().map(|_| Folder::open(state.folder().path())).transpose();
            let Ok(kept) = kept else { return exit::REFUSED };
            let writable = memories.clone();
            let config = Config {
                plan,
                judge: Box::new(Policies::of(plan)),
                folder: folder.to_owned(),
                state: kept,
                run: run.to_owned(),
                confirms,
                confine: Box::new(move || {
                    // The step goes with its reason: it is the broker that tells of it.
                    confine_broker(writable.as_deref())
                        .map_err(|refusal| format!("{} ({})", refusal.reason, refusal.step.name()))
                }),
            };
            agentrc_broker::run(config, channel)
        });
        let service = service.map_err(|refusal| Refusal::from(&refusal))?;
        Ok(Some(Self { service, programs, environment, directory, running: HashMap::new(), init: 0 }))
    }

    /// The next report, waited for.
    fn next(&self, patience: Duration) -> Result<Report, String> {
        match channel::receive_within::<Report>(self.service.channel(), patience) {
            Ok(Some(Report::Failed { reason })) => Err(failed(&reason)),
            Ok(Some(report)) => Ok(report),
            Ok(None) => Err("the broker ended".to_owned()),
            Err(Errno::TIMEDOUT) => Err("the broker did not answer in time".to_owned()),
            Err(errno) => Err(format!("the broker cannot be heard: {}", describe(errno))),
        }
    }

    fn order(&self, order: &Order, attached: &[BorrowedFd<'_>]) -> Result<(), String> {
        channel::send(self.service.channel(), order, attached)
            .map_err(|errno| format!("the broker cannot be told: {}", describe(errno)))
    }

    /// The process inside, as people know it.
    fn process(&self, pid: i32) -> Option<Process> {
        socket::is_inside(pid, self.init).then(|| socket::process(pid)).flatten()
    }

    /// A call that is permitted: on record first, and then its program.
    fn call(
        &mut self,
        call: Call,
        pipes: Vec<OwnedFd>,
        entrance: Option<&mut Entrance<'_>>,
        recorder: &mut dyn Recorder,
    ) -> Result<Result<(), String>, String> {
        let call = call.cut();
        let process = self.process(call.pid);
        let event = Event::Call {
            call: call.id,
            act: call.act,
            arguments: call.arguments,
            arguments_sha256: call.arguments_sha256,
            rule: call.rule,
            pid: process.as_ref().map(|process| process.pid),
            program: process.map(|process| process.name),
        };
        recorder.record(&event).map_err(unrecorded)?;
        let Some(entry) = call.entry else {
            return if pipes.is_empty() { Ok(Ok(())) } else { Err(no_sense("pipes for no program")) };
        };
        let words = self.programs.get(entry).and_then(Option::as_ref);
        let words = words.ok_or_else(|| no_sense("a program that the plan does not have"))?;
        let Some(entrance) = entrance else { return Ok(Err("the run ends".to_owned())) };
        let Ok([stdin, stdout, stderr, status]) = <[OwnedFd; 4]>::try_from(pipes) else {
            return Err(no_sense("a program without its four pipes"));
        };
        let work = Work {
            argv: words.clone(),
            environment: self.environment.clone(),
            directory: self.directory.clone(),
            streams: [stdin, stdout, stderr],
            status,
        };
        match entrance.enter(work) {
            Ok(entered) => {
                self.running.insert(call.id, entered);
                Ok(Ok(()))
            }
            Err(refusal) => Ok(Err(format!("{} ({})", refusal.reason, refusal.step.name()))),
        }
    }

    /// Puts one report on record, and answers it.
    fn take(
        &mut self,
        report: Report,
        attached: Vec<OwnedFd>,
        entrance: Option<&mut Entrance<'_>>,
        recorder: &mut dyn Recorder,
    ) -> Result<Option<Order>, String> {
        if !attached.is_empty() && !matches!(report, Report::Call { .. }) {
            return Err(no_sense("descriptors where there are none"));
        }
        match report {
            Report::Peer { number, pid } => {
                Ok(Some(Order::Peer { number, ours: socket::is_inside(pid, self.init) }))
            }
            Report::Call { number, call } => {
                Ok(Some(match self.call(call, attached, entrance, recorder)? {
                    Ok(()) => Order::Recorded { number },
                    Err(reason) => Order::Refused { number, reason: channel::cut(&reason) },
                }))
            }
            Report::Done { id, done } => {
                self.running.remove(&id);
                let Done { act, outcome, reason, bytes, sha256, wall_ms } = done.cut();
                let event = Event::Result { call: id, act, outcome, reason, bytes, sha256, wall_ms };
                recorder.record(&event).map_err(unrecorded)?;
                Ok(None)
            }
            Report::Kill { id } => {
                if let Some(entered) = self.running.remove(&id) {
                    entered.kill();
                }
                Ok(None)
            }
            Report::Denied { number, denied, count, pid } => {
                let event = self.denial(denied.cut(), count, pid);
                recorder.record(&event).map_err(unrecorded)?;
                Ok(number.map(|number| Order::Recorded { number }))
            }
            Report::Failed { reason } => Err(failed(&reason)),
            Report::Ready { .. } => Err(no_sense("that it serves, again")),
        }
    }

    fn denial(&self, denied: Denied, count: u64, pid: Option<i32>) -> Event {
        let Denied { act, verdict, reason, rule, limit } = denied;
        match limit {
            Some(limit) => {
                Event::Limit { limit, outcome: format!("denied ({act})"), count, origin: Some(rule) }
            }
            None => {
                let process = pid.and_then(|pid| self.process(pid));
                Event::Denial(Denial {
                    layer: LAYER.to_owned(),
                    act,
                    pid: process.as_ref().map(|process| process.pid),
                    program: process.map(|process| process.name),
                    verdict,
                    rule,
                    reason: Some(reason),
                    count,
                })
            }
        }
    }
}

impl agentrc_jail::Broker for Broker {
    fn channel(&self) -> BorrowedFd<'_> {
        self.service.channel()
    }

    fn hand_over(&mut self, listener: OwnedFd, init: i32) -> Result<(), Unopened> {
        use std::os::fd::AsFd;
        self.init = init;
        self.order(&Order::Serve, &[listener.as_fd()]).map_err(|reason| {
            // One that is gone has said why.
            unopened(self.next(Duration::ZERO).err().unwrap_or(reason))
        })
    }

    fn ready(&mut self) -> Result<LayerEvidence, Unopened> {
        match self.next(STARTING).map_err(unopened)? {
            Report::Ready { mut read_back } => {
                let filter = self.service.filter().map_err(|refusal| unopened(refusal.reason))?;
                read_back.insert("system calls".to_owned(), format!("those of the table `{filter}`"));
                Ok(LayerEvidence { layer: LAYER.to_owned(), read_back, probes: Vec::new() })
            }
            _ => Err(unopened(no_sense("something else than that it serves"))),
        }
    }

    fn heard(&mut self, entrance: &mut Entrance<'_>, recorder: &mut dyn Recorder) -> Result<(), String> {
        // Not all that there may ever be: the supervisor has a clock to watch, and signals to hear.
        let started = Instant::now();
        for _ in 0..AT_ONCE {
            if started.elapsed() > IN_ONE_GO {
                return Ok(());
            }
            match channel::receive::<Report>(self.service.channel(), false) {
                Ok(Some((report, attached))) => {
                    if let Some(order) = self.take(report, attached, Some(entrance), recorder)? {
                        self.order(&order, &[])?;
                    }
                }
                Ok(None) => return Err("the broker ended before the agent".to_owned()),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(errno) => return Err(format!("the broker cannot be heard: {}", describe(errno))),
            }
        }
        Ok(())
    }

    fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        // What is gone has reported all that it will.
        if self.order(&Order::Stop, &[]).is_err() {
            return Ok(());
        }
        let deadline = Instant::now() + ENDING;
        while Instant::now() < deadline {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                // Nobody waits any more, and nothing is started any more.
                Ok(report) => drop(self.take(report, Vec::new(), None, recorder)?),
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

/// The words of the program of an entry, if it has one.
fn words(entry: &BrokerEntry) -> Result<Option<Vec<CString>>, Refusal> {
    let BrokerEntry::Tool { entity, definition: Some(definition), .. } = entry else { return Ok(None) };
    let words = match &definition.runs {
        Runs::Broker | Runs::Http(_) => return Ok(None),
        Runs::Inside => vec![c_string(CLIENT)?, c_string("--builtin")?, c_string(entity)?],
        Runs::Program(path) => vec![c_string(path)?],
        Runs::Command(template) => {
            let template = serde_json::to_string(template)
                .map_err(|error| Refusal::new(format!("the command of `{entity}`: {error}")).step(LAYER))?;
            vec![c_string(CLIENT)?, c_string("--command")?, c_string(&template)?]
        }
    };
    Ok(Some(words))
}

/// The folder of all memories, made when it is not there.
fn memories(state: &StateDir) -> Result<PathBuf, Refusal> {
    let name = Path::new(MEMORIES);
    let made = state.folder().private_folder(name).map_err(agentrc_host::Error::from);
    made.map_err(|error| host::refusal(&error).step(LAYER))?;
    Ok(state.folder().path_of(name))
}

fn c_string(text: &str) -> Result<CString, Refusal> {
    CString::new(text).map_err(|_| Refusal::new(format!("`{text}` has a NUL byte")).step(LAYER))
}

fn failed(reason: &str) -> String {
    format!("the broker failed: {reason}")
}

fn no_sense(what: &str) -> String {
    format!("the broker said {what} when it must not")
}

fn unrecorded(reason: String) -> String {
    format!("the audit log cannot be written: {reason}")
}

fn unopened(reason: String) -> Unopened {
    Unopened { reason, help: None }
}

fn describe(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}
