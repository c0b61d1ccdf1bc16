//! Servers of HTTP that send what never ends, until the client is gone or a number is reached.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endless {
    /// HTTP/2: SETTINGS, each of which is to be acknowledged.
    Settings,
    /// HTTP/2: PING, likewise.
    Pings,
    /// HTTP/2: an answer whose fields take many megabytes, and end.
    Fields,
    /// HTTP/2: an answer whose fields never end.
    Continuations,
    /// HTTP/2: the end of the first stream.
    Resets,
    /// HTTP/2: a body that does not heed the window.
    Data,
    /// HTTP/1: the head of an answer.
    Head,
    /// HTTP/1: answers before the answer.
    Early,
}

/// Bytes after which it is enough.
const MOST: usize = 32 << 20;
/// Bytes that are sent at a time.
const CHUNK: usize = 64 * 1024;

/// Types and flags of frames (RFC 9113, section 6), and the one request's stream.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const FIRST: u8 = 1;
/// `:status: 200` (RFC 7541, appendix A).
const OK: &[u8] = &[0x88];

impl Endless {
    /// Whether it speaks HTTP/2, and so TLS.
    pub(super) fn is_two(self) -> bool {
        !matches!(self, Self::Head | Self::Early)
    }

    /// What is sent once, and then again and again.
    fn parts(self) -> (Vec<u8>, Vec<u8>) {
        // A field without compression, of 16,000 bytes.
        let field = [&[0, 1, b'x', 0x7f, 0x81, 0x7c], &[b'y'; 16_000][..]].concat();
        match self {
            Self::Settings => (Vec::new(), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
            Self::Pings => (Vec::new(), frame(PING, 0, 0, b"eightbts")),
            Self::Fields | Self::Continuations => {
                (frame(HEADERS, 0, FIRST, OK), frame(CONTINUATION, 0, FIRST, &field))
            }
            Self::Resets => (Vec::new(), frame(RESET, 0, FIRST, &[0, 0, 0, 7])),
            Self::Data => (frame(HEADERS, END_HEADERS, FIRST, OK), frame(DATA, 0, FIRST, &[b'z'; 16_384])),
            Self::Head => (b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: yyyyyyyyyyyyyyyyyyyyyyyy\r\n".to_vec()),
            Self::Early => (Vec::new(), b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec()),
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Waits for a request, and answers it so.
pub(super) async fn serve(endless: Endless, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut from, mut to) = tokio::io::split(stream);
    let asked = if endless.is_two() { request(&mut from).await } else { head(&mut from).await };
    if asked.is_err() {
        return;
    }
    let send = async {
        if endless.is_two() {
            to.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        }
        let (once, again) = endless.parts();
        to.write_all(&once).await?;
        let chunk = again.repeat(CHUNK.div_ceil(again.len()));
        for _ in 0..MOST / chunk.len() {
            to.write_all(&chunk).await?;
        }
        if endless == Endless::Fields {
            to.write_all(&frame(CONTINUATION, END_HEADERS, FIRST, &[])).await?;
        }
        to.flush().await
    };
    // What it says meanwhile is read, so that it is heard as well.
    let mut heard = tokio::io::sink();
    let _: (std::io::Result<()>, _) = tokio::join!(send, tokio::io::copy(&mut from, &mut heard));
}

/// Reads until the first HEADERS frame.
async fn request(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut preface = [0; 24];
    from.read_exact(&mut preface).await?;
    loop {
        let mut head = [0; 9];
        from.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        from.read_exact(&mut vec![0; length]).await?;
        if head[3] == HEADERS {
            return Ok(());
        }
    }
}

/// Reads until an empty line.
async fn head(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(from.read_u8().await?);
    }
    Ok(())
}
