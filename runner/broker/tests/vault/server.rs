//! A server that speaks as much of Vault's API as is asked for, and several that do not.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::TOKEN;

/// What the server does with a connection.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// Answers as Vault does.
    Vault,
    /// Answers each request with this, as it stands.
    Raw(&'static str),
    /// Begins as this, and goes on with `x` for ever.
    Endless(&'static str),
    /// Takes the request and says nothing.
    Silent,
    /// Says one byte each half second.
    Slow,
}

/// A server, its CA, and what it was asked.
pub(crate) struct Vault {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

/// A certificate for a name, of a CA whose own is written to `file`.
fn certificate(folder: &std::path::Path, file: &str, name: &str) -> Arc<ServerConfig> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    std::fs::write(folder.join(file), authority.pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let server = rcgen::KeyPair::generate().unwrap();
    let leaf =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&server, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(server.serialize_der().into());
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap())
}

/// Starts a server with a certificate for `name`.
pub(crate) fn vault(manner: Manner, name: &str, tls: bool) -> Vault {
    let folder = tempfile::tempdir().unwrap();
    let configuration = certificate(folder.path(), "ca.pem", name);
    certificate(folder.path(), "other.pem", name);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, configuration, log) =
                (stream.unwrap(), Arc::clone(&configuration), Arc::clone(&log));
            std::thread::spawn(move || {
                if tls {
                    let session = ServerConnection::new(configuration).unwrap();
                    let mut stream = StreamOwned::new(session, stream);
                    if serve(&mut stream, manner, &log).is_ok() {
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                    }
                } else {
                    let mut stream: TcpStream = stream;
                    let _ = serve(&mut stream, manner, &log);
                }
            });
        }
    });
    Vault { folder, port, requests }
}

fn serve(stream: &mut (impl Read + Write), manner: Manner, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut whole = false;
    while !whole {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            whole = body.len() >= length.map_or(0, |length| length.parse().unwrap());
        }
    }
    let request = String::from_utf8(request).unwrap();
    log.lock().unwrap().push(request.clone());
    match manner {
        Manner::Vault => stream.write_all(answer(&request).as_bytes()),
        Manner::Raw(text) => stream.write_all(text.as_bytes()),
        Manner::Endless(text) => {
            stream.write_all(text.as_bytes())?;
            loop {
                stream.write_all(&[b'x'; 16384])?;
            }
        }
        Manner::Silent => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Manner::Slow => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
            loop {
                stream.write_all(b"x")?;
                stream.flush()?;
                std::thread::sleep(Duration::from_millis(500));
            }
        }
    }
}

fn answer(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let line = head.lines().next().unwrap();
    let token = head.lines().find_map(|line| line.strip_prefix("X-Vault-Token: "));
    let secret = |data: &str| {
        (
            "200 OK",
            format!("{{\"request_id\":\"1\",\"data\":{{\"data\":{data},\"metadata\":{{\"version\":1}}}}}}"),
        )
    };
    let known = token == Some(TOKEN) || token == Some("hvs.canary-made-by-role");
    let (status, body) = match line {
        "POST /v1/auth/approle/login HTTP/1.1" => {
            let body: HashMap<String, String> = serde_json::from_str(body).unwrap();
            if body["role_id"] == "role-1" && body["secret_id"] == "secret-1" {
                (
                    "200 OK",
                    "{\"auth\":{\"client_token\":\"hvs.canary-made-by-role\",\"lease_duration\":60}}"
                        .to_owned(),
                )
            } else {
                ("400 Bad Request", "{\"errors\":[\"canary\"]}".to_owned())
            }
        }
        _ if !known => ("403 Forbidden", "{\"errors\":[\"permission denied: canary\"]}".to_owned()),
        "GET /v1/secret/data/app HTTP/1.1" => secret(
            r#"{"key":"canary-\u0041\"1","number":12345678,"list":["canary-1"],"map":{"a":null},"null":null,"yes":true,"other":"x"}"#,
        ),
        "GET /v1/secret/data/twice HTTP/1.1" => secret(r#"{"key":"canary-1","key":"canary-2"}"#),
        "GET /v1/secret/data/gone HTTP/1.1" => secret("null"),
        "GET /v1/team%20a/data/b/c HTTP/1.1" => secret(r#"{"key":"canary-deep"}"#),
        "GET /v1/auth/token/lookup-self HTTP/1.1" => ("200 OK", "{\"data\":{}}".to_owned()),
        "POST /v1/auth/token/revoke-self HTTP/1.1" => return "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        _ => ("404 Not Found", "{\"errors\":[]}".to_owned()),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
