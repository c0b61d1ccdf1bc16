//! The broker's name: connections of the agent's that go to the broker, and to nothing on the network. Their bytes are the broker's
//! to read, and nobody else's: with one reader there are no two that could understand two things.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, copy};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::connection::FIRST_BYTES;
use crate::gateway::Gateway;
use crate::report::Client;

/// Most connections to the broker at a time; further ones wait here, and count as every other.
const CONNECTIONS: usize = 32;
/// How long is read what nobody wants any more.
const UNREAD: Duration = Duration::from_secs(2);

/// The way to the broker.
#[derive(Debug)]
pub(crate) struct Inward(Semaphore);

impl Default for Inward {
    fn default() -> Self {
        Self(Semaphore::new(CONNECTIONS))
    }
}

/// Serves one to its end.
pub(crate) async fn serve(gateway: &Gateway, mut agent: TcpStream, client: Client) {
    // One on which nothing is asked takes nobody's place.
    match tokio::time::timeout(FIRST_BYTES, agent.peek(&mut [0])).await {
        Ok(Ok(1)) => {}
        _ => return,
    }
    let Ok(one) = gateway.inward.0.acquire().await else { return };
    let broker = match gateway.reporter.join(client).await {
        Some(broker) => connected(broker.into()),
        None => {
            let reason = "no process of this run's that holds the connection was found";
            gateway.reporter.denied("connect to the broker", "reset", reason, "", client).await;
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    };
    let Ok(mut broker) = broker else {
        let _ = agent.set_zero_linger();
        return;
    };
    pass(&mut agent, &mut broker).await;
    drop((one, broker));
    // What is closed with something unread is reset, and the answer may be lost by it.
    let _ = agent.shutdown().await;
    let _ = tokio::time::timeout(UNREAD, copy(&mut agent, &mut tokio::io::sink())).await;
}

/// Passes on bytes, until the broker has said all that it has to say. It gives the agent no more time than a request needs, and
/// notices when the agent is gone.
async fn pass(agent: &mut TcpStream, broker: &mut tokio::net::UnixStream) {
    let (mut asked, mut told) = agent.split();
    let (mut answers, mut hears) = broker.split();
    let ask = async {
        let _ = copy(&mut asked, &mut hears).await;
        let _ = hears.shutdown().await;
        // It is over when the broker says so, which until then keeps its place.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = ask => {}
        _ = copy(&mut answers, &mut told) => {}
    }
}

fn connected(stream: UnixStream) -> io::Result<tokio::net::UnixStream> {
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}
