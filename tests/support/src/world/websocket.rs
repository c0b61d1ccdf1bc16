//! WebSockets (RFC 6455) that give back what they get.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Whether it asks for one.
pub(super) fn accepts(asked: &Request<Incoming>) -> bool {
    asked.headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers, and goes on as one.
pub(super) fn switch(headers: &HeaderMap, upgrade: hyper::upgrade::OnUpgrade) -> Response<()> {
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat());
    tokio::task::spawn_local(async move {
        if let Ok(stream) = upgrade.await {
            // It ends when the client is gone.
            let _ = echo(TokioIo::new(stream)).await;
        }
    });
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::from_str(&base64(proof.as_ref())).expect("a field");
    for (name, value) in [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ] {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Frames of up to 125 bytes, as they come, without the client's mask.
async fn echo(stream: TokioIo<hyper::upgrade::Upgraded>) -> std::io::Result<()> {
    let mut stream = tokio::io::BufStream::new(stream);
    loop {
        let (kind, length) = (stream.read_u8().await?, stream.read_u8().await? & 0x7f);
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut text = vec![0; usize::from(length)];
        stream.read_exact(&mut text).await?;
        text.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        stream.write_all(&[&[kind, length][..], &text].concat()).await?;
        stream.flush().await?;
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|three| {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        (0..4).map(move |at| {
            if at > three.len() { '=' } else { char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]) }
        })
    });
    digits.collect()
}
