//! The certificate authority of one run: made when the gateway starts, in its memory alone, trusted inside alone. With it
//! TLS is terminated for the destinations whose requests must be seen; everybody else's stays end to end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// Names for which a certificate is kept.
const KEPT: usize = 1024;

/// Why there is no authority, or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key or a certificate could not be made.
    #[error("could not make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls does not take it.
    #[error("could not set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A host that is neither a name nor an address.
    #[error("there can be no certificate for `{0}`")]
    Host(String),
}

/// The authority of this run.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    /// One key for all certificates: making one for each would tell nobody more apart.
    key: KeyPair,
    made: RefCell<HashMap<String, Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one, for the agent of this name.
    ///
    /// # Errors
    /// No key or certificate could be made.
    pub fn new(agent: &str) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, format!("agentrc: this run of {agent}"));
        params.distinguished_name = name;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            key: KeyPair::generate()?,
            made: RefCell::default(),
        })
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What a server needs to be `host` inside.
    ///
    /// # Errors
    /// No certificate could be made.
    pub fn server(&self, host: &str) -> Result<Arc<ServerConfig>, Error> {
        if let Some(made) = self.made.borrow().get(host) {
            return Ok(Arc::clone(made));
        }
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.try_into().map_err(|_| Error::Host(host.to_owned()))?),
        }];
        params.distinguished_name = DistinguishedName::new();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&self.key, &self.issuer)?;
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let mut made = self.made.borrow_mut();
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

    use super::*;

    /// A handshake in memory as `asked` with a server that is `host`.
    fn handshake(authority: &Authority, host: &str, asked: &str) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(asked.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(authority.server(host).unwrap()).unwrap();
        for _ in 0..4 {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            if !bytes.is_empty() {
                client.read_tls(&mut bytes.as_slice()).unwrap();
                client.process_new_packets()?;
            }
        }
        assert!(!client.is_handshaking());
        Ok(())
    }

    #[test]
    fn a_certificate_is_for_one_host_and_signed_by_this_run() {
        let authority = Authority::new("agent").unwrap();
        assert_eq!(handshake(&authority, "api.example.com", "api.example.com"), Ok(()));
        assert_eq!(handshake(&authority, "10.0.0.5", "10.0.0.5"), Ok(()));
        assert!(handshake(&authority, "api.example.com", "other.example.com").is_err());
        assert!(Arc::ptr_eq(
            &authority.server("api.example.com").unwrap(),
            &authority.server("api.example.com").unwrap()
        ));
        assert_ne!(Authority::new("agent").unwrap().certificate(), authority.certificate());
    }
}
