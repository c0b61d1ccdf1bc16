//! `agentrc run`: the supervisor. Compile, refuse what is not enforced, ask for consent, make the run's folder, hand over to
//! the jail, and say how it ended. Nothing here decides what the agent may do.

mod ending;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use agentfile::compile::Validate;
use agentfile::plan::unenforced::{Unenforced, unenforced};
use agentfile::plan::{MountSource, Plan};
use agentrc_audit::Event;
use agentrc_broker::judge::{Operator, Rule, Untrusted};
use agentrc_host::StateDir;
use agentrc_host::config::{self, Config, Requirement};
use agentrc_host::hostpath::HostPath as HostPathBytes;
use agentrc_host::record::{Copied, FORMAT, Record};
use agentrc_host::runs::Run;
use agentrc_jail::probe::landlock_holds_tcp;
use agentrc_jail::{Ended, Request, Signals, Step};

use self::ending::{finish, review};
use super::Outcome;
use crate::arguments;
use crate::broker::{self, Broker, Pins};
use crate::credentials::Resolving;
use crate::filter::Filter;
use crate::gateway::Gateway;
use crate::recorder::Recorder;
use crate::refusal::{Failure, Refusal};
use crate::skill::capture::Capture;
use crate::source::{Compiled, Source};
use crate::terminal::Style;
use crate::{consent, exit, fault, host, inside, python, rewritable, terminal};

/// Runs an Agentfile to its end.
///
/// # Errors
/// A refusal: the command was not executed.
pub fn run(arguments: &arguments::Run) -> Outcome {
    let source = Source::open(&arguments.at.path).map_err(Failure::refused)?;
    let job = Job {
        source: &source,
        serves: None,
        skill: None,
        state: None,
        arguments: &arguments.arguments,
        grant: arguments.grant,
        quiet: arguments.quiet,
        approve_none: arguments.approve_none,
        capture: None,
    };
    let ran = source.compile(Validate::WhenWritten).and_then(|compiled| execute(job, &compiled));
    ran.map(|ran| ran.code).map_err(|failure| failure.into_refused().shown_as(source.name(), source.shown()))
}

/// What is run, and how.
pub struct Job<'a> {
    /// The Agentfile.
    pub source: &'a Source,
    /// The run that this one is an MCP server of, or a call of one of its skills.
    pub serves: Option<&'a str>,
    /// That skill. What the run's agent can write must not lead it elsewhere.
    pub skill: Option<&'a str>,
    /// Where the run and its log go; this user's state directory when absent.
    pub state: Option<StateDir>,
    /// Appended to the argument vector of CMD.
    pub arguments: &'a [OsString],
    /// Whether everything that the plan asks of the host is consented to.
    pub grant: bool,
    /// Say nothing but refusals.
    pub quiet: bool,
    /// Deny at once what a person would have to approve.
    pub approve_none: bool,
    /// What the program's output goes through, if not straight to the caller's.
    pub capture: Option<&'a mut Capture>,
}

/// How a run ended that was not refused.
pub struct Ran {
    /// The exit code of `agentrc run`.
    pub code: u8,
    /// The run's name.
    pub run: String,
    /// Where the run and its log are.
    pub state: StateDir,
    /// How the program ended.
    pub ended: Ended,
}

/// Executes a plan to its end.
///
/// # Errors
/// A refusal: the command was not executed.
pub fn execute(job: Job<'_>, compiled: &Compiled) -> Result<Ran, Failure> {
    let Job { source, serves, skill, state, arguments, grant, quiet, approve_none, mut capture } = job;
    let Compiled { plan, digest } = compiled;
    enforceable(plan)?;
    let home = home();
    let mut reasons = python::missing(plan, source.folder(), home.as_deref());
    reasons.extend(rewritable::executed(plan, source.folder(), home.as_deref()));
    if !reasons.is_empty() {
        return Err(Failure::Refused { reasons, code: exit::REFUSED });
    }
    step(fault::CONFIGURATION)?;
    let config = Config::of_this_host().map_err(|error| host::refusal(&error).step(fault::CONFIGURATION))?;
    if let Some(place) = config.requires(Requirement::LandlockNet).filter(|_| !landlock_holds_tcp()) {
        let reason =
            format!("`{place}` requires Landlock's rules on TCP, and this kernel does not have them");
        return Err(Refusal::new(reason)
            .step(fault::CONFIGURATION)
            .help("they came with Landlock's ABI 4, in Linux 6.7")
            .into());
    }
    let cgroup_required = config.requires(Requirement::Cgroup).map(ToString::to_string);
    step(fault::STATE_DIRECTORY)?;
    let state = match state {
        Some(state) => state,
        None => {
            StateDir::of_this_user().map_err(|error| host::refusal(&error).step(fault::STATE_DIRECTORY))?
        }
    };
    let agentfile = source.path();
    // Before anybody is asked to consent to what is not what it was, and before any process.
    let pins = Pins::of(plan, &state, source.folder(), &agentfile)?;
    agree(grant, source, plan, digest, &state)?;
    let signals = Signals::take().map_err(|refusal| Refusal::from(&refusal))?;
    // Before there is anything that its process must not have.
    let keyring = state.folder().path().join("keyring");
    let resolving = Resolving::start(plan, source.folder().to_owned(), keyring)?;
    let values = resolving.as_ref().map(Resolving::values);
    let mut gateway = Gateway::start(plan, &config, values)?;
    let placeholders = resolving.map_or(Ok(Vec::new()), |resolving| resolving.placeholders(plan))?;
    let mut filter = Filter::new(plan, config.requires(Requirement::Ebpf))?;
    if let Some(capture) = &mut capture {
        capture.redirect()?;
    }
    step(fault::RUN_DIRECTORY)?;
    let run = state.create_run().map_err(|error| host::refusal(&error).step(fault::RUN_DIRECTORY))?;
    let asked_here = capture.is_none() && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let asking =
        broker::Asking { expiry: config.approvals.expiry(), none: approve_none, quiet: quiet || asked_here };
    let operator = operator(&config);
    let setting = broker::Setting {
        plan,
        folder: source.folder(),
        state: &state,
        run: &run,
        agentfile: &agentfile,
        plan_sha256: digest,
        gateway: gateway.as_ref().map(agentrc_jail::Gateway::channel),
        operator,
        asking,
        pins,
        placeholders: &placeholders,
    };
    let started = describe(source, plan, digest, &run, home.as_deref())
        .map(|record| Record { serves: serves.map(str::to_owned), skill: skill.map(str::to_owned), ..record })
        .and_then(|record| Ok((record, Broker::start(setting)?)))
        .and_then(|(record, broker)| {
            if let (Some(gateway), Some(broker)) = (&mut gateway, &broker) {
                gateway.leads_to(agentrc_jail::Broker::channel(broker))?;
            }
            Ok((record, broker))
        });
    let (record, mut broker) = match started {
        Ok(started) => started,
        Err(refusal) => {
            let mut reasons = vec![refusal];
            reasons.extend(forget(&state, run));
            return Err(Failure::Refused { reasons, code: exit::REFUSED });
        }
    };
    let mut recorder = Recorder::new(&state, &run, plan.audit.level, record);
    let certificate = gateway.as_ref().and_then(|gateway| gateway.certificate().map(str::to_owned));
    let request = Request {
        plan,
        plan_sha256: digest,
        agentfile: &agentfile,
        folder: source.folder(),
        links: skill.is_none(),
        home: home.as_deref(),
        state: state.folder().path(),
        run: run.folder().path(),
        arguments,
        cgroup_required: cgroup_required.as_deref(),
        client: Some(inside::PROGRAM),
        trust: certificate.as_deref().map(str::as_bytes),
        environment: &placeholders,
        version: env!("CARGO_PKG_VERSION"),
    };
    let served = as_served(&mut gateway);
    let asked = broker.as_mut().map(|broker| broker as &mut (dyn agentrc_jail::Broker + 'static));
    let launched = agentrc_jail::launch(&request, served, asked, &mut filter, &mut recorder, &signals);
    if let Some(capture) = &mut capture {
        capture.restore();
    }
    match launched {
        Ok(ended) => {
            let extra = arguments.first().map(|word| word.to_string_lossy());
            let planned = plan.command.as_ref().and_then(|command| command.argv.first());
            let program = planned.map_or_else(|| extra.unwrap_or_default(), |word| word.as_str().into());
            let code = finish(plan, &program, recorder, &ended, skill.is_some());
            drop(signals);
            if !quiet && has_copies(plan) {
                terminal::complain_if_terminal(&review(&state, run.id()));
            }
            let run = run.id().to_owned();
            Ok(Ran { code, run, state, ended })
        }
        Err(refusal) => {
            let mut reasons = vec![Refusal::from(&refusal)];
            reasons.extend(clear(&run, plan));
            let unopened = refusal.step == Step::OpenLog;
            let (more, has_log) = record_refusal(recorder, &reasons, unopened);
            reasons.extend(more);
            if !has_log {
                reasons.extend(forget(&state, run));
            }
            Err(Failure::Refused { reasons, code: exit::REFUSED })
        }
    }
}

/// What the host's configuration says about approvals, as the broker is told it.
fn operator(config: &Config) -> Operator {
    let asks = config.approvals.require.iter().map(|setting| Rule {
        action: setting.value.action.clone(),
        name: setting.value.name.clone(),
        origin: setting.place.to_string(),
    });
    let untrusted = match &config.untrusted {
        None => Untrusted::Unsaid,
        Some(setting) => {
            let place = setting.place.to_string();
            match setting.value {
                config::Untrusted::Refuse => Untrusted::Refuse(place),
                config::Untrusted::Ask => Untrusted::Ask(place),
                config::Untrusted::Allow => Untrusted::Allow(place),
            }
        }
    };
    Operator { asks: asks.collect(), untrusted }
}

fn as_served(gateway: &mut Option<Gateway>) -> Option<&mut (dyn agentrc_jail::Gateway + 'static)> {
    gateway.as_mut().map(|gateway| gateway as &mut (dyn agentrc_jail::Gateway + 'static))
}

/// An unenforced boundary is a refusal: every one of them, each with its line.
fn enforceable(plan: &Plan) -> Result<(), Failure> {
    let reasons: Vec<_> = unenforced(plan)
        .into_iter()
        .map(|Unenforced { what, origin, help }| {
            let help = help.unwrap_or_else(|| {
                "remove the line, or run this Agentfile with a version that enforces it (`agentrc support`)"
                    .to_owned()
            });
            Refusal::new(format!("`{what}` is not yet enforced here"))
                .step("enforceable")
                .at(origin)
                .help(help)
        })
        .collect();
    if reasons.is_empty() { Ok(()) } else { Err(Failure::Refused { reasons, code: exit::REFUSED }) }
}

/// A step of this crate's own, for fault injection.
fn step(name: &'static str) -> Result<(), Refusal> {
    fault::check(name).map_err(|reason| Refusal::new(reason).step(name))
}

/// Whether somebody consents to what reaches beyond the folder.
fn agree(grant: bool, source: &Source, plan: &Plan, digest: &str, state: &StateDir) -> Result<(), Failure> {
    if plan.grants.is_empty() || grant {
        return Ok(());
    }
    step(fault::GRANTS)?;
    let granted = state.is_granted(source.folder(), digest);
    if granted.map_err(|error| host::refusal(&error).step(fault::GRANTS))? {
        return Ok(());
    }
    if consent::can_ask() {
        terminal::complain(&consent::shown(&plan.agent, &plan.grants, Style::stderr()));
    }
    let asked = consent::ask("consent, for this run only?")
        .map_err(|error| Refusal::new(format!("cannot ask for consent: {error}")).step(consent::STEP))?;
    if asked == Some(true) {
        return Ok(());
    }
    Err(Failure::Refused { reasons: consent::missing(&plan.grants, &source.path()), code: exit::REFUSED })
}

/// What `runs`, `diff` and `apply` need to know later.
fn describe(
    source: &Source,
    plan: &Plan,
    digest: &str,
    run: &Run,
    home: Option<&Path>,
) -> Result<Record, Refusal> {
    let mut copies = Vec::new();
    for mount in &plan.mounts {
        let MountSource::Copy { source: written, layer, protected } = &mount.source else { continue };
        let path = rewritable::on_host(written, source.folder(), home).unwrap_or("/nonexistent".into());
        let identity = path.canonicalize().and_then(|path| Ok((rustix::fs::stat(&path)?, path)));
        let (stat, path) = identity.map_err(|error| {
            Refusal::new(format!("cannot find `{}`: {error}", String::from(written.clone())))
                .step("resolve-source")
                .at(&mount.origin)
        })?;
        copies.push(Copied {
            layer: layer.clone(),
            target: mount.target.clone(),
            source: HostPathBytes(path),
            device: stat.st_dev,
            inode: stat.st_ino,
            protected: protected.iter().map(|protected| protected.path.clone()).collect(),
        });
    }
    Ok(Record {
        format: FORMAT,
        run: run.id().to_owned(),
        agentfile: HostPathBytes(source.path()),
        agent: plan.agent.clone(),
        plan_sha256: digest.to_owned(),
        started: agentrc_audit::line::now(),
        supervisor_pid: rustix::process::getpid().as_raw_nonzero().get(),
        clock: run.clock().map_err(|error| host::refusal(&error).step(fault::RUN_DIRECTORY))?,
        copies,
        serves: None,
        skill: None,
    })
}

/// The layers of copies that nobody ever wrote to. That one cannot be removed is one more reason.
fn clear(run: &Run, plan: &Plan) -> Option<Refusal> {
    let layers = plan.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Copy { layer, .. } => Some(layer),
        _ => None,
    });
    let cleared =
        layers.map(|layer| agentrc_host::tree::remove(run.folder(), layer)).collect::<Result<Vec<_>, _>>();
    cleared.err().map(|error| host::refusal(&error).step("clear"))
}

/// Puts the refusal into the log, which a launch that ended early has not opened yet. What fails at that, and whether there
/// is a log now.
fn record_refusal(mut recorder: Recorder<'_>, reasons: &[Refusal], unopened: bool) -> (Vec<Refusal>, bool) {
    if unopened {
        return (Vec::new(), false);
    }
    if let Err(error) = recorder.open() {
        return (vec![host::refusal(&error).step(Step::OpenLog.name())], false);
    }
    let recorded = reasons.iter().try_for_each(|refusal| {
        recorder.append(&Event::Refused {
            step: refusal.step.clone().unwrap_or_default(),
            reason: refusal.reason.clone(),
            origin: refusal.origin.clone(),
        })
    });
    let finished = recorded.and_then(|()| recorder.finish().map(drop));
    let failed = finished.err().map(|error| host::refusal(&error).step("audit-finish"));
    (failed.into_iter().collect(), true)
}

/// The folder of a run that never came to be.
fn forget(state: &StateDir, run: Run) -> Option<Refusal> {
    state.forget_run(run).err().map(|error| host::refusal(&error).step(fault::RUN_DIRECTORY))
}

fn has_copies(plan: &Plan) -> bool {
    plan.mounts.iter().any(|mount| matches!(mount.source, MountSource::Copy { .. }))
}

/// The caller's home, canonical, if there is one.
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())?.canonicalize().ok()
}
