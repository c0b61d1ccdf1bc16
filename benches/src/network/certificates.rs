//! The server's certificate, and the authority of this run that signed it, which the client and the gateway trust.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::NoServerSessionStorage;

/// The authority's certificate in PEM, and a server that has one for `host`.
///
/// # Errors
/// What rcgen or rustls says.
pub(super) fn make(host: &str) -> Result<(String, Arc<ServerConfig>), String> {
    let words = |error: rcgen::Error| format!("a certificate: {error}");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // With the name that rcgen gives to both, OpenSSL would take the server's certificate for one that signed itself.
    params.distinguished_name.push(DnType::CommonName, "Authority of the bench");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().map_err(words)?;
    let authority = params.self_signed(&key).map_err(words)?.pem();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::new([host.to_owned()]).map_err(words)?;
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(words)?;
    let certificate = params.signed_by(&key, &issuer).map_err(words)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| {
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            builder.with_single_cert(vec![certificate.der().clone()], key.into())
        })
        .map_err(|error| format!("a server's certificate: {error}"))?;
    // Nothing to resume: the gateway keeps sessions of its destinations, the direct client none, and would then be compared with
    // half a handshake.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok((authority, Arc::new(config)))
}
