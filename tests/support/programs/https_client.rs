//! A client as programs in Rust are: rustls with the system's certificates (`rustls-native-certs`, which looks at
//! `SSL_CERT_FILE` first), and hyper, of both versions of HTTP. `https-client HOST PATH` fetches PATH over each, twice on one
//! connection, then posts what is larger than any buffer on the way.
#![forbid(unsafe_code)]

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Failed = Box<dyn std::error::Error>;

/// A connection of either version.
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => sender.send_request(request).await,
        }
    }
}

async fn connect(host: &str, protocol: &str) -> Result<TlsStream<TcpStream>, Failed> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(format!("no root certificate: {:?}", found.errors).into());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let stream = TcpStream::connect((host, 443)).await?;
    let stream =
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host.to_owned())?, stream).await?;
    if stream.get_ref().1.alpn_protocol() != Some(protocol.as_bytes()) {
        return Err(format!("the server does not speak {protocol}").into());
    }
    Ok(stream)
}

fn request(
    host: &str,
    version: Version,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Failed> {
    let request = Request::builder().method(method).version(version);
    let request = match version {
        Version::HTTP_2 => request.uri(format!("https://{host}{path}")),
        _ => request.uri(path).header("host", host),
    };
    Ok(request.body(Full::new(body))?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let [host, path] = <[String; 2]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: https-client HOST PATH")?;
    for (version, protocol) in [(Version::HTTP_11, "http/1.1"), (Version::HTTP_2, "h2")] {
        let stream = TokioIo::new(connect(&host, protocol).await?);
        let mut sender = if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            Sender::One(sender)
        };
        for _ in 0..2 {
            let answer = sender.send(request(&host, version, Method::GET, &path, Bytes::new())?).await?;
            let (status, version) = (answer.status(), answer.version());
            let body = answer.into_body().collect().await?.to_bytes();
            print!("{version:?} {} {}", status.as_u16(), String::from_utf8_lossy(&body));
        }
        let sent: Bytes = (0..500_000_u32).map(|at| (at % 251) as u8).collect();
        let echo = format!("{path}/echo");
        let answer = sender.send(request(&host, version, Method::POST, &echo, sent.clone())?).await?;
        let same = answer.into_body().collect().await?.to_bytes() == sent;
        println!("echoed: {same}");
    }
    Ok(())
}
