//! TLS on both sides, where it is terminated: the agent's, with a certificate of this run's authority, and the destination's,
//! verified against the host's roots.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentfile::plan::SYSTEM_BUNDLES;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::Acceptor;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, client, server};

use crate::destination::Destination;
use crate::gateway::Gateway;

/// How long a handshake may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(15);

/// What a client of the destinations trusts and offers.
pub(crate) struct Roots {
    /// HTTP/2 or HTTP/1.1.
    any: Arc<ClientConfig>,
    /// HTTP/1.1 only: for what wants to go on as a WebSocket.
    one: Arc<ClientConfig>,
}

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The host has no root certificates.
    #[error("the host's root certificates cannot be read: {0}")]
    NoRoots(String),
    /// rustls does not take them.
    #[error("could not set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Largest bundle that is read, in bytes: a hundred times what hosts have.
const LARGEST: u64 = 16 << 20;

/// The host's root certificates in PEM: the file that `SSL_CERT_FILE` names, or the first of the system's. One file, as the
/// sandbox's own bundle is made of it, too: a folder of hundreds takes longer to read than all else that is done here.
pub(crate) fn host_bundle() -> Result<Vec<u8>, Error> {
    let named = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = match named {
        Some(path) => path,
        None => SYSTEM_BUNDLES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .ok_or_else(|| Error::NoRoots(format!("there is none of {}", SYSTEM_BUNDLES.join(", "))))?,
    };
    let wrong = |why: String| Error::NoRoots(format!("`{}`: {why}", path.display()));
    let mut bundle = Vec::new();
    let file = File::open(&path).map_err(|error| wrong(error.to_string()))?;
    let length = file.take(LARGEST).read_to_end(&mut bundle).map_err(|error| wrong(error.to_string()))?;
    if length as u64 == LARGEST { Err(wrong("it is too large".to_owned())) } else { Ok(bundle) }
}

impl Roots {
    /// Of a bundle in PEM; what of it is no certificate is left out, as OpenSSL does.
    pub(crate) fn new(bundle: &[u8]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok);
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(Error::NoRoots("none of them is a certificate".to_owned()));
        }
        let roots = Arc::new(roots);
        let with = |protocols: &[&[u8]]| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(Arc::clone(&roots))
                .with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok::<_, Error>(Arc::new(config))
        };
        Ok(Self { any: with(&[b"h2", b"http/1.1"])?, one: with(&[b"http/1.1"])? })
    }
}

/// How many root certificates of the host the gateway would verify servers with.
///
/// # Errors
/// There are none, or they cannot be read, as a clause.
pub fn host_roots() -> Result<usize, String> {
    let bundle = host_bundle().map_err(|error| error.to_string())?;
    Roots::new(&bundle).map_err(|error| error.to_string())?;
    Ok(CertificateDer::pem_slice_iter(&bundle).filter(Result::is_ok).count())
}

/// A verified connection to the destination over `stream`.
pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: &Gateway,
    destination: &Destination,
    stream: S,
    only_one: bool,
) -> io::Result<client::TlsStream<S>> {
    let roots = gateway.roots()?;
    let name = ServerName::try_from(destination.host.clone()).map_err(io::Error::other)?;
    let config = if only_one { &roots.one } else { &roots.any };
    let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    tokio::time::timeout(HANDSHAKE, connecting)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long"))?
}

/// Why the agent's handshake is not gone on with.
#[derive(Debug)]
pub(crate) enum NotAccepted {
    /// It asks for another server.
    OtherName(Option<String>),
    /// It broke off, or is none.
    Io,
    /// No certificate could be made.
    Certificate(String),
}

/// Terminates the agent's TLS, if it asks for the destination.
pub(crate) async fn accept(
    gateway: &Gateway,
    destination: &Destination,
    stream: TcpStream,
) -> Result<server::TlsStream<TcpStream>, NotAccepted> {
    let handshake = async {
        let start =
            LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(|_| NotAccepted::Io)?;
        let asked = start.client_hello().server_name().map(str::to_ascii_lowercase);
        // A client does not name an address (RFC 6066, section 3).
        let expected = destination.address.is_none().then_some(destination.host.as_str());
        if asked.as_deref() != expected {
            return Err(NotAccepted::OtherName(asked));
        }
        let config = gateway
            .authority()
            .and_then(|authority| authority.server(&destination.host).map_err(|e| e.to_string()));
        start.into_stream(config.map_err(NotAccepted::Certificate)?).await.map_err(|_| NotAccepted::Io)
    };
    tokio::time::timeout(HANDSHAKE, handshake).await.map_err(|_| NotAccepted::Io)?
}
