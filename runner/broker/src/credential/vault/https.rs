//! One request and its response, over a connection of its own: HTTP/1.1 (RFC 9112) over TLS, as little as an API needs. What
//! is read may be secret, so the buffers are allocated once, and wiped.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use zeroize::Zeroizing;

use super::address::Address;

/// From the look-up of the name to the last byte.
const TIME: Duration = Duration::from_secs(10);
/// The most bytes of a response: what Vault takes as a request.
const LARGEST: usize = 1024 * 1024;
const HEADERS: usize = 64;

/// A response.
pub(super) struct Reply {
    pub(super) status: u16,
    bytes: Zeroizing<Vec<u8>>,
    body: Range<usize>,
}

impl Reply {
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(self.body.clone()).unwrap_or_default()
    }
}

/// Speaks to one address.
pub(super) struct Client {
    address: Address,
    namespace: Option<String>,
    tls: Option<Arc<ClientConfig>>,
}

impl Client {
    /// `authority` is a PEM file with the CA, instead of the host's own.
    pub(super) fn new(
        address: Address,
        authority: Option<&str>,
        namespace: Option<String>,
    ) -> Result<Self, String> {
        let tls = if address.tls { Some(Arc::new(configuration(authority)?)) } else { None };
        Ok(Self { address, namespace, tls })
    }

    /// Sends a request; a body is JSON.
    pub(super) fn exchange(
        &self,
        method: &str,
        path: &str,
        token: Option<&[u8]>,
        body: &[u8],
    ) -> Result<Reply, String> {
        let until = Instant::now() + TIME;
        let request = self.request(method, path, token, body);
        let stream = Timed { stream: self.connect(until)?, until };
        let failed = |why: io::Error| self.failed(&why);
        match &self.tls {
            None => exchange(stream, &request).map_err(failed),
            Some(configuration) => {
                let name = ServerName::try_from(self.address.host.clone())
                    .map_err(|_| "`VAULT_ADDR` has no name that a certificate can be for")?;
                let session = ClientConnection::new(Arc::clone(configuration), name)
                    .map_err(|why| format!("TLS: {why}"))?;
                exchange(StreamOwned::new(session, stream), &request).map_err(failed)
            }
        }
    }

    fn failed(&self, why: &io::Error) -> String {
        let at = &self.address.authority;
        match why.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                format!("the vault at `{at}` does not answer within {} s", TIME.as_secs())
            }
            _ => match why.get_ref().and_then(|why| why.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(why)) => {
                    format!(
                        "the certificate of the vault at `{at}` is not trusted ({why}): set `VAULT_CACERT` to the CA's file"
                    )
                }
                Some(why) => format!("TLS with the vault at `{at}`: {why}"),
                None => format!("the vault at `{at}`: {why}"),
            },
        }
    }

    fn request(&self, method: &str, path: &str, token: Option<&[u8]>, body: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nX-Vault-Request: true\r\nConnection: close\r\n",
            self.address.authority
        );
        if let Some(namespace) = &self.namespace {
            head.push_str(&format!("X-Vault-Namespace: {namespace}\r\n"));
        }
        if method != "GET" {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        let size = head.len() + token.map_or(0, <[u8]>::len) + body.len() + 32;
        let mut request = Zeroizing::new(Vec::with_capacity(size));
        request.extend_from_slice(head.as_bytes());
        if let Some(token) = token {
            request.extend_from_slice(b"X-Vault-Token: ");
            request.extend_from_slice(token);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        request
    }

    fn connect(&self, until: Instant) -> Result<TcpStream, String> {
        let at = &self.address.authority;
        let mut last = None;
        for address in self.addresses(until)? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => return Ok(stream),
                Err(why) => last = Some(why),
            }
        }
        Err(last.map_or_else(
            || self.failed(&io::ErrorKind::TimedOut.into()),
            |why| format!("the vault at `{at}` cannot be reached: {why}"),
        ))
    }

    /// The name's addresses. The system's resolver takes no time limit, so it is asked by a thread of its own.
    fn addresses(&self, until: Instant) -> Result<Vec<SocketAddr>, String> {
        let (send, receive) = mpsc::channel();
        let name = (self.address.host.clone(), self.address.port);
        std::thread::Builder::new()
            .spawn(move || {
                // Whoever asked may have given up.
                let _ = send.send(name.to_socket_addrs().map(Iterator::collect));
            })
            .map_err(|why| format!("no thread to look up a name: {why}"))?;
        match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(why)) => Err(format!("the vault's name in `VAULT_ADDR` is not known: {why}")),
            Err(_) => Err("the vault's name in `VAULT_ADDR` is not resolved in time".to_owned()),
        }
    }
}

fn configuration(authority: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = authority {
        let wrong = |why: String| format!("`VAULT_CACERT`: `{path}` {why}");
        let text = std::fs::read(Path::new(path)).map_err(|why| wrong(format!("cannot be read: {why}")))?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|_| wrong("is not PEM".to_owned()))?;
            roots.add(certificate).map_err(|why| wrong(format!("holds what is no CA: {why}")))?;
        }
        if roots.is_empty() {
            return Err(wrong("holds no certificate".to_owned()));
        }
    } else {
        // Of the host's many, one that cannot be read is one less that is trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(
                "the host has no certificates of CAs: install `ca-certificates`, or set `VAULT_CACERT`"
                    .to_owned(),
            );
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|why| format!("TLS: {why}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A stream on which nothing is waited for beyond a time.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(into)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Reply> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut bytes = Zeroizing::new(vec![0; LARGEST]);
    let mut length = 0;
    loop {
        let rest = bytes.get_mut(length..).unwrap_or_default();
        if rest.is_empty() {
            return Err(wrong("its answer is larger than any secret"));
        }
        let ended = match stream.read(rest) {
            Ok(0) => true,
            Ok(count) => {
                length += count;
                false
            }
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(why) => return Err(why),
        };
        let read = bytes.get_mut(..length).unwrap_or_default();
        if let Some((status, body)) = parse(read, ended)? {
            return Ok(Reply { status, bytes, body });
        }
        if ended {
            return Err(wrong("its answer ends too early"));
        }
    }
}

/// Finds a whole response, if it is there: its status, and where its body is. A body in chunks is put together in place.
fn parse(bytes: &mut [u8], ended: bool) -> io::Result<Option<(u16, Range<usize>)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let from = match head.parse(bytes).map_err(|_| wrong("its answer is not HTTP/1.1"))? {
        httparse::Status::Complete(from) => from,
        httparse::Status::Partial => return Ok(None),
    };
    let status = head.code.unwrap_or_default();
    let header = |name: &str| -> Vec<&[u8]> {
        let of_name = head.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        of_name.map(|header| header.value).collect()
    };
    if !header("content-encoding").is_empty() {
        return Err(wrong("its answer is compressed, which was not asked for"));
    }
    let (lengths, codings) = (header("content-length"), header("transfer-encoding"));
    match (lengths.as_slice(), codings.as_slice()) {
        _ if status == 204 => Ok(Some((status, from..from))),
        // RFC 9112 §6.3: without a length the end of the connection is the end. TLS has told it apart from a cut.
        ([], []) => Ok(ended.then_some((status, from..bytes.len()))),
        ([length], []) => {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            let end = length.and_then(|length| from.checked_add(length)).filter(|end| *end <= LARGEST);
            let end = end.ok_or_else(|| wrong("its answer is larger than any secret"))?;
            Ok((bytes.len() >= end).then_some((status, from..end)))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => {
            let end = unchunk(bytes, from)?;
            Ok(end.map(|end| (status, from..end)))
        }
        _ => Err(wrong("its answer says its length in more than one way")),
    }
}

/// RFC 9112 §7.1. Nothing is moved before the last chunk is there.
fn unchunk(bytes: &mut [u8], from: usize) -> io::Result<Option<usize>> {
    let mut chunks: Vec<Range<usize>> = Vec::new();
    let mut at = from;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let (line, size) = match httparse::parse_chunk_size(rest)
            .map_err(|_| wrong("its answer has a chunk without a size"))?
        {
            httparse::Status::Complete(found) => found,
            httparse::Status::Partial => return Ok(None),
        };
        if size == 0 {
            break;
        }
        let begin = at + line;
        let end =
            usize::try_from(size).ok().and_then(|size| begin.checked_add(size)).filter(|end| *end <= LARGEST);
        let end = end.ok_or_else(|| wrong("its answer is larger than any secret"))?;
        match bytes.get(end..end + 2) {
            None => return Ok(None),
            Some(b"\r\n") => {}
            Some(_) => return Err(wrong("its answer has a chunk of another size than it says")),
        }
        chunks.push(begin..end);
        at = end + 2;
    }
    let mut to = from;
    for chunk in chunks {
        let length = chunk.len();
        bytes.copy_within(chunk, to);
        to += length;
    }
    Ok(Some(to))
}
