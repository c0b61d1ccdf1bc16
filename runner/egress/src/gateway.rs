//! The gateway's process, from its first line to its last: what it knows, and the loops that accept, answer and obey. One
//! thread; whatever goes wrong with it ends the run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use agentfile::plan::inside::{Reachable, reachable};
use agentfile::plan::{BrokerEntry, Egress, Plan};
use agentrc_secret::wire::{self, Credential};
use agentrc_service::channel::receive;
use tokio::io::Interest;
use tokio::net::{TcpListener, UdpSocket, UnixDatagram};
use tokio::task::LocalSet;

use crate::authority::Authority;
use crate::credential::{Bound, Guard, Way};
use crate::eager::Eager;
use crate::inward::Inward;
use crate::judge::{Asked, BROKER, Judge, Verdict, Verdicts};
use crate::limits::Limits;
use crate::names::Names;
use crate::places::Places;
use crate::pump::Shared;
use crate::report::{Client, Order, Report};
use crate::reporter::Reporter;
use crate::tls::{Roots, host_bundle};
use crate::upstream::{Proxy, Upstream};
use crate::{connection, destination, http, resolver, search};

/// Port of the resolver.
pub(crate) const DNS: u16 = 53;
/// Most connections at a time, the agent's and those to servers that requests go over.
const CONNECTIONS: usize = 1024;
/// Descriptors that a connection takes at most: two sockets and two pipes.
const PER_CONNECTION: u64 = 6;
/// How often what was counted is told.
const TICK: Duration = Duration::from_millis(500);

/// What the gateway is told before it is alone.
pub struct Config<'a> {
    /// What is enforced.
    pub plan: &'a Plan,
    /// Decides.
    pub judge: Box<dyn Judge>,
    /// Names (or `*.suffix`) that the host's operator lets lead to private addresses.
    pub private: Vec<String>,
    /// The host's proxy, if it has one.
    pub proxy: Option<Proxy>,
    /// Where the values of the plan's credentials come from; `None` when it has none.
    pub values: Option<UnixStream>,
    /// Keeps a value out of the swap space, as far as the host lets it.
    pub keep: fn(&[u8]),
    /// Whether what is permitted is recorded before it happens.
    pub intents: bool,
    /// Gives up what a gateway does not need, once its files are read.
    pub confine: Box<dyn FnOnce() -> Result<(), String>>,
}

/// What is known while it serves.
pub(crate) struct Gateway {
    /// The agent's destinations.
    pub(crate) egress: Vec<Egress>,
    /// All that the broker may ask for.
    brokered: Vec<Egress>,
    pub(crate) names: RefCell<Names>,
    pub(crate) judge: Box<dyn Judge>,
    pub(crate) limits: Limits,
    pub(crate) upstream: Upstream,
    pub(crate) reporter: Rc<Reporter>,
    pub(crate) shared: Shared,
    pub(crate) eager: Eager,
    /// The run's credentials, if it has any.
    pub(crate) guard: Option<Rc<Guard>>,
    authority: Option<Authority>,
    bundle: Cell<Vec<u8>>,
    roots: RefCell<Option<Rc<Roots>>>,
    verdicts: RefCell<Verdicts>,
    pub(crate) places: Places,
    pub(crate) inward: Inward,
    /// Everything that the kernel's filter lets through, and whether there is one.
    pub(crate) reachable: Vec<Reachable>,
    filtered: Cell<bool>,
}

impl Gateway {
    /// The verdict on a connection or a request.
    pub(crate) fn verdict(&self, asked: &Asked<'_>) -> Verdict {
        self.verdicts.borrow_mut().of(asked, &*self.judge)
    }

    /// The host's root certificates, parsed when they are first needed.
    pub(crate) fn roots(&self) -> io::Result<Rc<Roots>> {
        let mut roots = self.roots.borrow_mut();
        if let Some(roots) = &*roots {
            return Ok(Rc::clone(roots));
        }
        let made = Rc::new(Roots::new(&self.bundle.take()).map_err(io::Error::other)?);
        Ok(Rc::clone(roots.insert(made)))
    }

    /// Something arrived that the kernel's filter must have refused: one of the two does not hold what the plan says.
    pub(crate) fn disagrees(&self, local: SocketAddr) -> bool {
        self.filtered.get() && !self.reachable.iter().any(|one| one.takes_in(local))
    }

    /// This run's authority.
    pub(crate) fn authority(&self) -> Result<&Authority, String> {
        self.authority.as_ref().ok_or_else(|| "there is no certificate authority in this run".to_owned())
    }
}

/// Spawns onto the one thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Why the gateway cannot serve.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Names(#[from] agentfile::plan::inside::TooMany),
    #[error("{0}")]
    Authority(#[from] crate::authority::Error),
    #[error("{0}")]
    Roots(#[from] crate::tls::Error),
    #[error("it could not give up its rights: {0}")]
    Confine(String),
    #[error("the sockets did not come: {0}")]
    Sockets(String),
    #[error("no line declares the credential `{0}`")]
    Credential(String),
    #[error("the credentials did not come: {0}")]
    Values(#[from] agentrc_secret::Error),
    #[error("{0}")]
    Guard(#[from] crate::credential::Refusal),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Becomes the gateway, until the run ends. Its exit code: 0 when it was told to stop.
pub fn run(config: Config<'_>, channel: OwnedFd) -> u8 {
    let reporter = Rc::new(Reporter::new(channel, config.intents));
    let served = prepare(config, Rc::clone(&reporter)).and_then(|(gateway, runtime)| {
        let served = LocalSet::new().block_on(&runtime, serve(Rc::new(gateway)));
        // A thread of it may hang in the host's resolver.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => 0,
        Err(failed) => {
            reporter.tell(&Report::Failed { reason: failed.to_string() });
            1
        }
    }
}

fn prepare(config: Config<'_>, reporter: Rc<Reporter>) -> Result<(Gateway, tokio::runtime::Runtime), Failed> {
    let egress: Vec<Egress> = config.plan.egress.iter().filter(|egress| egress.agent).cloned().collect();
    let terminates = egress.iter().any(|egress| egress.terminate_tls);
    let authority = terminates.then(|| Authority::new(&config.plan.agent)).transpose()?;
    if let Some(authority) = &authority {
        reporter.tell(&Report::Authority { certificate: authority.certificate().to_owned() });
    }
    // Read before the file system is given up; parsed when they are first needed.
    let brokered = if config.plan.broker_connects() { config.plan.egress.clone() } else { Vec::new() };
    let verifies = terminates || brokered.iter().any(|egress| egress.scheme == "https");
    let bundle = if verifies { host_bundle()? } else { Vec::new() };
    let most = raise_descriptors()?;
    (config.confine)().map_err(Failed::Confine)?;
    let guard =
        config.values.map(|values| guard(&config.plan.broker, values, config.keep)).transpose()?.map(Rc::new);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build()?;
    let limits = Limits::new(&config.plan.limits.counted, Instant::now());
    let gateway = Gateway {
        names: RefCell::new(Names::new(&egress)?),
        reachable: reachable(&egress)?,
        egress,
        brokered,
        judge: config.judge,
        limits,
        upstream: Upstream::new(config.private, config.proxy),
        reporter,
        shared: Shared::default(),
        eager: Eager::default(),
        guard,
        authority,
        bundle: Cell::new(bundle),
        roots: RefCell::default(),
        verdicts: RefCell::default(),
        places: Places::new(most),
        inward: Inward::default(),
        filtered: Cell::new(false),
    };
    Ok((gateway, runtime))
}

/// The credentials of the plan with their values, which another process has resolved.
fn guard(plan: &[BrokerEntry], mut values: UnixStream, keep: fn(&[u8])) -> Result<Guard, Failed> {
    let mut bound = Vec::new();
    for Credential { name, placeholder, secret } in wire::receive(&mut values)? {
        let entry = plan.iter().find_map(|entry| match entry {
            BrokerEntry::Credential { name: planned, hosts, inject, older_form, .. } if *planned == name => {
                Some((hosts, inject.as_deref(), *older_form))
            }
            _ => None,
        });
        let (hosts, inject, older_form) = entry.ok_or_else(|| Failed::Credential(name.clone()))?;
        keep(secret.expose());
        let way = Way::of(&name, inject, older_form)?;
        bound.push(Bound { name, placeholder, secret, hosts: hosts.clone(), way });
    }
    Ok(Guard::new(bound)?)
}

/// As many descriptors as the hard limit gives; how many connections that is.
fn raise_descriptors() -> io::Result<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = (CONNECTIONS as u64 + 16) * PER_CONNECTION;
    let most = limit.maximum.unwrap_or(wanted).min(wanted);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum })?;
    let connections = most.saturating_sub(64) / PER_CONNECTION;
    Ok(usize::try_from(connections).unwrap_or(CONNECTIONS).clamp(1, CONNECTIONS))
}

async fn serve(gateway: Rc<Gateway>) -> Result<(), Failed> {
    let mut sockets = take_sockets(&gateway)?.into_iter();
    match sockets.next() {
        Some(first) => {
            let datagrams = std::net::UdpSocket::from(first);
            datagrams.set_nonblocking(true)?;
            let resolver = resolver::serve_datagrams(Rc::clone(&gateway), UdpSocket::from_std(datagrams)?);
            tokio::task::spawn_local(resolver);
        }
        // An agent without a network has no sockets.
        None if gateway.egress.is_empty() => {}
        None => return Err(Failed::Sockets("there are none".to_owned())),
    }
    let mut listening = 0;
    let mut six = false;
    for socket in sockets {
        let listener = std::net::TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        six |= listener.local_addr()?.is_ipv6();
        listening += 1;
        tokio::task::spawn_local(accept(Rc::clone(&gateway), TcpListener::from_std(listener)?));
    }
    gateway.names.borrow_mut().without_six(!six);
    gateway.reporter.tell(&Report::Ready {
        read_back: BTreeMap::from([
            ("listeners".to_owned(), listening.to_string()),
            ("ipv6".to_owned(), if six { "yes" } else { "no" }.to_owned()),
            ("connections".to_owned(), gateway.places.most().to_string()),
            ("terminates TLS".to_owned(), if gateway.authority.is_some() { "yes" } else { "no" }.to_owned()),
        ]),
    });
    let channel = rustix::io::fcntl_dupfd_cloexec(gateway.reporter.channel(), 0).map_err(io::Error::from)?;
    // For its readiness alone, which is the same whatever kind of unix socket it is.
    let orders = std::os::unix::net::UnixDatagram::from(channel);
    orders.set_nonblocking(true)?;
    let orders = UnixDatagram::from_std(orders)?;
    let eager = Rc::clone(&gateway);
    tokio::task::spawn_local(async move { eager.eager.look().await });
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => gateway.reporter.catch_up(false),
            ready = orders.readable() => {
                ready?;
                let order = orders.try_io(Interest::READABLE, || Ok(receive::<Order>(orders.as_fd(), false)?));
                match order {
                    Ok(Some((Order::Recorded { number }, _))) if gateway.reporter.recorded(number) => {}
                    Ok(Some((Order::Joined { number }, attached))) => {
                        let one = <[OwnedFd; 1]>::try_from(attached);
                        if !one.is_ok_and(|[connection]| gateway.reporter.joined(number, connection)) {
                            return Err(Failed::Io(no_sense()));
                        }
                    }
                    Ok(Some((Order::Brokered { scheme, host, port }, attached))) => {
                        brokered(&gateway, (&scheme, &host, port), attached)?;
                    }
                    Ok(Some((Order::Search, attached))) => search::open(gateway.guard.as_ref(), attached)?,
                    Ok(Some((Order::Stop, _))) => {
                        gateway.reporter.catch_up(true);
                        return Ok(());
                    }
                    // The supervisor is gone, and so is the run.
                    Ok(None) => return Ok(()),
                    Ok(Some(_)) => return Err(Failed::Io(no_sense())),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(Failed::Io(error)),
                }
            }
        }
        if gateway.reporter.is_broken() {
            return Err(Failed::Io(io::Error::other("the supervisor cannot be told")));
        }
    }
}

pub(crate) fn no_sense() -> io::Error {
    io::Error::other("the supervisor ordered what makes no sense")
}

/// The sockets come over the channel; nothing else is to be done until they are there.
fn take_sockets(gateway: &Gateway) -> Result<Vec<OwnedFd>, Failed> {
    let mut sockets = Vec::new();
    loop {
        let (order, attached) = receive::<Order>(gateway.reporter.channel().as_fd(), true)
            .map_err(|errno| Failed::Sockets(io::Error::from(errno).to_string()))?
            .ok_or_else(|| Failed::Sockets("the supervisor is gone".to_owned()))?;
        let Order::Sockets { last, filtered } = order else {
            return Err(Failed::Sockets("something else came".to_owned()));
        };
        sockets.extend(attached);
        gateway.filtered.set(filtered);
        if last {
            return Ok(sockets);
        }
    }
}

/// Serves a connection of the broker's. What it may be to, the supervisor has looked up in the plan, and so does this.
fn brokered(
    gateway: &Rc<Gateway>,
    (scheme, host, port): (&str, &str, u16),
    attached: Vec<OwnedFd>,
) -> Result<(), Failed> {
    let [stream] = <[OwnedFd; 1]>::try_from(attached)
        .map_err(|_| Failed::Sockets("no connection came of the broker's".to_owned()))?;
    let to = destination::brokered(&gateway.brokered, scheme, host, port)
        .ok_or_else(|| Failed::Sockets(format!("no line declares {scheme}://{host}:{port}")))?;
    let Some(open) = gateway.places.take() else {
        // Closed, so that the broker's request fails.
        let gateway = Rc::clone(gateway);
        let act = format!("connect {host}:{port}");
        tokio::task::spawn_local(async move {
            let reason = gateway.places.all_taken();
            gateway.reporter.denied(&act, "closed", &reason, "", Client::BROKER).await;
        });
        return Ok(());
    };
    let stream = UnixStream::from(stream);
    stream.set_nonblocking(true)?;
    let stream = tokio::net::UnixStream::from_std(stream)?;
    let (gateway, secure) = (Rc::clone(gateway), scheme == "https");
    tokio::task::spawn_local(async move {
        http::serve(gateway, to, secure, (BROKER, Client::BROKER), stream).await;
        drop(open);
    });
    Ok(())
}

/// Accepts for ever.
async fn accept(gateway: Rc<Gateway>, listener: TcpListener) {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // Of this process's own: too many descriptors. It waits until some are free.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let client = Client { tcp: true, address: from };
        let Ok(local) = stream.local_addr() else { continue };
        let open = gateway.places.take().filter(|_| !gateway.reporter.is_broken());
        let Some(open) = open else {
            let reason = gateway.places.all_taken();
            gateway.reporter.denied("connect", "reset", &reason, "", client).await;
            let _ = stream.set_zero_linger();
            continue;
        };
        let _ = stream.set_nodelay(true);
        let gateway = Rc::clone(&gateway);
        tokio::task::spawn_local(async move {
            connection::serve(gateway, stream, client, local).await;
            drop(open);
        });
    }
}
