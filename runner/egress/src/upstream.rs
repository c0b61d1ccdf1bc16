//! The way out of the host: resolve a declared name with the host's own resolver, refuse addresses that a name must not lead
//! to, and connect to what is left. Whoever gets a connection from here got it to an address that was looked at: nothing is
//! resolved a second time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use agentfile::address::special;

use crate::destination::Destination;

/// How long resolving may take.
const RESOLVING: Duration = Duration::from_secs(10);
/// How long connecting may take, all addresses together.
const CONNECTING: Duration = Duration::from_secs(15);
/// RFC 8305, section 5: how long one address has before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);
/// How long an answer of the resolver is used for further connections. Short: no time to live comes with it.
const FRESH: Duration = Duration::from_secs(10);
/// Names whose addresses are kept.
const KEPT: usize = 1024;
/// Longest answer of a proxy to CONNECT.
const PROXY_ANSWER: usize = 8 * 1024;

/// An HTTP proxy that the host's configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The name's only addresses are ones that a name must not lead to.
    #[error("`{host}` leads to {address}, {what}: a destination there must be declared by its address")]
    Forbidden {
        /// The name.
        host: String,
        /// Its first address.
        address: IpAddr,
        /// What is there.
        what: &'static str,
    },
    /// The host's resolver does not know it.
    #[error("`{host}` cannot be resolved: {error}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// Nobody answers.
    #[error("`{host}` cannot be reached: {error}")]
    Refused {
        /// The name or address.
        host: String,
        /// What the kernel says of the last address.
        error: io::Error,
    },
    /// The proxy does not connect.
    #[error("the host's proxy does not connect to `{host}`: {answer}")]
    Proxy {
        /// The name or address.
        host: String,
        /// The first line of its answer.
        answer: String,
    },
}

/// The way out, and what is known of names.
#[derive(Debug, Default)]
pub struct Upstream {
    private: Vec<String>,
    proxy: Option<Proxy>,
    known: RefCell<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

impl Upstream {
    /// With the host's exceptions: names (or `*.suffix`) that may lead to private addresses, and its proxy.
    #[must_use]
    pub fn new(private: Vec<String>, proxy: Option<Proxy>) -> Self {
        Self { private, proxy, known: RefCell::default() }
    }

    /// A connection to the destination.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self, to: &Destination) -> Result<TcpStream, Unreachable> {
        // An address of this host or of its networks is another machine's at the proxy.
        let near = to.address.is_some_and(|address| special(address).is_some());
        if let Some(proxy) = self.proxy.as_ref().filter(|_| !near) {
            return self.through(proxy, to).await;
        }
        let addresses = match to.address {
            Some(address) => vec![address],
            None => self.addresses(&to.host).await?,
        };
        let connected = race(&addresses, to.port).await;
        if connected.is_err() {
            self.known.borrow_mut().remove(&to.host);
        }
        connected.map_err(|error| Unreachable::Refused { host: to.host.clone(), error })
    }

    /// The addresses of a name that it may lead to.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Unreachable> {
        if let Some((since, addresses)) = self.known.borrow().get(host)
            && since.elapsed() < FRESH
        {
            return Ok(addresses.clone());
        }
        let mut all =
            resolve(host).await.map_err(|error| Unreachable::Unresolved { host: host.to_owned(), error })?;
        if !self.private.iter().any(|private| excepts(private, host)) {
            let first = all.first().and_then(|address| Some((*address, special(*address)?)));
            all.retain(|address| special(*address).is_none());
            if let Some((address, what)) = first.filter(|_| all.is_empty()) {
                return Err(Unreachable::Forbidden { host: host.to_owned(), address, what });
            }
        }
        if all.is_empty() {
            let error = io::Error::new(io::ErrorKind::NotFound, "it has no address");
            return Err(Unreachable::Unresolved { host: host.to_owned(), error });
        }
        let mut known = self.known.borrow_mut();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(host.to_owned(), (Instant::now(), all.clone()));
        Ok(all)
    }

    /// A tunnel through the host's proxy (RFC 9110, section 9.3.6), which resolves the name: the host's operator trusts it.
    async fn through(&self, proxy: &Proxy, to: &Destination) -> Result<TcpStream, Unreachable> {
        let refused = |error| Unreachable::Refused { host: format!("the proxy {}", proxy.host), error };
        let addresses = match proxy.host.parse() {
            Ok(address) => vec![address],
            Err(_) => resolve(&proxy.host)
                .await
                .map_err(|error| Unreachable::Unresolved { host: proxy.host.clone(), error })?,
        };
        let mut stream = race(&addresses, proxy.port).await.map_err(refused)?;
        let authority = match to.address {
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", to.port),
            _ => format!("{}:{}", to.host, to.port),
        };
        let asked = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        let answer = async {
            stream.write_all(asked.as_bytes()).await?;
            // Byte by byte: what follows the head is the destination's.
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if head.len() >= PROXY_ANSWER {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer has no end"));
                }
                head.push(stream.read_u8().await?);
            }
            Ok(head)
        };
        let head =
            tokio::time::timeout(CONNECTING, answer).await.map_err(|_| refused(late()))?.map_err(refused)?;
        let line: String =
            String::from_utf8_lossy(&head).lines().next().unwrap_or_default().chars().take(100).collect();
        let accepted = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
        if accepted.is_some_and(|status| status.len() == 3 && status.starts_with('2')) {
            return Ok(stream);
        }
        Err(Unreachable::Proxy { host: to.host.clone(), answer: line.escape_debug().to_string() })
    }
}

/// Whether an exception is for this name: `*.suffix` is all names below it (docs/configuration.md).
fn excepts(private: &str, host: &str) -> bool {
    private == host || private.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix))
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it took too long")
}

/// getaddrinfo(3), in a thread of its own, in the order that it prefers (RFC 6724). A service has no search list
/// (`runner/jail/src/service.rs`): the name is looked up as it is.
async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    let found =
        tokio::time::timeout(RESOLVING, tokio::net::lookup_host((host, 0))).await.map_err(|_| late())??;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|address| address.ip().to_canonical()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// To a server on this host, without the pacing that the host may have for its networks (docs/decisions/0014-sockmap.md); that
/// has to be said before connect(2).
async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    if !address.ip().is_loopback() {
        return TcpStream::connect(address).await;
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // It is about speed alone.
    let _ = rustix::net::sockopt::set_tcp_congestion(&socket, "reno");
    socket.connect(address).await
}

/// RFC 8305: the first address that answers, families taking turns, each a moment after the one before.
async fn race(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut waiting = interleaved(addresses).into_iter();
    // Polled by this very task: after a moment in which the gateway did not run, an answer that is there comes before the time that
    // is over, and nothing is dialled in vain.
    let mut trying: Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>> = Vec::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    let deadline = tokio::time::Instant::now() + CONNECTING;
    if let [only] = addresses {
        return tokio::time::timeout_at(deadline, dial(SocketAddr::new(*only, port)))
            .await
            .map_err(|_| late())?;
    }
    loop {
        if let Some(address) = waiting.next() {
            trying.push(Box::pin(dial(SocketAddr::new(address, port))));
        } else if trying.is_empty() {
            return Err(last);
        }
        let next = if waiting.len() > 0 { tokio::time::Instant::now() + STAGGER } else { deadline };
        let answer = poll_fn(|context| {
            let done = trying.iter_mut().enumerate().find_map(|(at, one)| match one.as_mut().poll(context) {
                Poll::Ready(answer) => Some((at, answer)),
                Poll::Pending => None,
            });
            let Some((at, answer)) = done else { return Poll::Pending };
            drop(trying.swap_remove(at));
            Poll::Ready(answer)
        });
        match tokio::time::timeout_at(next.min(deadline), answer).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) if tokio::time::Instant::now() >= deadline => return Err(late()),
            Err(_) => {}
        }
    }
}

/// Families taking turns, each in its order, beginning with that of the first address.
fn interleaved(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_six = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (one, other): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == first_is_six);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut turns = Vec::with_capacity(addresses.len());
    loop {
        let (left, right) = (one.next(), other.next());
        if left.is_none() && right.is_none() {
            return turns;
        }
        turns.extend(left.into_iter().chain(right));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn to(host: &str, port: u16) -> Destination {
        let speaks = crate::destination::Speaks { tcp: true, tls: false, http: false, broker: false };
        Destination { host: host.to_owned(), address: host.parse().ok(), port, speaks, terminate_tls: false }
    }

    #[test]
    fn families_take_turns() {
        let addresses = ["::1", "::2", "::3", "10.0.0.1"].map(|address| address.parse::<IpAddr>().unwrap());
        let turns: Vec<_> = interleaved(&addresses).iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["::1", "10.0.0.1", "::2", "::3"]);
    }

    #[test]
    fn a_name_that_leads_to_the_host_itself_is_refused_unless_the_operator_says_otherwise() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = block_on(Upstream::default().connect(&to("localhost", port))).unwrap_err();
        assert!(matches!(refused, Unreachable::Forbidden { .. }), "{refused}");
        let upstream = Upstream::new(vec!["localhost".to_owned()], None);
        assert!(block_on(upstream.connect(&to("localhost", port))).is_ok());
        assert!(
            block_on(Upstream::default().connect(&to("127.0.0.1", port))).is_ok(),
            "declared as an address"
        );
    }

    #[test]
    fn an_address_that_answers_is_found_beside_one_that_refuses() {
        let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses = ["127.0.0.9", "127.0.0.2"].map(|address| address.parse().unwrap());
        assert!(block_on(race(&addresses, port)).is_ok());
        assert!(block_on(race(&addresses[..1], port)).is_err());
        assert!(block_on(race(&[], port)).is_err());
    }

    #[test]
    fn only_a_proxy_that_says_yes_is_a_way() {
        use std::io::{Read, Write};
        for (answer, works) in [
            ("HTTP/1.1 200 OK\r\nx: y\r\n\r\nhello", true),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", false),
            ("HTTP/1.1 2000 OK\r\n\r\n", false),
            ("220 smtp.example\r\n\r\n", false),
            ("HTTP/1.1 200", false),
        ] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.extend(byte);
                }
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(head).unwrap()
            });
            let proxy = Proxy { host: "127.0.0.1".to_owned(), port };
            let upstream = Upstream::new(Vec::new(), Some(proxy));
            let connected = block_on(async {
                let mut stream = upstream.connect(&to("api.example.com", 443)).await.ok()?;
                let mut first = [0; 5];
                stream.read_exact(&mut first).await.ok()?;
                Some(first)
            });
            assert_eq!(connected, works.then_some(*b"hello"), "{answer}");
            assert!(server.join().unwrap().starts_with("CONNECT api.example.com:443 HTTP/1.1\r\n"));
        }
    }
}
