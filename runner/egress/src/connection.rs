//! One connection of the agent's, from accept to its end: which destination is it to, do its first bytes say so as well, may
//! it be, and then on its way.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use agentfile::plan::inside::RESOLVER;

use crate::destination::{Destination, Speaks, destination};
use crate::gateway::{DNS, Gateway};
use crate::hello::{self, asks_again, client_hello};
use crate::judge::{AGENT, Asked};
use crate::pump::{Ended, Means, pump};
use crate::reason::UNDECLARED_ADDRESS;
use crate::report::{Client, Report};
use crate::tls::NotAccepted;
use crate::upstream::Unreachable;
use crate::{http, inward, resolver, tls};

/// How long the first bytes may take.
pub(crate) const FIRST_BYTES: Duration = Duration::from_secs(15);
/// How long a server's first message may take.
const FIRST_ANSWER: Duration = Duration::from_secs(60);
/// The first byte of TLS: a record of the handshake (RFC 8446, section 5.1).
const TLS: u8 = 22;
/// RFC 8446, section 6: a fatal alert, unrecognized_name.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Serves it to its end.
pub(crate) async fn serve(gateway: Rc<Gateway>, agent: TcpStream, client: Client, local: SocketAddr) {
    if local.ip().to_canonical() == RESOLVER && local.port() == DNS {
        return resolver::serve_stream(&gateway, agent, client).await;
    }
    let found = destination(&gateway.egress, &gateway.names.borrow(), local);
    let Some(to) = found else {
        if gateway.disagrees(local) {
            let reason =
                format!("the eBPF filter let a connection to {local} through, which no line declares");
            return gateway.reporter.tell(&Report::Failed { reason });
        }
        let act = format!("connect {}", SocketAddr::new(local.ip().to_canonical(), local.port()));
        gateway.reporter.denied(&act, "reset", UNDECLARED_ADDRESS, "", client).await;
        return reset(agent);
    };
    let connection = Connection { gateway, to, client };
    let Speaks { tcp, tls, http, broker } = connection.to.speaks;
    if broker {
        return inward::serve(&connection.gateway, agent, client).await;
    }
    if tcp && connection.to.terminate_tls {
        // A rule on requests, or a credential, that a line for bytes of any kind would make void.
        let reason = "a `tcp://` line and one whose requests must be seen declare the same host and port";
        return connection.deny(agent, reason).await;
    }
    if tcp {
        return connection.plain(agent).await;
    }
    // Who may speak one of the two must speak it; who may speak both is asked.
    let mut first = [0];
    let secure = match tokio::time::timeout(FIRST_BYTES, agent.peek(&mut first)).await {
        Ok(Ok(1)) => first == [TLS],
        _ => return,
    };
    match (secure, tls, http) {
        (true, true, _) if connection.to.terminate_tls => connection.terminated(agent).await,
        (true, true, _) => connection.passed(agent).await,
        (false, _, true) => {
            let Connection { gateway, to, client } = connection;
            http::serve(gateway, to, false, (AGENT, client), agent).await;
        }
        (false, ..) => connection.deny(agent, "it does not begin with a TLS handshake").await,
        (true, false, _) => {
            connection.deny(agent, "it speaks TLS, and the destination is declared as `http://`").await
        }
    }
}

/// Ends a connection so that the agent sees that it was ended.
fn reset(agent: TcpStream) {
    let _ = agent.set_zero_linger();
}

struct Connection {
    gateway: Rc<Gateway>,
    to: Destination,
    client: Client,
}

impl Connection {
    fn act(&self) -> String {
        format!("connect {}:{}", self.to.host, self.to.port)
    }

    async fn deny(&self, agent: TcpStream, reason: &str) {
        self.gateway.reporter.denied(&self.act(), "reset", reason, "", self.client).await;
        reset(agent);
    }

    /// Whether a connection whose requests are not seen may be: the policies, the limits, the record.
    async fn may(&self, scheme: &str) -> bool {
        let act = self.act();
        let verdict = self.gateway.verdict(&Asked::connection(scheme, &self.to.host, self.to.port));
        if !verdict.permitted {
            self.gateway.reporter.denied(&act, "reset", &verdict.reason, &verdict.rule, self.client).await;
            return false;
        }
        if let Err(limit) = self.gateway.limits.request(&self.to.host, Instant::now()) {
            self.gateway.reporter.limited(limit, &act, self.client).await;
            return false;
        }
        self.gateway.reporter.intent(&act, &verdict.rule).await
    }

    /// The way out, or the end of this connection.
    async fn upstream(&self) -> Option<TcpStream> {
        match self.gateway.upstream.connect(&self.to).await {
            Ok(world) => {
                let _ = world.set_nodelay(true);
                Some(world)
            }
            Err(error) => {
                if matches!(error, Unreachable::Forbidden { .. }) {
                    let reason = error.to_string();
                    self.gateway.reporter.denied(&self.act(), "reset", &reason, "", self.client).await;
                }
                None
            }
        }
    }

    /// `tcp://`: bytes, whatever they are.
    async fn plain(&self, agent: TcpStream) {
        if !self.may("tcp").await {
            return reset(agent);
        }
        match self.upstream().await {
            Some(world) => self.pump(agent, world).await,
            None => reset(agent),
        }
    }

    /// TLS that stays end to end.
    async fn passed(&self, mut agent: TcpStream) {
        let Some((first, held)) = self.hello(&mut agent, Vec::new()).await else { return };
        if !self.may("https").await {
            return reset(agent);
        }
        let Some(mut world) = self.upstream().await else { return reset(agent) };
        if !self.send(&mut world, &first).await {
            return reset(agent);
        }
        // An open connection keeps none of it.
        drop(first);
        match self.answered(&mut agent, &mut world, held).await {
            Ok(true) => self.pump(agent, world).await,
            Ok(false) | Err(_) => reset(agent),
        }
    }

    /// Reads a ClientHello that names the destination, and what came after it. Otherwise the connection is ended.
    async fn hello(&self, agent: &mut TcpStream, mut read: Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
        let deadline = tokio::time::Instant::now() + FIRST_BYTES;
        let reason = loop {
            match client_hello(&read) {
                Ok(Some(hello)) => {
                    // A client does not name an address (RFC 6066, section 3).
                    let expected = self.to.address.is_none().then_some(&self.to.host);
                    if hello.server_name.as_ref() == expected {
                        let rest = read.split_off(hello.length.min(read.len()));
                        return Some((read, rest));
                    }
                    break match hello.server_name {
                        Some(name) => format!("its ClientHello asks for another server: `{name}`"),
                        None => "its ClientHello names no server (SNI)".to_owned(),
                    };
                }
                Ok(None) if read.len() > hello::LONGEST => break hello::NotPassed::TooLong.to_string(),
                Ok(None) => {}
                Err(not_passed) => break not_passed.to_string(),
            }
            read.reserve(4096);
            match tokio::time::timeout_at(deadline, agent.read_buf(&mut read)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return None,
                Ok(Ok(_)) => {}
                Err(_) => break "its ClientHello does not come".to_owned(),
            }
        };
        self.gateway.reporter.denied(&self.act(), "alert", &reason, "", self.client).await;
        let _ = agent.write_all(&UNRECOGNIZED_NAME).await;
        None
    }

    /// Waits for the server's first message. One that asks for a second ClientHello gets one that is looked at like the
    /// first. What the agent says before that is held back: it may be the second ClientHello already. Whether to go on.
    async fn answered(
        &self,
        agent: &mut TcpStream,
        world: &mut TcpStream,
        mut held: Vec<u8>,
    ) -> io::Result<bool> {
        let mut answer = Vec::with_capacity(4096);
        let deadline = tokio::time::Instant::now() + FIRST_ANSWER;
        let again = loop {
            if let Some(again) = asks_again(&answer) {
                break again;
            }
            held.reserve(4096);
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(false),
                read = world.read_buf(&mut answer) => if read? == 0 { break false },
                // Early data, or its end.
                read = agent.read_buf(&mut held), if held.len() < hello::LONGEST => if read? == 0 { return Ok(false) },
            }
        };
        agent.write_all(&answer).await?;
        if !again {
            return Ok(self.send(world, &held).await);
        }
        let (before, second) = second_hello(agent, held).await?;
        match self.hello(agent, second).await {
            Some((hello, rest)) => Ok(self.send(world, &[before, hello, rest].concat()).await),
            None => Ok(false),
        }
    }

    /// Sends what is not the pump's yet, counted like everything that goes out.
    async fn send(&self, world: &mut TcpStream, bytes: &[u8]) -> bool {
        let limits = self.gateway.limits.counts_bytes().then_some(&self.gateway.limits);
        let mut rest = bytes;
        while !rest.is_empty() {
            match crate::pump::granted(limits, rest.len()).await {
                Ok(some) => {
                    let (now, later) = rest.split_at(some.min(rest.len()));
                    if world.write_all(now).await.is_err() {
                        return false;
                    }
                    rest = later;
                }
                Err(limit) => {
                    self.gateway.reporter.limited(limit, &self.act(), self.client).await;
                    return false;
                }
            }
        }
        true
    }

    async fn pump(&self, mut agent: TcpStream, mut world: TcpStream) {
        let Gateway { shared, eager, limits, .. } = &*self.gateway;
        let means = Means { shared, eager, limits };
        if let Ended::Limit(limit) = pump(&mut agent, &mut world, &means).await {
            self.gateway.reporter.limited(limit, &self.act(), self.client).await;
            reset(agent);
        }
    }

    /// TLS that ends here, so that its requests are seen.
    async fn terminated(self, agent: TcpStream) {
        let accepted = tls::accept(&self.gateway, &self.to, agent).await;
        let reason = match accepted {
            Ok(stream) => {
                return http::serve(self.gateway, self.to, true, (AGENT, self.client), stream).await;
            }
            Err(NotAccepted::Io) => return,
            Err(NotAccepted::OtherName(Some(name))) => {
                format!("its ClientHello asks for another server: `{name}`")
            }
            Err(NotAccepted::OtherName(None)) => "its ClientHello names no server (SNI)".to_owned(),
            Err(NotAccepted::Certificate(error)) => error,
        };
        self.gateway.reporter.denied(&self.act(), "closed", &reason, "", self.client).await;
    }
}

/// What the agent has said, or says next, cut where its second ClientHello begins: before it come early data, which the
/// server skips, and a ChangeCipherSpec (RFC 8446, section 4.2.10 and appendix D.4).
async fn second_hello(agent: &mut TcpStream, mut read: Vec<u8>) -> io::Result<(Vec<u8>, Vec<u8>)> {
    const BEFORE: [u8; 2] = [20, 23];
    let mut at = 0;
    let cut = async {
        loop {
            let rest = read.get(at..).unwrap_or_default();
            if rest.first().is_some_and(|kind| !BEFORE.contains(kind)) {
                return Ok(());
            }
            if let [_, _, _, high, low, record @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if record.len() >= length {
                    at += 5 + length;
                    continue;
                }
            }
            if read.len() > 2 * hello::LONGEST {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            read.reserve(4096);
            if agent.read_buf(&mut read).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
    };
    tokio::time::timeout(FIRST_BYTES, cut).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let rest = read.split_off(at);
    Ok((read, rest))
}
