//! The broker's process, from its first line to its last: what it knows, and the loops that accept and obey. One thread; whatever goes
//! wrong with it ends the run.

mod connections;
mod doors;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use agentfile::plan::{Origin, Plan};
use agentrc_audit::folder::Folder;
use agentrc_service::channel::receive;
use tokio::io::Interest;
use tokio::net::{UnixDatagram, UnixListener};
use tokio::task::LocalSet;

use self::doors::Doors;
use crate::call::{Broker, Known};
use crate::judge::{Judge, Operator};
use crate::limits::Limits;
use crate::memory::Memories;
use crate::report::{Answer, Order, Report};
use crate::reporter::Reporter;
use crate::search::Search;
use crate::server::{self, Pins};
use crate::tools::Tools;

/// How often what was counted is told.
const TICK: Duration = Duration::from_millis(500);
/// Longest schema file of a memory, in bytes.
const SCHEMA: u64 = 1 << 20;

/// What the broker is told before it is alone.
pub struct Config<'a> {
    /// What is enforced.
    pub plan: &'a Plan,
    /// Decides.
    pub judge: Box<dyn Judge>,
    /// The Agentfile's folder, in which the schemas of memories lie.
    pub folder: PathBuf,
    /// The state directory, when the plan has a memory.
    pub state: Option<Folder>,
    /// The run's name, for where memories come from.
    pub run: String,
    /// What the tools of servers were said to be at their first use, by the server's name.
    pub pins: BTreeMap<String, Pins>,
    /// What stands for the values of credentials, by their names.
    pub placeholders: BTreeMap<String, String>,
    /// What the host's configuration says about approvals.
    pub operator: Operator,
    /// Gives up what a broker does not need, once its files are read.
    pub confine: Box<dyn FnOnce() -> Result<(), String>>,
}

/// Why the broker cannot serve.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Tools(#[from] crate::tools::Error),
    #[error("{0}")]
    Servers(String),
    #[error("{0}")]
    Memories(String),
    #[error("it could not give up its rights: {0}")]
    Confine(String),
    #[error("the socket did not come: {0}")]
    Socket(String),
    #[error("the server `{name}` ({origin}) cannot be used: {reason}")]
    Server { name: String, origin: Origin, reason: String },
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Becomes the broker, until the run ends. Its exit code: 0 when it was told to stop.
pub fn run(config: Config<'_>, channel: OwnedFd) -> u8 {
    let reporter = Reporter::new(channel);
    let searches = config.plan.output_is_searched();
    let (known, runtime) = match prepare(config) {
        Ok(prepared) => prepared,
        Err(failed) => {
            reporter.failed(&failed.to_string());
            return 1;
        }
    };
    let reporter = Rc::new(reporter);
    match LocalSet::new().block_on(&runtime, open(known, searches, Rc::clone(&reporter))) {
        Ok(()) => 0,
        Err(failed) => {
            reporter.failed(&failed.to_string());
            1
        }
    }
}

fn prepare(config: Config<'_>) -> Result<(Known, tokio::runtime::Runtime), Failed> {
    let Config { plan, judge, folder, state, run, pins, placeholders, operator, confine } = config;
    let read = |path: &str| read(&folder, path);
    let known = Known {
        tools: Tools::of(plan)?,
        servers: server::all(plan, &pins, &placeholders, judge.as_ref()).map_err(Failed::Servers)?,
        memories: Memories::of(plan, state.as_ref(), read).map_err(Failed::Memories)?,
        judge,
        operator,
        limits: Limits::new(&plan.limits.counted, Instant::now()),
        directory: plan.workdir.clone(),
        run,
        networked: plan.egress.iter().any(|egress| egress.agent),
    };
    confine().map_err(Failed::Confine)?;
    Ok((known, tokio::runtime::Builder::new_current_thread().enable_all().build()?))
}

/// A file of the Agentfile's folder. What it must be is in the plan: its digest.
fn read(folder: &Path, path: &str) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let whole = folder.join(path);
    let failed = |error: io::Error| format!("cannot read `{}`: {error}", whole.display());
    let file = std::fs::File::open(&whole).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(SCHEMA + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SCHEMA {
        Err(format!("`{path}` has more than {SCHEMA} bytes"))
    } else {
        Ok(bytes)
    }
}

/// Takes what it serves and what it asks, and serves.
async fn open(mut known: Known, searches: bool, reporter: Rc<Reporter>) -> Result<(), Failed> {
    let (socket, search) = take_sockets(&reporter, searches)?;
    let connections = connections::open(&mut known, search.as_ref(), &reporter).await?;
    let broker = Rc::new(Broker::new(known, reporter, search));
    for server in &broker.servers {
        // There is one broker, and this is the first time that it is said.
        let _ = server.broker.set(Rc::downgrade(&broker));
    }
    connections.into_iter().for_each(|connection| connections::watch(&broker, connection));
    serve(broker, socket).await
}

async fn serve(broker: Rc<Broker>, socket: OwnedFd) -> Result<(), Failed> {
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let doors = Doors::new(Rc::clone(&broker));
    tokio::task::spawn_local(doors.clone().accept(listener));
    broker.reporter.tell(&Report::Ready {
        read_back: BTreeMap::from([
            ("tools".to_owned(), broker.tools.borrow().len().to_string()),
            ("memories".to_owned(), broker.memories.len().to_string()),
            ("servers".to_owned(), broker.servers.len().to_string()),
            ("searches its output".to_owned(), if broker.search.is_some() { "yes" } else { "no" }.to_owned()),
        ]),
    });
    connections::reach(&broker);
    let channel = rustix::io::fcntl_dupfd_cloexec(broker.reporter.channel(), 0).map_err(io::Error::from)?;
    // For its readiness alone, which is the same whatever kind of unix socket it is.
    let orders = std::os::unix::net::UnixDatagram::from(channel);
    orders.set_nonblocking(true)?;
    let orders = UnixDatagram::from_std(orders)?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => broker.reporter.catch_up(false),
            ready = orders.readable() => {
                ready?;
                let order = orders.try_io(Interest::READABLE, || Ok(receive::<Order>(orders.as_fd(), false)?));
                let (number, answer) = match order {
                    Ok(Some((Order::Recorded { number }, _))) => (number, Answer::Recorded),
                    Ok(Some((Order::Approved { number, ticket }, _))) => (number, Answer::Approved(ticket)),
                    Ok(Some((Order::Refused { number, reason }, _))) => (number, Answer::Refused(reason)),
                    Ok(Some((Order::Peer { number, ours }, _))) => (number, Answer::Peer(ours)),
                    Ok(Some((Order::Connected { number }, mut attached))) => match attached.pop() {
                        Some(connection) if attached.is_empty() => (number, Answer::Connected(connection)),
                        _ => return Err(no_sense()),
                    },
                    Ok(Some((Order::Server { server }, pipes))) => {
                        connections::again(&broker, server, pipes)?;
                        continue;
                    }
                    Ok(Some((Order::Join { pid }, attached))) => {
                        doors.join(pid, attached)?;
                        continue;
                    }
                    Ok(Some((Order::Stop, _))) => {
                        broker.reporter.catch_up(true);
                        return Ok(());
                    }
                    // The supervisor is gone, and so is the run.
                    Ok(None) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(Failed::Io(error)),
                    Ok(Some((Order::Serve, _))) => return Err(no_sense()),
                };
                if !broker.reporter.answered(number, answer) {
                    return Err(no_sense());
                }
            }
        }
        if broker.reporter.is_broken() {
            return Err(Failed::Io(io::Error::other("the supervisor cannot be told")));
        }
    }
}

fn no_sense() -> Failed {
    Failed::Io(io::Error::other("the supervisor ordered what makes no sense"))
}

/// The listening socket comes over the channel, and where outputs are searched, the connection to who does it; nothing else is to be done
/// until they are there.
fn take_sockets(reporter: &Reporter, searches: bool) -> Result<(OwnedFd, Option<Search>), Failed> {
    let (order, attached) = receive::<Order>(reporter.channel().as_fd(), true)
        .map_err(|errno| Failed::Socket(io::Error::from(errno).to_string()))?
        .ok_or_else(|| Failed::Socket("the supervisor is gone".to_owned()))?;
    let mut attached = attached.into_iter();
    match (order, attached.next(), attached.next(), attached.next()) {
        (Order::Serve, Some(socket), None, None) if !searches => Ok((socket, None)),
        (Order::Serve, Some(socket), Some(search), None) if searches => {
            Ok((socket, Some(Search::through(search)?)))
        }
        _ => Err(Failed::Socket("something else came".to_owned())),
    }
}
