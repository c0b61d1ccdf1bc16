//! The ClientHello of a TLS connection that is passed through: which server does it ask for? Read from the bytes as they
//! arrive, however they are cut into segments, records and handshake fragments; nothing is decrypted.
//!
//! RFC 8446 §4.1.2, §5.1 (TLS 1.3), RFC 5246 §7.4.1.2 (TLS 1.2), RFC 6066 §3 (server_name), RFC 9849 (Encrypted
//! ClientHello), RFC 8701 (GREASE: unknown values are skipped, as the protocol wants).

/// Longest ClientHello: several times what post-quantum key shares and session tickets come to.
pub const LONGEST: usize = 64 * 1024;

const RECORD_HEADER: usize = 5;
const RECORD_HANDSHAKE: u8 = 22;
/// RFC 8446 §5.1: the plaintext of a record.
const RECORD_LONGEST: usize = 1 << 14;
const HANDSHAKE_HEADER: usize = 4;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
/// RFC 8446 §4.1.3: the random of a ServerHello that is a HelloRetryRequest.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a ClientHello says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The server that it names (SNI), in lower case.
    pub server_name: Option<String>,
    /// Bytes of the stream that it takes, record headers included.
    pub length: usize,
}

/// Why a connection is not one that may be passed through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPassed {
    /// The first record is not one of a handshake.
    #[error("it does not begin with a TLS handshake")]
    NotTls,
    /// A length or a list that does not fit what is around it.
    #[error("its ClientHello is malformed")]
    Malformed,
    /// More bytes than any client sends.
    #[error("its ClientHello is longer than {LONGEST} bytes")]
    TooLong,
    /// A name that is not a host name in ASCII.
    #[error("the server that its ClientHello names (SNI) is no host name")]
    BadName,
    /// The name that counts is encrypted (RFC 9849); a decoy (GREASE) cannot be told from it.
    #[error("the server that it asks for is encrypted (Encrypted ClientHello)")]
    Encrypted,
}

/// Reads the ClientHello at the beginning of `stream`. `None`: there is more to come.
///
/// # Errors
/// Why the connection must not be passed on.
pub fn client_hello(stream: &[u8]) -> Result<Option<ClientHello>, NotPassed> {
    let Some(Message { kind, body, length, more }) = first_message(stream)? else { return Ok(None) };
    if kind != CLIENT_HELLO {
        return Err(NotPassed::NotTls);
    }
    // A client has nothing to say before the server's answer; what stands there might be taken for its next ClientHello.
    if more {
        return Err(NotPassed::Malformed);
    }
    let server_name = server_name(&body)?;
    Ok(Some(ClientHello { server_name, length }))
}

/// Whether a server that answers with `stream` wants another ClientHello (HelloRetryRequest), which may name another
/// server than the first. `None`: there is more to come.
#[must_use]
pub fn asks_again(stream: &[u8]) -> Option<bool> {
    match first_message(stream) {
        // An alert, or no TLS: no handshake goes on.
        Err(_) => Some(false),
        Ok(message) => message.map(|message| {
            // legacy_version, random
            message.kind == SERVER_HELLO && message.body.get(2..34) == Some(&RETRY)
        }),
    }
}

/// A handshake message, out of its records.
struct Message {
    kind: u8,
    body: Vec<u8>,
    length: usize,
    /// Whether another message begins in its last record.
    more: bool,
}

fn first_message(stream: &[u8]) -> Result<Option<Message>, NotPassed> {
    let mut handshake = Vec::new();
    let mut reader = Reader(stream);
    loop {
        if let Some(whole) = whole_message(&handshake)? {
            let (kind, body) = whole;
            let more = handshake.len() > HANDSHAKE_HEADER + body.len();
            return Ok(Some(Message {
                kind,
                body: body.to_vec(),
                length: stream.len() - reader.0.len(),
                more,
            }));
        }
        // What is there of a header is judged at once: no byte of another protocol is waited for.
        if reader.0.first().is_some_and(|kind| *kind != RECORD_HANDSHAKE)
            || reader.0.get(1).is_some_and(|major| *major != 3)
        {
            return Err(NotPassed::NotTls);
        }
        let Some(header) = reader.take(RECORD_HEADER) else { return Ok(None) };
        let length = header.last_chunk::<2>().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
        // RFC 8446 §5.1: handshake records are never empty.
        if length == 0 || length > RECORD_LONGEST {
            return Err(NotPassed::Malformed);
        }
        if handshake.len() + length > LONGEST {
            return Err(NotPassed::TooLong);
        }
        match reader.take(length) {
            Some(fragment) => handshake.extend_from_slice(fragment),
            None => return Ok(None),
        }
    }
}

/// The first handshake message, once it is all there.
fn whole_message(handshake: &[u8]) -> Result<Option<(u8, &[u8])>, NotPassed> {
    let [kind, a, b, c, rest @ ..] = handshake else { return Ok(None) };
    let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    if length > LONGEST - HANDSHAKE_HEADER {
        return Err(NotPassed::TooLong);
    }
    Ok(rest.get(..length).map(|body| (*kind, body)))
}

fn server_name(body: &[u8]) -> Result<Option<String>, NotPassed> {
    let mut hello = Reader(body);
    let malformed = NotPassed::Malformed;
    hello.take(2 + 32).ok_or(malformed)?; // legacy_version, random
    hello.vector_u8().filter(|session| session.len() <= 32).ok_or(malformed)?;
    hello.vector_u16().filter(|suites| !suites.is_empty() && suites.len() % 2 == 0).ok_or(malformed)?;
    hello.vector_u8().filter(|methods| !methods.is_empty()).ok_or(malformed)?;
    if hello.0.is_empty() {
        // TLS 1.2 allows a ClientHello without extensions.
        return Ok(None);
    }
    let mut extensions = Reader(hello.vector_u16().ok_or(malformed)?);
    if !hello.0.is_empty() {
        return Err(malformed);
    }
    let (mut name, mut encrypted) = (None, false);
    let mut seen = std::collections::BTreeSet::new();
    while !extensions.0.is_empty() {
        let kind = extensions.number().ok_or(malformed)?;
        let content = extensions.vector_u16().ok_or(malformed)?;
        // RFC 8446 §4.2: at most one of each. Two names would be read differently by different servers.
        if !seen.insert(kind) {
            return Err(malformed);
        }
        match kind {
            EXTENSION_SERVER_NAME => name = Some(host_name(content)?),
            EXTENSION_ENCRYPTED_CLIENT_HELLO => encrypted = true,
            _ => {}
        }
    }
    if encrypted { Err(NotPassed::Encrypted) } else { Ok(name) }
}

/// RFC 6066 §3: a list with one name, of the only type there is.
fn host_name(extension: &[u8]) -> Result<String, NotPassed> {
    let mut reader = Reader(extension);
    let mut list = Reader(reader.vector_u16().ok_or(NotPassed::Malformed)?);
    if !reader.0.is_empty() {
        return Err(NotPassed::Malformed);
    }
    let [0] = list.take(1).ok_or(NotPassed::Malformed)? else { return Err(NotPassed::Malformed) };
    let name = list.vector_u16().ok_or(NotPassed::Malformed)?;
    if !list.0.is_empty() {
        return Err(NotPassed::Malformed);
    }
    match std::str::from_utf8(name) {
        Ok(name) if is_host_name(name) => Ok(name.to_ascii_lowercase()),
        _ => Err(NotPassed::BadName),
    }
}

/// A DNS name in letters, digits, hyphens and underscores, with no empty label and no final dot, that is no address.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && name.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| !byte.is_ascii_digit()))
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn vector_u8(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(usize::from(length))
    }

    fn vector_u16(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }
}
