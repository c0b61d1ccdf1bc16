//! Stage 5, the supervisor's side of a launch: admit, prepare every layer, clone, judge the evidence, record it, say go. Any
//! error on the way ends the sandbox before the command is executed.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use agentrc_audit::event::{Event, Evidence, LayerEvidence};
use rustix::io::Errno;

use crate::arming::{Armed, Around, go_on, last_words};
use crate::beside::Beside;
use crate::cgroup::Cgroup;
use crate::channel::{self, Answer};
use crate::command::{agent, argv};
use crate::entrance::{Entrance, Prepared};
use crate::init::{Init, not_executed};
use crate::layer::{Layer, capabilities, landlock, limits, mounts, namespaces, network, seccomp};
use crate::placeholder::Placeholders;
use crate::prove::Targets;
use crate::pty::Relay;
use crate::refusal::Refusal;
use crate::resolve::Places;
use crate::rising::rise;
use crate::signals::Signals;
use crate::step::{Failure, Step, run};
use crate::streams::Streams;
use crate::supervise::{Sandbox, Watched, supervise};
use crate::sys::process::{Cloned, clone_into};
use crate::{Broker, Ended, Filter, Gateway, Recorder, Request, Unopened};

/// Arms the plan, proves it, executes the command, and stays until its end. The gateway serves the network of a plan that
/// declares one, the broker the socket of a plan that has one.
///
/// # Errors
/// A [`Refusal`]: the command was not executed, and nothing is left behind.
pub fn launch(
    request: &Request<'_>,
    mut gateway: Option<&mut (dyn Gateway + 'static)>,
    broker: Option<&mut (dyn Broker + 'static)>,
    filter: &mut dyn Filter,
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
        plan_sha256: request.plan_sha256,
        places: &places,
        run: request.run,
        placeholders: &mut placeholders,
        sockets: None,
        trust: request.trust,
        client: request.client,
    };
    let mounts = mounts::prepare(inputs)?;
    let mut broker = serving(&mounts, broker)?;
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
    let tools = [&limits as &dyn Layer, &capabilities, &seccomp];
    let tools = Prepared::of(&namespaces, &mounts, tools, &landlock, agent.umask)?;

    check(Step::SupplementaryGroups, drop_groups)?;
    let name = request.run.file_name().unwrap_or_default().to_string_lossy();
    let wanted = filter.wants_cgroup() || request.cgroup_required.is_some();
    let cgroup = Cgroup::create(&plan.limits.cgroup, wanted, &name)?;
    if let Some(place) = request.cgroup_required.filter(|_| cgroup.is_none()) {
        let reason =
            format!("`{place}` requires a cgroup of the run's own, and no cgroup v2 is mounted here");
        return Err(Refusal::new(Step::Cgroup, reason));
    }
    // Born in its cgroup, unless there are sockets to be made outside of it: a process that is moved waits for a grace period of
    // RCU, 10 ms and more.
    let moved = cgroup.as_ref().filter(|_| network.expected() > 0);
    let birthplace = cgroup.as_ref().filter(|_| moved.is_none()).map(Cgroup::descriptor);
    // The filter sees only what is done once it is attached, and is proven by that.
    let waits = moved.is_some() || filter.wants_cgroup();
    let (ours, theirs) = run(Step::Channel, 0, channel::pair)?;
    let heard = signals.silence()?;

    let cloned = run(Step::Clone, 0, || clone_into(namespaces.flags(), birthplace))?;
    let (pid, pidfd) = match cloned {
        Cloned::Child => {
            crate::child::enter();
            Init {
                namespaces: &namespaces,
                network: &network,
                waits,
                mounts: &mounts,
                limits: &limits,
                privilege: &capabilities,
                landlock: &landlock,
                seccomp: &seccomp,
                entered: tools.is_some(),
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
    let mut sandbox = Sandbox {
        pid,
        pidfd,
        channel: ours,
        signals: heard,
        mountinfo: None,
        outside: [None, None, None, None],
        started,
    };
    // While the sandbox arms itself.
    let prepared = signals.narrow().and_then(|()| attach(filter, cgroup.as_ref())).and_then(|filtered| {
        let zygote = tools.as_ref().map(|tools| tools.start(cgroup.as_ref())).transpose()?;
        open_log(recorder).map(|()| (filtered, zygote))
    });
    let armed = prepared.and_then(|(filtered, zygote)| {
        let door = tools.as_ref().map_or(0, Prepared::door);
        let around = Around { layers: &layers, expected: network.expected(), door, moved, waits, filtered };
        around.arm(&sandbox, &mut gateway, filter).map(|armed| (armed, zygote))
    });
    drop(targets);
    let judged = armed.map(|(armed, zygote)| {
        let Armed { mut evidence, master, listener, door, namespaces, mountinfo } = armed;
        sandbox.mountinfo = Some(mountinfo);
        if let Some(cgroup) = &cgroup {
            evidence.layers.push(LayerEvidence {
                layer: "cgroup".to_owned(),
                read_back: cgroup.read_back(&plan.limits.cgroup, sandbox.pid)?,
                probes: Vec::new(),
            });
        }
        check(Step::ProveFilter, || Ok(()))?;
        evidence.layers.push(filter.proven().map_err(|unopened| refused(Step::ProveFilter, unopened))?);
        let keep = |fd| run(Step::Serve, 1, || rustix::io::fcntl_dupfd_cloexec(fd, 0));
        let ring = filter.ring().map(keep).transpose()?;
        let mut channel = None;
        if let Some(gateway) = gateway.as_deref_mut() {
            check(Step::Serve, || Ok(()))?;
            evidence.layers.push(gateway.ready().map_err(|unopened| refused(Step::Serve, unopened))?);
            channel = Some(keep(gateway.channel())?);
        }
        let mut asked = None;
        if let Some(broker) = broker.as_deref_mut() {
            check(Step::ServeBroker, || Ok(()))?;
            let served = listener.ok_or_else(|| unopened("the sandbox made no socket for the broker"));
            let served = served.and_then(|listener| broker.hand_over(listener, sandbox.pid));
            let go_on = || go_on(&sandbox).map_err(|refusal| unopened(&refusal.to_string()));
            let served = served.and_then(|()| broker.ready(&go_on));
            evidence.layers.push(served.map_err(|unopened| refused(Step::ServeBroker, unopened))?);
            asked = Some(keep(broker.channel())?);
        }
        let open = |(zygote, tools)| Entrance::open(zygote, tools, &layers, door, namespaces);
        let entrance = zygote.zip(tools.as_ref()).map(open).transpose()?;
        let entered = entrance.as_ref().map(|entrance| keep(entrance.channel())).transpose()?;
        sandbox.outside = [channel, ring, asked, entered];
        record(request, recorder, evidence)?;
        let entrance = {
            let gateway = gateway.as_deref_mut().filter(|_| sandbox.outside[0].is_some());
            let broker = broker.as_deref_mut().zip(entrance);
            let mut beside = Beside { gateway, broker, filter: &mut *filter };
            rise(&sandbox, &mut beside, &mounts, recorder)?;
            beside.broker.map(|(_, entrance)| entrance)
        };
        let relay =
            master.map(|master| Relay::start(master, streams.shown(), streams.interactive())).transpose();
        let relay = relay.map_err(|errno| Refusal::kernel(Step::Terminal, "standard input", errno))?;
        run(Step::Go, 0, || channel::answer(sandbox.channel.as_fd(), Answer::Go))?;
        Ok::<_, Refusal>((relay, entrance))
    });
    // A sandbox that ended while it was judged has said why: that is the nearer reason.
    let nearer = |refusal| last_words(&sandbox, &layers).unwrap_or(refusal);
    let armed = judged.and_then(|judged| judged.map_err(nearer));
    let (relay, entrance) = match armed {
        Ok(armed) => armed,
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
    let mut beside = Beside {
        gateway: gateway.filter(|_| sandbox.outside[0].is_some()),
        broker: broker.zip(entrance),
        filter,
    };
    let mut end = supervise(&sandbox, relay, &watched, &mut beside, recorder);
    let reaped = sandbox.reap();
    if let Err(reason) = beside.finish(recorder) {
        end.killed.get_or_insert(reason);
    }
    drop(beside);
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

/// The broker, if the plan has a socket of it.
fn serving<'a>(
    mounts: &mounts::Mounts,
    broker: Option<&'a mut (dyn Broker + 'static)>,
) -> Result<Option<&'a mut (dyn Broker + 'static)>, Refusal> {
    match (mounts.socket(), broker) {
        (None, _) => Ok(None),
        (Some(_), Some(broker)) => Ok(Some(broker)),
        (Some(socket), None) => Err(Refusal::new(
            Step::Broker,
            format!("nothing serves the broker's socket `{socket}` of this plan"),
        )),
    }
}

/// Attaches the egress filter, where this host can have one.
fn attach(filter: &mut dyn Filter, cgroup: Option<&Cgroup>) -> Result<bool, Refusal> {
    check(Step::AttachFilter, || Ok(()))?;
    filter.attach(cgroup.map(Cgroup::descriptor)).map_err(|unopened| refused(Step::AttachFilter, unopened))
}

fn open_log(recorder: &mut dyn Recorder) -> Result<(), Refusal> {
    check(Step::OpenLog, || Ok(()))?;
    recorder.open().map_err(|unopened| refused(Step::OpenLog, unopened))
}

fn unopened(reason: &str) -> Unopened {
    Unopened { reason: reason.to_owned(), help: None }
}

/// A refusal by somebody else than the kernel.
pub(crate) fn refused(step: Step, unopened: Unopened) -> Refusal {
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
pub(crate) fn blame(failure: &Failure, layers: &[&dyn Layer]) -> Refusal {
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
        links: request.links,
        home: request.home.map(Path::to_owned),
        state: canonical(request.state)?,
    })
}
