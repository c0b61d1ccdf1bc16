//! Stage 5, the supervisor's side of a launch: admit, prepare every layer, clone, judge the evidence, record it, say go. Any
//! error on the way ends the sandbox before the command is executed.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentfile::plan::PROJECTION;
use agentrc_audit::event::{Event, Evidence, LayerEvidence};
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::channel::{self, Message};
use crate::environment;
use crate::init::{Agent, Init, not_executed};
use crate::layer::{Layer, capabilities, landlock, limits, mounts, namespaces, network, seccomp};
use crate::placeholder::Placeholders;
use crate::prove::{Readings, Targets, judge};
use crate::pty::Relay;
use crate::refusal::Refusal;
use crate::resolve::{Places, c_string};
use crate::signals::Signals;
use crate::step::{Failure, Step, run};
use crate::streams::Streams;
use crate::supervise::{Sandbox, Watched, Woken, supervise};
use crate::sys::process::{Cloned, Strings, clone_into};
use crate::sys::signal;
use crate::{Ended, Gateway, Recorder, Request, Unopened};

/// How long arming may take before it counts as hung: a bind on a dead network file system must not hang the caller.
const ARMING: Duration = Duration::from_secs(30);

/// Arms the plan, proves it, executes the command, and stays until its end. The gateway serves the network of a plan that
/// declares one.
///
/// # Errors
/// A [`Refusal`]: the command was not executed, and nothing is left behind.
pub fn launch(
    request: &Request<'_>,
    mut gateway: Option<&mut (dyn Gateway + 'static)>,
    recorder: &mut dyn Recorder,
    signals: &Signals,
) -> Result<Ended, Refusal> {
    let started = Instant::now();
    check(Step::SingleThread, single_thread)?;
    let streams = run(Step::StandardStreams, 0, Streams::prepare)?;
    let plan = request.plan;
    let places = places(request)?;

    let mut placeholders = Placeholders::default();
    let inputs = mounts::Inputs {
        plan,
        places: &places,
        run: request.run,
        placeholders: &mut placeholders,
        sockets: None,
        trust: request.trust,
    };
    let mounts = mounts::prepare(inputs)?;
    let namespaces = namespaces::Namespaces::prepare(&plan.namespaces, &plan.agent)?;
    let network = network::Network::prepare(&plan.egress);
    if network.expected() > 0 && gateway.is_none() {
        return Err(Refusal::new(Step::Gateway, "nothing serves the network that this plan declares"));
    }
    let limits = limits::Limits::prepare(&plan.limits)?;
    let capabilities = capabilities::Capabilities::prepare(&plan.capabilities)?;
    let landlock = landlock::Landlock::prepare(&plan.landlock, |path| mounts.shows(path))?;
    let seccomp = seccomp::Seccomp::prepare(&plan.seccomp)?;
    let layers: [&dyn Layer; 7] =
        [&namespaces, &network, &mounts, &limits, &capabilities, &landlock, &seccomp];
    let undeclared = network.undeclared_port();
    let targets =
        Targets::prepare(mounts.held(), [undeclared, network.declared_port().unwrap_or(undeclared)])?;
    let agent = agent(request, &mounts, streams.pty())?;

    check(Step::SupplementaryGroups, drop_groups)?;
    let name = request.run.file_name().unwrap_or_default().to_string_lossy();
    let cgroup = Cgroup::create(&plan.limits.cgroup, &name)?;
    let (ours, theirs) = run(Step::Channel, 0, channel::pair)?;
    let heard = signals.silence()?;

    let cloned =
        run(Step::Clone, 0, || clone_into(namespaces.flags(), cgroup.as_ref().map(Cgroup::descriptor)))?;
    let (pid, pidfd) = match cloned {
        Cloned::Child => {
            crate::child::enter();
            Init {
                namespaces: &namespaces,
                network: &network,
                mounts: &mounts,
                limits: &limits,
                privilege: &capabilities,
                locks: [&landlock, &seccomp],
                streams: &streams,
                targets: &targets,
                agent: &agent,
                channel: theirs,
            }
            .run()
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(theirs);
    let mut sandbox =
        Sandbox { pid, pidfd, channel: ours, signals: heard, mountinfo: None, gateway: None, started };
    // While the sandbox arms itself.
    let opened = signals.narrow().and_then(|()| open_log(recorder));
    let armed = opened.and_then(|()| arm(&sandbox, &layers, network.expected(), &mut gateway));
    drop(targets);
    let armed = armed.and_then(|(mut evidence, master, mountinfo)| {
        sandbox.mountinfo = Some(mountinfo);
        if let Some(cgroup) = &cgroup {
            evidence.layers.push(LayerEvidence {
                layer: "cgroup".to_owned(),
                read_back: cgroup.read_back(&plan.limits.cgroup, sandbox.pid)?,
                probes: Vec::new(),
            });
        }
        if let Some(gateway) = gateway.as_deref_mut().filter(|_| network.expected() > 0) {
            check(Step::Serve, || Ok(()))?;
            evidence.layers.push(gateway.ready().map_err(|unopened| refused(Step::Serve, unopened))?);
            sandbox.gateway = Some(run(Step::Serve, 1, || rustix::io::fcntl_dupfd_cloexec(gateway.channel(), 0))?);
        }
        record(request, recorder, evidence)?;
        let relay =
            master.map(|master| Relay::start(master, streams.shown(), streams.interactive())).transpose();
        let relay = relay.map_err(|errno| Refusal::kernel(Step::Terminal, "standard input", errno))?;
        run(Step::Go, 0, || channel::go(sandbox.channel.as_fd()))?;
        Ok(relay)
    });
    let relay = match armed {
        Ok(relay) => relay,
        Err(refusal) => {
            sandbox.signal(libc::SIGKILL);
            sandbox.reap();
            return Err(refusal);
        }
    };
    let watched = Watched {
        wall: plan.limits.wall_seconds.as_ref(),
        cgroup: cgroup.as_ref(),
        limits: &plan.limits.cgroup,
        mounts: &mounts,
    };
    let mut end = supervise(&sandbox, relay, &watched, gateway.as_deref_mut(), recorder);
    let reaped = sandbox.reap();
    if sandbox.gateway.is_some()
        && let Some(gateway) = gateway
        && let Err(reason) = gateway.finish(recorder)
    {
        end.killed.get_or_insert(reason);
    }
    mounts.tidy();
    if let Some(failure) = end.failed {
        return Err(blame(&failure, &layers));
    }

    let status = end.status.or(reaped.map(|reaped| reaped.status)).unwrap_or(libc::SIGKILL);
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    let exit_code = match (&end.killed, end.exec_failed, signal) {
        (Some(_), ..) => 128 + libc::SIGKILL,
        (_, Some(errno), _) => not_executed(errno),
        (_, _, Some(signal)) => 128 + signal,
        _ => libc::WEXITSTATUS(status),
    };
    let mut ended = Ended {
        exit_code,
        signal: if end.killed.is_some() { Some(libc::SIGKILL) } else { signal },
        killed: end.killed,
        exec_failed: end.exec_failed.map(crate::refusal::describe),
        wall: started.elapsed(),
        cpu: reaped.map(|reaped| reaped.cpu).unwrap_or_default(),
        peak_rss_kib: reaped.map(|reaped| reaped.peak_rss_kib).unwrap_or_default(),
    };
    if let Err(reason) = record_end(&ended, recorder) {
        ended.killed.get_or_insert(format!("the audit log cannot be written: {reason}"));
        ended.exit_code = 128 + libc::SIGKILL;
    }
    Ok(ended)
}

fn record_end(ended: &Ended, recorder: &mut dyn Recorder) -> Result<(), String> {
    if let Some(reason) = &ended.killed {
        recorder.record(&Event::Killed { reason: reason.clone() })?;
    }
    recorder.record(&Event::Ended {
        exit_code: ended.exit_code,
        signal: ended.signal,
        wall_ms: u64::try_from(ended.wall.as_millis()).unwrap_or(u64::MAX),
        cpu_ms: u64::try_from(ended.cpu.as_millis()).unwrap_or(u64::MAX),
        peak_rss_kib: ended.peak_rss_kib,
    })
}

/// The evidence, the sandbox's terminal, and its mount table.
type Armed = (Evidence, Option<OwnedFd>, std::fs::File);

/// Waits for the evidence of an armed sandbox, and judges it.
fn arm(
    sandbox: &Sandbox,
    layers: &[&dyn Layer],
    expected: usize,
    gateway: &mut Option<&mut (dyn Gateway + 'static)>,
) -> Result<Armed, Refusal> {
    let started = Instant::now();
    let mut master = None;
    let mut sockets = Vec::with_capacity(expected);
    loop {
        let left = ARMING.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(Refusal::new(Step::Evidence, "the sandbox did not come up within 30 s")
                .help("a bind on a network file system that does not answer can do that"));
        }
        match sandbox.next(None, left) {
            Ok(Woken::Message(Some(Message::Pty(descriptor)))) => master = Some(descriptor),
            Ok(Woken::Message(Some(Message::Socket(socket)))) if sockets.len() < expected => {
                sockets.push(socket);
                if let Some(gateway) = gateway.as_deref_mut().filter(|_| sockets.len() == expected) {
                    let sockets = std::mem::take(&mut sockets);
                    gateway.hand_over(sockets).map_err(|unopened| refused(Step::Serve, unopened))?;
                }
            }
            Ok(Woken::Message(Some(Message::Failed(failure)))) => return Err(blame(&failure, layers)),
            Ok(Woken::Message(Some(Message::Evidence {
                status,
                mountinfo,
                limits,
                namespaces,
                answers,
            }))) => {
                let mountinfo = std::fs::File::from(mountinfo);
                let readings = Readings::read(status, &mountinfo, limits, namespaces, answers);
                let readings = readings.map_err(|refusal| last_words(sandbox, layers).unwrap_or(refusal))?;
                let evidence = judge(layers, &readings)?;
                // What came in while the log was opened has not been heard yet.
                while let Some(signal) = signal::next(&sandbox.signals).map_err(hear)? {
                    heed(signal)?;
                }
                return Ok((evidence, master, mountinfo));
            }
            Ok(Woken::Signal(signal)) => heed(signal)?,
            Ok(Woken::Tick | Woken::Mounts | Woken::Gateway) => {}
            Ok(Woken::Message(_) | Woken::Dead) => {
                return Err(Refusal::new(Step::Evidence, "the sandbox ended before it could prove itself"));
            }
            Err(errno) => return Err(hear(errno)),
        }
    }
}

fn hear(errno: Errno) -> Refusal {
    Refusal::kernel(Step::Evidence, "", errno)
}

/// A signal before the command started ends the launch, if it would end or stop a program.
fn heed(signal: i32) -> Result<(), Refusal> {
    if matches!(signal, libc::SIGWINCH | libc::SIGCONT) {
        return Ok(());
    }
    Err(Refusal::new(Step::Evidence, format!("signal {signal} arrived before the command started")))
}

/// What the agent's process said before it went, when it went before its readings were read: the nearer reason.
fn last_words(sandbox: &Sandbox, layers: &[&dyn Layer]) -> Option<Refusal> {
    match sandbox.next(None, Duration::from_millis(100)) {
        Ok(Woken::Message(Some(Message::Failed(failure)))) => Some(blame(&failure, layers)),
        _ => None,
    }
}

fn open_log(recorder: &mut dyn Recorder) -> Result<(), Refusal> {
    check(Step::OpenLog, || Ok(()))?;
    recorder.open().map_err(|unopened| refused(Step::OpenLog, unopened))
}

fn refused(step: Step, unopened: Unopened) -> Refusal {
    let refusal = Refusal::new(step, unopened.reason);
    match unopened.help {
        Some(help) => refusal.help(help),
        None => refusal,
    }
}

fn record(request: &Request<'_>, recorder: &mut dyn Recorder, evidence: Evidence) -> Result<(), Refusal> {
    let event = Event::Armed {
        agentrc: request.version.to_owned(),
        plan_sha256: request.plan_sha256.to_owned(),
        agent: request.plan.agent.clone(),
        agentfile: request.agentfile.display().to_string(),
        argv: argv(request).map(|word| word.to_string_lossy().into_owned()).collect(),
        uid: rustix::process::getuid().as_raw(),
        evidence,
    };
    check(Step::Record, || Ok(()))?;
    recorder.record(&event).map_err(|reason| {
        Refusal::new(Step::Record, format!("could not record that the run is armed: {reason}"))
    })
}

/// A supervisor-side step whose failure has no subject.
fn check(step: Step, operation: impl FnOnce() -> Result<(), Errno>) -> Result<(), Refusal> {
    Ok(run(step, 0, operation)?)
}

/// Names what the failed operation was about, and the line that asked for it.
fn blame(failure: &Failure, layers: &[&dyn Layer]) -> Refusal {
    match layers.iter().find_map(|layer| layer.blame(failure)) {
        Some((subject, origin)) => Refusal::kernel(failure.step, &subject, failure.errno).at(&origin),
        None => Refusal::from(*failure),
    }
}

/// A clone of one thread of several could wait forever for a lock that another held.
pub(crate) fn single_thread() -> Result<(), Errno> {
    let links = rustix::fs::stat("/proc/self/task")?.st_nlink;
    // `.`, `..` and one folder per thread.
    if links == 3 { Ok(()) } else { Err(Errno::BUSY) }
}

/// Root can leave its supplementary groups; nobody else can (setgroups(2)), and keeps what the host gave.
fn drop_groups() -> Result<(), Errno> {
    if rustix::process::geteuid().is_root() { rustix::thread::set_thread_groups(&[]) } else { Ok(()) }
}

fn places(request: &Request<'_>) -> Result<Places, Refusal> {
    let canonical = |path: &Path| -> Result<PathBuf, Refusal> {
        run(Step::ResolveSource, 1, || {
            path.canonicalize().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
        .map_err(|failure| Refusal::kernel(failure.step, &path.display().to_string(), failure.errno))
    };
    Ok(Places {
        folder: canonical(request.folder)?,
        home: request.home.map(Path::to_owned),
        state: canonical(request.state)?,
    })
}

/// The command of the plan, with the caller's extra arguments.
fn argv<'a>(request: &'a Request<'_>) -> impl Iterator<Item = std::borrow::Cow<'a, std::ffi::OsStr>> {
    let planned = request.plan.command.iter().flat_map(|command| &command.argv);
    let planned = planned.map(|word| std::borrow::Cow::Owned(OsString::from(word)));
    planned.chain(request.arguments.iter().map(|word| std::borrow::Cow::Borrowed(word.as_os_str())))
}

fn agent(request: &Request<'_>, mounts: &mounts::Mounts, terminal: bool) -> Result<Agent, Refusal> {
    let plan = request.plan;
    let argv = argv(request).map(|word| c_string(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let Some(program) = argv.first() else {
        return Err(Refusal::new(Step::PrepareMounts, "there is no command: the Agentfile has no `CMD`")
            .help("add a line such as `CMD python3 ./agent.py`, or give a command after `--`"));
    };
    let environment = environment::of(&plan.environment, request.environment, terminal)?;
    let path = plan.environment.iter().find(|variable| variable.name == "PATH");
    let candidates = if program.as_bytes().contains(&b'/') {
        vec![program.clone()]
    } else {
        let folders = path
            .map_or("", |variable| variable.value.as_str())
            .split(':')
            .filter(|folder| !folder.is_empty());
        folders
            .map(|folder| {
                let mut path = folder.as_bytes().to_vec();
                path.push(b'/');
                path.extend(program.as_bytes());
                c_string(&path)
            })
            .collect::<Result<_, _>>()?
    };
    // The compiler does not look outside the Agentfile's folder: what it took for a folder there may be a file, and then
    // the command starts where that of a plan without folders does.
    let directory = if mounts.is_file(&plan.workdir) { PROJECTION } else { &plan.workdir };
    // The caller's umask, and never a looser one than 022.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(umask);
    Ok(Agent {
        candidates,
        argv: Strings::new(argv),
        environment: Strings::new(environment),
        directory: c_string(directory.as_bytes())?,
        umask: umask.as_raw_mode() | 0o022,
    })
}
