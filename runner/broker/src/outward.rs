//! A connection to the gateway as the broker speaks on it: HTTP/1.1 in the clear, one request; and what the gateway says itself.

use std::os::fd::OwnedFd;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// What the gateway marks its own answers with, and takes out of others'.
pub(crate) const DENIED: &str = "agentrc-denied";
/// Most bytes of an answer of the gateway's own.
pub(crate) const REFUSAL: usize = 64 * 1024;

/// Ready for a request. Must be called on the runtime's local set.
///
/// # Errors
/// The connection cannot be used.
pub(crate) async fn ready(connection: OwnedFd) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = std::os::unix::net::UnixStream::from(connection);
    stream.set_nonblocking(true).map_err(|error| error.to_string())?;
    let stream = UnixStream::from_std(stream).map_err(|error| error.to_string())?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::task::spawn_local(connection);
    Ok(sender)
}

/// The gateway's own words, of the body of an answer of its own.
pub(crate) fn words(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().trim_start_matches("agentrc: ").to_owned()
}
