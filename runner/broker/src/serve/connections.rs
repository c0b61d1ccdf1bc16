//! The connections to the plan's servers: all of them before the agent starts, and each again when the supervisor has started
//! its server once more.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use agentrc_service::channel::receive;

use super::{Failed, no_sense};
use crate::call::{Broker, Known};
use crate::report::Order;
use crate::reporter::Reporter;
use crate::server::{Connection, Found, Server};
use crate::tools::{Does, Tools};

/// Connects to every server, all at the same time, and adds their tools to those that there are.
pub(super) async fn open(known: &mut Known, reporter: &Reporter) -> Result<Vec<(usize, Connection)>, Failed> {
    let mut greeted = Vec::new();
    for (number, server) in known.servers.iter().enumerate() {
        let pipes = take(reporter, number)?;
        let server = Rc::clone(server);
        greeted.push(tokio::task::spawn_local(async move { server.connect(pipes).await }));
    }
    let mut connections = Vec::new();
    for (number, (server, greeted)) in known.servers.iter().zip(greeted).enumerate() {
        let failed = |reason| failed(server, reason);
        let connected = greeted.await.map_err(|error| failed(error.to_string()))?;
        let (found, connection) = connected.map_err(failed)?;
        add(&mut known.tools, number, server, &found)?;
        for one in &found {
            if let Some(new) = &one.new {
                reporter.pin(number, &one.name, new);
            }
        }
        connections.push((number, connection));
    }
    Ok(connections)
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

fn add(tools: &mut Tools, number: usize, server: &Server, found: &[Found]) -> Result<(), Failed> {
    for one in found {
        let name = format!("{}.{}", server.name, one.name);
        let does = Does::Server { server: number, tool: one.name.clone() };
        tools.define(&name, "mcp", &one.definition, does, &one.origin)?;
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
