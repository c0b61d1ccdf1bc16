//! What reached the world's servers.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::HeaderMap;

/// A connection, or a datagram.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Which port it came to.
    pub port: u16,
    /// Whether it is a datagram.
    pub datagram: bool,
    /// The address that it came to; of a datagram nothing is known.
    pub at: Option<IpAddr>,
    /// What was sent, where bytes are looked at (not by servers of HTTP or TLS).
    pub bytes: Vec<u8>,
}

/// A request, recorded when its body has come.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which port it came to.
    pub port: u16,
    /// The address that it came to.
    pub at: IpAddr,
    /// The server that its TLS asked for.
    pub server_name: Option<String>,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// Its Host, or `:authority`.
    pub host: String,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// The newest run's audit log when it came; only of a path that begins with `/recorded`.
    pub record: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}{}", self.method, self.scheme, self.host, self.target)
    }
}

#[derive(Debug, Default)]
struct Seen {
    arrivals: Vec<Arrival>,
    requests: Vec<Request>,
}

/// What all servers write to.
#[derive(Debug, Clone)]
pub(super) struct Log {
    seen: Arc<Mutex<Seen>>,
    state: PathBuf,
}

impl Log {
    pub(super) fn new(state: PathBuf) -> Self {
        Self { seen: Arc::default(), state }
    }

    /// The number under which it is kept.
    pub(super) fn arrived(&self, arrival: Arrival) -> usize {
        let mut seen = self.seen.lock().expect("lock");
        seen.arrivals.push(arrival);
        seen.arrivals.len() - 1
    }

    pub(super) fn sent(&self, number: usize, bytes: &[u8]) {
        // It may be forgotten by now.
        if let Some(arrival) = self.seen.lock().expect("lock").arrivals.get_mut(number) {
            arrival.bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn asked(&self, request: Request) {
        self.seen.lock().expect("lock").requests.push(request);
    }

    /// The newest run's audit log as it is now.
    pub(super) fn record(&self) -> String {
        let run = crate::audit::runs(&self.state).pop();
        run.map(|run| std::fs::read_to_string(run.join("audit.jsonl")).unwrap_or_default())
            .unwrap_or_default()
    }

    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        // What is on its way is counted.
        std::thread::sleep(Duration::from_millis(20));
        self.seen.lock().expect("lock").arrivals.clone()
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        std::thread::sleep(Duration::from_millis(20));
        self.seen.lock().expect("lock").requests.clone()
    }

    pub(super) fn forget(&self) {
        *self.seen.lock().expect("lock") = Seen::default();
    }
}
