//! The lean client, by this same program: once inside the sandbox, once outside. It knows of no proxy and no gateway.

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::processor::{self, End};
use super::server::{SMALL, bulk, content_length, drain, head};

/// Uncounted connections and requests before the counted ones.
const WARM_UP: usize = 10;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Where to, and how.
struct To {
    address: SocketAddr,
    host: String,
    /// Ends with `/`.
    path: String,
    tls: Option<Arc<ClientConfig>>,
}

/// `client measure URL ROOTS CONNECTIONS REQUESTS BULK`: new connections, requests over one, and BULK bytes both ways; a line
/// each, of microseconds, or of seconds for bulk. `client hold URL ROOTS COUNT`: opens so many, and says on standard output what
/// it has reached whenever a line comes on standard input. ROOTS is a file of certificates to trust beside those of
/// `SSL_CERT_FILE`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    processor::keep(End::Client)?;
    let number = |text: &str| text.parse::<usize>().map_err(|error| format!("`{text}`: {error}"));
    match words.as_slice() {
        ["measure", url, roots, connections, requests, bulk] => {
            measure(&To::new(url, roots)?, number(connections)?, number(requests)?, number(bulk)?)
        }
        ["hold", url, roots, count] => hold(&To::new(url, roots)?, number(count)?),
        _ => Err("`client` takes `measure` URL ROOTS CONNECTIONS REQUESTS BULK, or `hold` URL ROOTS COUNT"
            .to_owned()),
    }
}

impl To {
    fn new(url: &str, roots: &str) -> Result<Self, String> {
        let parts = url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('/')?)));
        let (scheme, (authority, path)) = parts.ok_or_else(|| format!("`{url}` is no URL with a path"))?;
        let (host, port) = authority.split_once(':').ok_or_else(|| format!("`{url}` has no port"))?;
        let port: u16 = port.parse().map_err(|error| format!("`{url}`: {error}"))?;
        let mut found = (host, port).to_socket_addrs().map_err(|error| format!("`{host}`: {error}"))?;
        let address =
            found.find(SocketAddr::is_ipv4).ok_or_else(|| format!("`{host}` has no IPv4 address"))?;
        let tls = (scheme == "https").then(|| trust(roots)).transpose()?;
        let path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
        Ok(Self { address, host: host.to_owned(), path, tls })
    }

    /// A connection, with its handshake finished if it is TLS.
    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }

    fn ask(
        &self,
        stream: &mut dyn Stream,
        method: &str,
        target: &str,
        length: Option<usize>,
    ) -> io::Result<()> {
        let standard = if self.tls.is_some() { 443 } else { 80 };
        let port = self.address.port();
        let port = if port == standard { String::new() } else { format!(":{port}") };
        let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
        let (path, host) = (&self.path, &self.host);
        let request = format!("{method} {path}{target} HTTP/1.1\r\nHost: {host}{port}\r\n{length}\r\n");
        stream.write_all(request.as_bytes())?;
        stream.flush()
    }

    /// A small request and its answer, which must be the server's.
    fn small(&self, stream: &mut dyn Stream) -> io::Result<()> {
        self.ask(stream, "GET", "small", None)?;
        hello(stream)
    }
}

/// A full handshake each time: nothing is resumed.
fn trust(file: &str) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let more = std::env::var("SSL_CERT_FILE").ok();
    for file in std::iter::once(file).chain(more.as_deref()) {
        let text = std::fs::read(file).map_err(|error| format!("`{file}`: {error}"))?;
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).filter_map(Result::ok));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Reads the head of an answer of 200: how long its body is, and what of it has come already.
fn answered(stream: &mut dyn Stream) -> io::Result<(usize, Vec<u8>)> {
    let mut read = Vec::new();
    let length = head(&mut &mut *stream, &mut read)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = read.split_off(length);
    let head = String::from_utf8_lossy(&read);
    let expected = content_length(&head).filter(|_| head.starts_with("HTTP/1.1 200 "));
    Ok((expected.ok_or_else(|| io::Error::other(format!("the answer was {head:?}")))?, body))
}

fn hello(stream: &mut dyn Stream) -> io::Result<()> {
    let (length, mut body) = answered(stream)?;
    let mut rest = vec![0; length.saturating_sub(body.len())];
    stream.read_exact(&mut rest)?;
    body.extend(rest);
    if body == SMALL { Ok(()) } else { Err(io::Error::other("the answer is not the server's")) }
}

fn measure(to: &To, connections: usize, requests: usize, bytes: usize) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let new = timed(connections, || to.small(&mut *to.connect()?)).map_err(words)?;
    let mut stream = to.connect().map_err(words)?;
    let kept = timed(requests, || to.small(&mut *stream)).map_err(words)?;
    drop(stream);
    println!("{}\n{}", line(&new), line(&kept));
    let down = once(to, |stream| {
        to.ask(stream, "GET", &format!("bulk/{bytes}"), None)?;
        let (length, body) = answered(stream)?;
        if length != bytes {
            return Err(io::Error::other("the bulk answer has another length"));
        }
        drain(&mut &mut *stream, length.saturating_sub(body.len()))
    });
    let up = once(to, |stream| {
        to.ask(stream, "POST", "upload", Some(bytes))?;
        bulk(&mut &mut *stream, bytes)?;
        hello(stream)
    });
    println!("{}\n{}", down.map_err(words)?, up.map_err(words)?);
    Ok(())
}

/// Microseconds that each of `count` times took.
fn timed(count: usize, mut act: impl FnMut() -> io::Result<()>) -> io::Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for round in 0..WARM_UP + count {
        let start = Instant::now();
        act()?;
        if round >= WARM_UP {
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(times)
}

/// Seconds that it takes on a connection of its own, which is open already.
fn once(to: &To, act: impl FnOnce(&mut dyn Stream) -> io::Result<()>) -> io::Result<f64> {
    let mut stream = to.connect()?;
    let start = Instant::now();
    act(&mut *stream)?;
    Ok(start.elapsed().as_secs_f64())
}

fn line(times: &[f64]) -> String {
    times.iter().map(|time| format!("{time:.1}")).collect::<Vec<_>>().join(" ")
}

/// One connection, then `count` of them, then the end: each when it is told to go on.
fn hold(to: &To, count: usize) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let mut lines = io::stdin().lock().lines();
    let mut open = Vec::with_capacity(count);
    for wanted in [0, 1, count] {
        if wanted == 1 {
            // What is made when it is first needed belongs to no connection.
            to.small(&mut *to.connect().map_err(words)?).map_err(words)?;
        } else {
            for _ in 0..wanted {
                let mut stream = to.connect().map_err(words)?;
                to.small(&mut *stream).map_err(words)?;
                open.push(stream);
            }
        }
        println!("{wanted}");
        lines.next().ok_or("nobody said to go on")?.map_err(words)?;
    }
    Ok(())
}
