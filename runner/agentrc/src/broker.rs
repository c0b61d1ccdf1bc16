//! The supervisor's side of the broker: starts its process, hands it the socket that was made inside, puts what it reports into the log,
//! and has the programs of tools started, each in a sandbox of its own. It decides nothing: the policies are asked in the broker's
//! process; but it starts only what the plan names, and only what is on record.

mod approvals;
mod connections;
mod memories;
mod pins;
mod policies;
mod program;
mod scripts;
mod serving;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use agentfile::plan::{BrokerEntry, Plan};
use agentrc_audit::Event;
use agentrc_audit::folder::Folder;
use agentrc_broker::Config;
use agentrc_broker::judge::Operator;
use agentrc_broker::report::{Call, Done, Order, Report};
use agentrc_host::StateDir;
use agentrc_host::runs::Run;
use agentrc_jail::service::{Role, Service, confine_broker};
use agentrc_jail::{Entered, Entrance, Recorder, Unopened, Work};
use agentrc_service::channel;
use rustix::io::Errno;

use self::approvals::Approvals;
pub use self::approvals::Asking;
use self::connections::Connections;
use self::memories::memories;
pub use self::pins::Pins;
use self::program::{Program, c_string};
use self::scripts::Scripts;
use crate::beside::Agent;
use crate::health::Health;
use crate::policies::Policies;
use crate::refusal::Refusal;
use crate::servers::{Pipes, Servers};
use crate::socket::{self, Process};
use crate::{denial, exit};

/// The layer's name in the log.
pub const LAYER: &str = "broker";
/// A broker that runs.
pub struct Broker {
    service: Service,
    /// For each entry of the plan's broker, its program, if it has one.
    programs: Vec<Option<Program>>,
    environment: Vec<CString>,
    directory: CString,
    servers: Servers,
    /// Their pipes, until the broker has them.
    pipes: Vec<(usize, Pipes)>,
    /// What is told of their tools for the first time, until it is all there.
    pins: Pins,
    /// What is started by the clock, and not by a call.
    health: Option<Health>,
    /// Calls whose program was started.
    running: HashMap<u64, Entered>,
    /// Those whose program is a run of its own.
    scripts: Scripts,
    /// Its way to the network.
    connections: Connections,
    /// What a person is asked about.
    approvals: Approvals,
    /// Which servers somewhere else have not said yet what their tools are; then the agent is started.
    awaited: BTreeSet<usize>,
    /// Until when they are waited for.
    deadline: Option<Instant>,
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
    pub run: &'a Run,
    /// The Agentfile.
    pub agentfile: &'a Path,
    /// SHA-256 (hex) of the plan.
    pub plan_sha256: &'a str,
    /// The gateway's channel, if there is one.
    pub gateway: Option<BorrowedFd<'a>>,
    /// What the host's configuration says about approvals.
    pub operator: Operator,
    /// How a person is asked.
    pub asking: Asking,
    /// What its tools were.
    pub pins: Pins,
    /// Names of credentials, and what stands for their values.
    pub placeholders: &'a [(OsString, OsString)],
}

impl Broker {
    /// Starts one for a plan that has its socket.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(setting: Setting<'_>) -> Result<Option<Self>, Refusal> {
        let Setting {
            plan,
            folder,
            state,
            run,
            agentfile,
            plan_sha256,
            gateway,
            operator,
            asking,
            pins,
            placeholders,
        } = setting;
        let remembers = plan.broker.iter().any(|entry| matches!(entry, BrokerEntry::Memory { .. }));
        let health = Health::of(plan).map_err(|reason| Refusal::new(reason).step(LAYER))?;
        let agent = Agent::new(agentfile, plan_sha256, run.id());
        let mut servers = Servers::of(plan, agent.clone())?;
        if !plan.has_broker() {
            return Ok(None);
        }
        let scripts = Scripts::of(plan, agent)?;
        let pinned = pins.known.servers.clone();
        let memories = remembers.then(|| memories(state)).transpose()?;
        let programs = plan.broker.iter().map(Program::of).collect::<Result<Vec<_>, _>>()?;
        let variables = plan.environment.iter().map(|one| c_string(&format!("{}={}", one.name, one.value)));
        let environment = variables.collect::<Result<Vec<_>, _>>()?;
        let directory = c_string(&plan.workdir)?;
        let placeholders = texts(placeholders);
        let awaited = servers.remote().collect();
        let connections = Connections::of(plan, gateway)?;
        let approvals = Approvals::new(run, plan, &operator, asking)?;
        let service = Service::start(Role::Broker, &[], |channel| {
            let kept = memories.as_ref().map(|_| Folder::open(state.folder().path())).transpose();
            let Ok(kept) = kept else { return exit::REFUSED };
            let writable = memories.clone();
            let config = Config {
                plan,
                judge: Box::new(Policies::of(plan)),
                folder: folder.to_owned(),
                state: kept,
                run: run.id().to_owned(),
                pins: pinned,
                placeholders: placeholders.clone(),
                operator,
                confine: Box::new(move || {
                    // The step goes with its reason: it is the broker that tells of it.
                    confine_broker(writable.as_deref())
                        .map_err(|refusal| format!("{} ({})", refusal.reason, refusal.step.name()))
                }),
            };
            agentrc_broker::run(config, channel)
        });
        let service = service.map_err(|refusal| Refusal::from(&refusal))?;
        // After the broker, which has none of their pipes until it is given them.
        let pipes = servers.start()?;
        let running = HashMap::new();
        Ok(Some(Self {
            service,
            programs,
            environment,
            directory,
            servers,
            pipes,
            pins,
            health,
            connections,
            approvals,
            awaited,
            deadline: None,
            running,
            scripts,
            init: 0,
        }))
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
        let program = match call.entry.map(|entry| self.programs.get(entry).and_then(Option::as_ref)) {
            Some(None) => return Err(no_sense("a program that the plan does not have")),
            Some(Some(program)) if !program.is_meant(&call.act) => {
                return Err(no_sense("another program than it starts"));
            }
            program => program.flatten(),
        };
        let words = program.map(|program| program.words.clone());
        self.approvals.used(&call)?;
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
        let Some(words) = words else {
            return if pipes.is_empty() { Ok(Ok(())) } else { Err(no_sense("pipes for no program")) };
        };
        let Some(entrance) = entrance else { return Ok(Err("the run ends".to_owned())) };
        let Ok([stdin, stdout, stderr, status]) = <[OwnedFd; 4]>::try_from(pipes) else {
            return Err(no_sense("a program without its four pipes"));
        };
        if let Some(entry) = call.entry.filter(|entry| self.scripts.has(*entry)) {
            return Ok(self.scripts.start(entry, call.id, [stdin, stdout, stderr], status));
        }
        let work = Work {
            argv: words,
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
            Report::Part { text } => self.approvals.part(&text).map(|()| None),
            Report::Ask { number, pid } => {
                let process = self.process(pid);
                self.approvals.ask(number, process, recorder)
            }
            Report::Withdraw { number } => self.approvals.withdraw(number, recorder),
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
                self.scripts.kill(id);
                Ok(None)
            }
            Report::Denied { number, denied, count, pid } => {
                let pid = pid.filter(|_| denied.limit.is_none());
                let process = pid.and_then(|pid| self.process(pid));
                let event = denial::event(LAYER, denied, count, process);
                recorder.record(&event).map_err(unrecorded)?;
                Ok(number.map(|number| Order::Recorded { number }))
            }
            Report::Connect { number, scheme, host, port } => {
                match self.connections.open(&scheme, &host, port) {
                    Ok(connection) => {
                        self.order(&Order::Connected { number }, &[connection.as_fd()])?;
                        Ok(None)
                    }
                    Err(reason) => Ok(Some(Order::Refused { number, reason: channel::cut(&reason) })),
                }
            }
            Report::Gone { server, reason } => {
                let Some((server, reason)) = self.servers.gone(server, &channel::cut(&reason)) else {
                    return Err(no_sense("a server that the plan does not have"));
                };
                let event = Event::Server { server, state: "ended".to_owned(), reason: Some(reason) };
                recorder.record(&event).map_err(unrecorded)?;
                Ok(None)
            }
            Report::Failed { reason } => Err(failed(&reason)),
            Report::Reached { server } => self.reached(server, recorder).map(|()| None),
            Report::Pin { server, tool, part, more } if self.awaited.contains(&server) => {
                let name = self.servers.name(server).ok_or_else(|| no_sense("a server of no plan"))?;
                self.pins.take(name, &tool, &part, more).map(|()| None)
            }
            // What a tool is, is known before the agent starts.
            Report::Pin { .. } => Err(no_sense("a tool to be pinned")),
            Report::Ready { .. } => Err(no_sense("that it serves, again")),
        }
    }

    /// A server that is somewhere else has said what its tools are.
    fn reached(&mut self, server: usize, recorder: &mut dyn Recorder) -> Result<(), String> {
        let name =
            self.servers.name_of_remote(server).ok_or_else(|| no_sense("a server of no plan"))?.to_owned();
        let first_uses: Vec<_> =
            self.pins.keep()?.iter().map(|(what, how)| format!("{what}: {how}")).collect();
        let reason = (!first_uses.is_empty()).then(|| first_uses.join(", "));
        let event = Event::Server { server: name, state: "reached".to_owned(), reason };
        recorder.record(&event).map_err(unrecorded)?;
        // One that comes back is no other.
        self.awaited.remove(&server);
        Ok(())
    }
}

fn texts(placeholders: &[(OsString, OsString)]) -> BTreeMap<String, String> {
    let text = |text: &OsString| text.to_str().map(str::to_owned);
    placeholders.iter().filter_map(|(name, placeholder)| Some((text(name)?, text(placeholder)?))).collect()
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
