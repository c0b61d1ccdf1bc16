//! The two ways to the broker: the socket inside, on which a message is a line, and its name on the agent's network, where it is a
//! request of HTTP. What is behind both is the same, and so is how much there may be of it.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::{Failed, no_sense};
use crate::call::Broker;
use crate::protocol::{Handler, Lines, Room, http};

/// Most connections at a time; further ones wait, one of them accepted.
const CONNECTIONS: usize = 32;

/// Both of them.
#[derive(Clone)]
pub(super) struct Doors {
    broker: Rc<Broker>,
    room: Room,
    open: Arc<Semaphore>,
}

impl Doors {
    pub(super) fn new(broker: Rc<Broker>) -> Self {
        Self { broker, room: Room::new(), open: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    /// Accepts for ever.
    pub(super) async fn accept(self, listener: UnixListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Of this process's own: too many descriptors. It waits until some are free.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            // Never closed.
            let Ok(place) = Arc::clone(&self.open).acquire_owned().await else { return };
            let (broker, room) = (Rc::clone(&self.broker), self.room.clone());
            tokio::task::spawn_local(async move {
                connection(broker, room, stream).await;
                drop(place);
            });
        }
    }

    /// A process inside, by its pid on the host, has connected to the broker's name. How many of these there are at a time, the
    /// gateway bounds.
    pub(super) fn join(&self, pid: i32, attached: Vec<OwnedFd>) -> Result<(), Failed> {
        let [stream] = <[OwnedFd; 1]>::try_from(attached).map_err(|_| no_sense())?;
        let stream = std::os::unix::net::UnixStream::from(stream);
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        let Self { broker, room, open } = self.clone();
        tokio::task::spawn_local(async move {
            let Ok(place) = open.acquire_owned().await else { return };
            http::serve(broker, room, pid, stream).await;
            drop(place);
        });
        Ok(())
    }
}

/// Serves one connection to its end.
async fn connection(broker: Rc<Broker>, room: Room, stream: UnixStream) {
    let peer = stream.peer_cred().ok().and_then(|peer| Some((peer.pid()?, peer.uid())));
    let own = rustix::process::getuid().as_raw();
    // As nobody, the broker cannot compare users: whose the process is, the supervisor sees.
    let ours = match peer {
        Some((pid, _)) => broker.reporter.is_ours(pid).await,
        None => false,
    };
    let Some((pid, _)) = peer.filter(|_| ours) else {
        let (pid, uid) = peer.unwrap_or((0, own));
        let reason = format!("a process that is none of this run's, of user {uid}");
        broker.reporter.denied("connect to the broker", "closed", &reason, "", pid).await;
        return;
    };
    let (here, gone) = watch::channel(());
    let handler = Handler::new(broker, pid, gone);
    if let Ok(service) = handler.serve(Lines::new(stream, room, here)).await {
        // How it ended is the client's business.
        drop(service.waiting().await);
    }
}
