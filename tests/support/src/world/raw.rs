//! Servers that look at bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::log::Log;
use super::servers::Kind;

pub(super) async fn serve(kind: Kind, log: &Log, mut stream: TcpStream, number: usize) {
    let mut all = Vec::new();
    let mut answered = 0;
    let mut buffer = vec![0; 65536];
    loop {
        let read = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => &buffer[..read],
        };
        log.sent(number, read);
        all.extend_from_slice(read);
        let answer = match kind {
            // As many answers as there are heads, by the laxest reading: a line that ends with LF alone is a line.
            Kind::RawHttp => {
                let heads = heads(&all);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".repeat(heads - answered);
                answered = heads;
                answer.into_bytes()
            }
            Kind::Retry if answered == 0 => {
                answered = 1;
                retry(&all)
            }
            // Whoever sends more sees that it came: a fatal alert, handshake_failure (RFC 8446, section 6).
            Kind::Retry => vec![21, 3, 3, 0, 2, 2, 40],
            _ => Vec::new(),
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
    if kind == Kind::Echo {
        let _ = stream.write_all(&all).await;
        let _ = stream.shutdown().await;
    }
}

fn heads(bytes: &[u8]) -> usize {
    let plain: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'\r').collect();
    plain.windows(2).filter(|pair| pair == b"\n\n").count()
}

/// A HelloRetryRequest (RFC 8446, section 4.1.4) for P-256, with the session id of the ClientHello.
fn retry(hello: &[u8]) -> Vec<u8> {
    const RANDOM: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
        0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    // Record header, handshake header, version, random.
    let at = 5 + 4 + 2 + 32;
    let length = usize::from(hello.get(at).copied().unwrap_or_default());
    let session = hello.get(at..at + 1 + length).unwrap_or(&[0]);
    let mut body = vec![3, 3];
    body.extend(RANDOM);
    body.extend(session);
    body.extend([0x13, 0x01, 0, 0, 12, 0, 0x2b, 0, 2, 3, 4, 0, 0x33, 0, 2, 0, 0x17]);
    let mut message = vec![2, 0, 0, body.len() as u8];
    message.extend(body);
    let mut record = vec![22, 3, 3, 0, message.len() as u8];
    record.extend(message);
    record
}
