//! The world's servers: which port speaks what, and the thread that they all run in.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use super::certificates::Authority;
use super::git::Repositories;
use super::log::{Arrival, Log};
use super::{Endless, NAMES, hostile, http, raw};

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTP, version 1.1 or 2 as the client begins.
    Http,
    /// The same over TLS, as ALPN says; with a certificate for all names of the world.
    Https,
    /// HTTP/1.1 over TLS.
    HttpsOne,
    /// TLS with a certificate for another name.
    HttpsOtherName,
    /// TLS with a certificate of an authority that nobody trusts.
    HttpsUnknown,
    /// Gives back what it gets, once all of it is there.
    Echo,
    /// Answers each head of a request with `200`, whatever is in it, and keeps the bytes.
    RawHttp,
    /// Answers a ClientHello by asking for another, and keeps the bytes.
    Retry,
    /// Keeps the bytes.
    Silent,
    /// Sends what does not end; over TLS where it speaks HTTP/2.
    Hostile(Endless),
    /// Keeps datagrams.
    Datagrams,
}

/// All ports.
pub const PORTS: &[(u16, Kind)] = &[
    (22, Kind::Silent),
    (53, Kind::Silent),
    (53, Kind::Datagrams),
    (80, Kind::Http),
    (443, Kind::Https),
    (443, Kind::Datagrams),
    (853, Kind::Silent),
    (4433, Kind::Retry),
    (4443, Kind::HttpsOtherName),
    (4444, Kind::HttpsUnknown),
    (4445, Kind::Silent),
    (7000, Kind::Echo),
    (8080, Kind::RawHttp),
    (8081, Kind::Http),
    (8443, Kind::HttpsOne),
    (9001, Kind::Hostile(Endless::Settings)),
    (9002, Kind::Hostile(Endless::Pings)),
    (9003, Kind::Hostile(Endless::Fields)),
    (9004, Kind::Hostile(Endless::Continuations)),
    (9005, Kind::Hostile(Endless::Resets)),
    (9006, Kind::Hostile(Endless::Data)),
    (9007, Kind::Hostile(Endless::Head)),
    (9008, Kind::Hostile(Endless::Early)),
];

/// What the servers share.
pub(super) struct Place {
    pub(super) log: Log,
    pub(super) repositories: Repositories,
    pub(super) authority: Authority,
}

/// One server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) kind: Kind,
    pub(super) log: Log,
    pub(super) repositories: Repositories,
    pub(super) turns: http::Turns,
}

/// All of them, until dropped.
pub(super) struct Servers {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    pub(super) fn start(sockets: Vec<OwnedFd>, place: Place) -> Self {
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            LocalSet::new().block_on(&runtime, async move {
                let turns = http::Turns::default();
                for (socket, (port, kind)) in sockets.into_iter().zip(PORTS) {
                    let (log, repositories) = (place.log.clone(), place.repositories.clone());
                    let server = Server { port: *port, kind: *kind, log, repositories, turns: turns.clone() };
                    if *kind == Kind::Datagrams {
                        let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket)).expect("socket");
                        tokio::task::spawn_local(datagrams(server, socket));
                        continue;
                    }
                    let tls = tls(*kind, &place.authority).map(TlsAcceptor::from);
                    let listener =
                        TcpListener::from_std(std::net::TcpListener::from(socket)).expect("socket");
                    tokio::task::spawn_local(accept(server, listener, tls));
                }
                let _ = ended.await;
            });
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tls(kind: Kind, authority: &Authority) -> Option<Arc<ServerConfig>> {
    let mut all: Vec<&str> = NAMES.iter().flat_map(|(_, names)| names.split(' ')).collect();
    all.push("*.wild.example.com");
    all.extend(NAMES.iter().map(|(address, _)| *address));
    match kind {
        Kind::Https => Some(authority.server(&all, &["h2", "http/1.1"])),
        Kind::HttpsOne => Some(authority.server(&all, &["http/1.1"])),
        Kind::Hostile(endless) if endless.is_two() => Some(authority.server(&all, &["h2"])),
        Kind::HttpsOtherName => Some(authority.server(&["evil.example.org"], &["http/1.1"])),
        Kind::HttpsUnknown => Some(Authority::new("nobody's").server(&all, &["http/1.1"])),
        _ => None,
    }
}

async fn accept(server: Server, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let Ok(at) = stream.local_addr() else { continue };
        let at = at.ip().to_canonical();
        let arrival = Arrival { port: server.port, datagram: false, at: Some(at), bytes: Vec::new() };
        let number = server.log.arrived(arrival);
        tokio::task::spawn_local(serve(server.clone(), stream, at, number, tls.clone()));
    }
}

async fn serve(server: Server, stream: TcpStream, at: IpAddr, number: usize, tls: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    match (server.kind, tls) {
        (_, Some(tls)) => {
            // A client that does not want this server says so to itself.
            let Ok(stream) = tls.accept(stream).await else { return };
            if let Kind::Hostile(endless) = server.kind {
                return hostile::serve(endless, stream).await;
            }
            let name = stream.get_ref().1.server_name().map(str::to_owned);
            http::serve(server, stream, at, name, "https").await;
        }
        (Kind::Hostile(endless), None) => hostile::serve(endless, stream).await,
        (Kind::Http, None) => http::serve(server, stream, at, None, "http").await,
        (kind, None) => raw::serve(kind, &server.log, stream, number).await,
    }
}

async fn datagrams(server: Server, socket: UdpSocket) {
    let mut bytes = vec![0; 65536];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut bytes).await else { continue };
        let bytes = bytes[..length].to_vec();
        server.log.arrived(Arrival { port: server.port, datagram: true, at: None, bytes });
    }
}
