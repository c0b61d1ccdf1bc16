//! The connections to the plan's servers: all of them before the agent starts, and each again when the supervisor has started
//! its server once more, or when one that is somewhere else began a session anew.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use agentrc_audit::text::printable_text;
use agentrc_service::channel::receive;

use super::{Failed, no_sense};
use crate::call::{Broker, Known};
use crate::report::{Order, Report};
use crate::reporter::Reporter;
use crate::search::Search;
use crate::server::{Connection, Found, Place, Server, Why};
use crate::tools::{Does, Tools};

/// How long a server that is somewhere else is left alone before it is greeted again: doubled each time, up to the most. One that was
/// there for a while has not failed, and is greeted at once.
const BACK_OFF: Duration = Duration::from_secs(1);
const MOST_BACK_OFF: Duration = Duration::from_secs(60);
const STEADY: Duration = Duration::from_secs(60);

/// Connects to every server that is started here, all at the same time, and adds their tools to those that there are.
pub(super) async fn open(
    known: &mut Known,
    search: Option<&Search>,
    reporter: &Reporter,
) -> Result<Vec<(usize, Connection)>, Failed> {
    let mut greeted = Vec::new();
    for (number, server) in known.servers.iter().enumerate().filter(|(_, server)| server.place.is_none()) {
        let pipes = take(reporter, number)?;
        let (server, greets) = (Rc::clone(server), Rc::clone(server));
        greeted.push((number, server, tokio::task::spawn_local(async move { greets.connect(pipes).await })));
    }
    let mut connections = Vec::new();
    for (number, server, greeted) in greeted {
        let failed = |reason| failed(&server, reason);
        let connected = greeted.await.map_err(|error| failed(error.to_string()))?;
        let (found, connection) = connected.map_err(failed)?;
        tells_no_value(search, &found).await.map_err(failed)?;
        add(&mut known.tools, reporter, number, &server, &found)?;
        connections.push((number, connection));
    }
    Ok(connections)
}

/// Reaches every server that is somewhere else, all at the same time. The agent is not started before all of them have said what
/// their tools are.
pub(super) fn reach(broker: &Rc<Broker>) {
    for (number, server) in broker.servers.iter().enumerate() {
        let Some(place) = server.place.clone() else { continue };
        let (broker, server) = (Rc::clone(broker), Rc::clone(server));
        tokio::task::spawn_local(async move {
            let reached = server.reach(Rc::clone(&broker.reporter), &place).await;
            let reached = match reached {
                Ok((found, connection, why)) => {
                    tells_no_value(broker.search.as_ref(), &found).await.map(|()| (found, connection, why))
                }
                Err(reason) => Err(reason),
            };
            let reached =
                reached.map_err(|reason| failed(&server, reason)).and_then(|(found, connection, why)| {
                    add(&mut broker.tools.borrow_mut(), &broker.reporter, number, &server, &found)?;
                    Ok((connection, why))
                });
            match reached {
                Ok((connection, why)) => {
                    broker.reporter.tell(&Report::Reached { server: number });
                    stay(broker, number, server, place, connection, why).await;
                }
                Err(failed) => broker.reporter.failed(&failed.to_string()),
            }
        });
    }
}

/// Has the server greeted again whenever its connection ends.
async fn stay(
    broker: Rc<Broker>,
    number: usize,
    server: Rc<Server>,
    place: Place,
    mut connection: Connection,
    mut why: Why,
) {
    let mut wait = BACK_OFF;
    loop {
        let since = Instant::now();
        let generation = server.generation();
        drop(connection.waiting().await);
        server.ended(generation);
        let reason = why.get().map_or("its connection ended", String::as_str);
        broker.reporter.gone(number, &printable_text(reason));
        if since.elapsed() > STEADY {
            wait = Duration::ZERO;
        }
        (connection, why) = loop {
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).clamp(BACK_OFF, MOST_BACK_OFF);
            match server.reach(Rc::clone(&broker.reporter), &place).await {
                Ok((_, connection, why)) => break (connection, why),
                Err(reason) => broker.reporter.gone(number, &reason),
            }
        };
        broker.reporter.tell(&Report::Reached { server: number });
    }
}

fn failed(server: &Server, reason: String) -> Failed {
    Failed::Server { name: server.name.clone(), origin: server.origin.clone(), reason }
}

/// The pipes of the server of that number, which come in order.
fn take(reporter: &Reporter, number: usize) -> Result<[OwnedFd; 2], Failed> {
    let received = receive::<Order>(reporter.channel().as_fd(), true).map_err(std::io::Error::from)?;
    match received {
        Some((Order::Server { server }, pipes)) if server == number => {
            <[OwnedFd; 2]>::try_from(pipes).map_err(|_| no_sense())
        }
        _ => Err(no_sense()),
    }
}

/// What its tools are, the agent is told, and it is kept: a server that puts a value into that is refused.
async fn tells_no_value(search: Option<&Search>, found: &[Found]) -> Result<(), String> {
    let Some(search) = search else { return Ok(()) };
    for one in found {
        let said = serde_json::to_value(&one.definition).map_err(|error| error.to_string())?;
        if search.holds_a_value(said).await? {
            return Err(format!("what it says of its tool `{}` holds the value of a credential", one.name));
        }
    }
    Ok(())
}

/// Adds what was found, and has what is new pinned.
fn add(
    tools: &mut Tools,
    reporter: &Reporter,
    number: usize,
    server: &Server,
    found: &[Found],
) -> Result<(), Failed> {
    for one in found {
        let name = format!("{}.{}", server.name, one.name);
        let does = Does::Server { server: number, tool: one.name.clone() };
        tools.define(&name, "mcp", &one.definition, does, &one.origin)?;
        if let Some(new) = &one.new {
            reporter.pin(number, &one.name, new);
        }
    }
    Ok(())
}

/// Tells when a connection ends.
pub(super) fn watch(broker: &Rc<Broker>, (number, connection): (usize, Connection)) {
    let Some(server) = broker.servers.get(number).map(Rc::clone) else { return };
    let (reporter, generation) = (Rc::clone(&broker.reporter), server.generation());
    tokio::task::spawn_local(async move {
        // How it ended says nothing that would help: the pipe is closed, or what came was no message.
        drop(connection.waiting().await);
        if server.ended(generation) {
            reporter.gone(number, "it ended, or said what is no message");
        }
    });
}

/// A server was started once more. What it is now said to have must be what it had.
pub(super) fn again(broker: &Rc<Broker>, number: usize, pipes: Vec<OwnedFd>) -> Result<(), Failed> {
    let pipes = <[OwnedFd; 2]>::try_from(pipes).map_err(|_| no_sense())?;
    let server = broker.servers.get(number).map(Rc::clone).ok_or_else(no_sense)?;
    let broker = Rc::clone(broker);
    tokio::task::spawn_local(async move {
        match server.connect(pipes).await {
            Ok((_, connection)) => watch(&broker, (number, connection)),
            Err(reason) => broker.reporter.gone(number, &reason),
        }
    });
    Ok(())
}
