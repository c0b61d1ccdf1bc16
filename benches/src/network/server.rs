//! The server that everything is measured against: a thread for each connection, plain or TLS, three answers.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use super::processor::{self, End};

/// What a small request is answered with.
pub(super) const SMALL: &[u8] = b"hello";
/// Bytes that either side hands to the kernel, or to rustls, at a time: with fewer the direct way without TLS is slower, and
/// the gateway would look better than it is.
pub(super) const CHUNK: usize = 1 << 20;
/// Longest head of a request or an answer, in bytes.
const HEAD: usize = 16 << 10;

/// Serves `port` of `address` until the process ends.
///
/// # Errors
/// The address is not this machine's, or the port is taken.
pub(super) fn start(address: Ipv4Addr, port: u16, tls: Option<Arc<ServerConfig>>) -> Result<(), String> {
    let listener = TcpListener::bind((address, port)).map_err(|error| {
        format!(
            "`{address}:{port}`: {error}; the network is measured in a machine of its own, see benches/run"
        )
    })?;
    thread::spawn(move || {
        if let Err(error) = processor::keep(End::Server) {
            eprintln!("bench: the server on port {port}: {error}");
        }
        for stream in listener.incoming() {
            let tls = tls.clone();
            // A client that breaks off, or that no thread could be made for, notices that itself.
            let accepted = stream.and_then(|stream| {
                stream.set_nodelay(true)?;
                let serve = move || match tls {
                    Some(config) => secure(stream, config),
                    None => requests(stream),
                };
                thread::Builder::new().stack_size(256 << 10).spawn(serve).map(drop)
            });
            if let Err(error) = accepted {
                eprintln!("bench: a connection to port {port}: {error}");
            }
        }
    });
    Ok(())
}

/// A handshake that is not a full one is hung up on: what it cost must not be shown as what one costs.
fn secure(mut stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    if !matches!(connection.handshake_kind(), Some(HandshakeKind::Full)) {
        return Err(io::Error::other("a session was resumed"));
    }
    requests(StreamOwned::new(connection, stream))
}

/// Answers requests until the client closes.
fn requests(mut stream: impl Read + Write) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(length) = head(&mut stream, &mut read)? else { return Ok(()) };
        let line = read.split_off(length);
        let request = String::from_utf8_lossy(&std::mem::replace(&mut read, line)).into_owned();
        let target = request.split(' ').nth(1).unwrap_or_default();
        if let Some((_, length)) = target.rsplit_once("/bulk/") {
            let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            answer(&mut stream, length)?;
            bulk(&mut stream, length)?;
        } else {
            if target.ends_with("/upload") {
                let length = content_length(&request).ok_or(io::ErrorKind::InvalidData)?;
                drain(&mut stream, length.saturating_sub(read.len()))?;
                read.clear();
            }
            small(&mut stream)?;
        }
    }
}

fn answer(stream: &mut impl Write, length: usize) -> io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())
}

/// In one write: what is measured is not what two packets cost.
fn small(stream: &mut impl Write) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", SMALL.len());
    stream.write_all(&[head.as_bytes(), SMALL].concat())?;
    stream.flush()
}

/// Writes `length` bytes.
pub(super) fn bulk(stream: &mut impl Write, mut length: usize) -> io::Result<()> {
    let chunk = vec![b'b'; CHUNK];
    while length > 0 {
        let part = chunk.get(..length).unwrap_or(&chunk);
        stream.write_all(part)?;
        length -= part.len();
    }
    stream.flush()
}

/// Reads `length` bytes.
pub(super) fn drain(stream: &mut impl Read, mut length: usize) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while length > 0 {
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            some => length = length.saturating_sub(some),
        }
    }
    Ok(())
}

/// Reads until `read` begins with a whole head, and how long that is; none when the peer has closed before it.
pub(super) fn head(stream: &mut impl Read, read: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut chunk = [0; 4096];
    loop {
        if let Some(at) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            return Ok(Some(at + 4));
        }
        if read.len() > HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            some => read.extend_from_slice(chunk.get(..some).unwrap_or_default()),
        }
    }
}

/// What a head says of the length of the body (RFC 9110, section 8.6).
pub(super) fn content_length(head: &str) -> Option<usize> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, bulk, content_length, head};

    #[test]
    fn a_head_is_found_though_it_comes_in_pieces_and_more_after_it() {
        let mut read = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        assert_eq!(head(&mut &b"\r\nGET"[..], &mut read).unwrap(), Some(27));
        assert_eq!(read.len(), 30);
        assert_eq!(head(&mut &b""[..], &mut Vec::new()).unwrap(), None);
    }

    #[test]
    fn bulk_has_the_length_that_was_asked_for() {
        for length in [0, 1, CHUNK, CHUNK + 1] {
            let mut written = Vec::new();
            bulk(&mut written, length).unwrap();
            assert_eq!(written.len(), length);
        }
    }

    #[test]
    fn the_length_of_a_body_is_found_however_it_is_written() {
        assert_eq!(content_length("HTTP/1.1 200 OK\r\nx: y\r\ncontent-length:  5\r\n\r\n"), Some(5));
        assert_eq!(content_length("HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
