//! `vault://`, against an HTTPS server with a CA of the test's own.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod server;

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use agentrc_broker::credential::{Environment, Error, Resolver};
use server::{Manner, Vault, vault};

const TOKEN: &str = "hvs.canary-token";

impl Vault {
    fn environment(&self, more: &[(&str, &str)]) -> Environment {
        let mut variables = HashMap::from([
            ("VAULT_ADDR".to_owned(), format!("https://localhost:{}", self.port)),
            ("VAULT_CACERT".to_owned(), self.folder.path().join("ca.pem").to_str().unwrap().to_owned()),
            ("VAULT_TOKEN".to_owned(), TOKEN.to_owned()),
        ]);
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Environment {
            folder: self.folder.path().to_owned(),
            home: Some(self.folder.path().to_owned()),
            keyring: self.folder.path().to_owned(),
            variables: Box::new(move |name| variables.get(name).map(OsString::from)),
        }
    }

    fn value(&self, source: &str) -> Result<String, Error> {
        value(&self.environment(&[]), source)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn value(environment: &Environment, source: &str) -> Result<String, Error> {
    let value = Resolver::new(environment).resolve(source)?;
    Ok(String::from_utf8(value.expose().to_vec()).unwrap())
}

/// An error's text, which shows nothing of what is secret.
fn refusal(result: Result<String, Error>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Vault { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    error.to_string()
}

#[test]
fn a_key_of_a_secret_is_read() {
    let vault = vault(Manner::Vault, "localhost", true);
    assert_eq!(vault.value("vault://secret/app#key").unwrap(), "canary-A\"1");
    assert_eq!(vault.value("vault://secret/data/app#key").unwrap(), "canary-A\"1");
    assert_eq!(vault.value("vault://team a/b/c#key").unwrap(), "canary-deep");
    let request = &vault.requests()[0];
    assert!(
        request.contains("\r\nX-Vault-Token: hvs.canary-token\r\n")
            && request.contains("\r\nX-Vault-Request: true\r\n")
    );
    assert!(!request.contains("X-Vault-Namespace"));
}

#[test]
fn what_is_not_there_is_refused_in_words() {
    let vault = vault(Manner::Vault, "localhost", true);
    for (source, what) in [
        ("vault://secret/none#key", "nothing at `secret/none`"),
        ("vault://secret/app#none", "no key `none`"),
        ("vault://secret/gone#key", "is deleted"),
        ("vault://secret/twice#key", "not the JSON"),
        ("vault://secret/app#number", "not a text"),
        ("vault://secret/app#list", "not a text"),
        ("vault://secret/app#map", "not a text"),
        ("vault://secret/app#null", "not a text"),
        ("vault://secret/app#yes", "not a text"),
        ("vault://secret/../sys#key", "write `vault://MOUNT/PATH#KEY`"),
        ("vault://secret#key", "write `vault://MOUNT/PATH#KEY`"),
    ] {
        let why = refusal(vault.value(source));
        assert!(why.contains(what) && why.contains(source), "{why}");
    }
    assert!(matches!(vault.value("vault://secret/app#other"), Err(Error::Value { .. })));
}

#[test]
fn a_role_logs_in_once_and_its_token_is_revoked() {
    let vault = vault(Manner::Vault, "localhost", true);
    let role = [
        ("VAULT_TOKEN", ""),
        ("VAULT_ROLE_ID", "role-1"),
        ("VAULT_SECRET_ID", "secret-1"),
        ("VAULT_NAMESPACE", "team/a"),
    ];
    let environment = vault.environment(&role);
    let mut resolver = Resolver::new(&environment);
    resolver.resolve("vault://secret/app#key").unwrap();
    resolver.resolve("vault://secret/app#key").unwrap();
    resolver.end().unwrap();
    let requests = vault.requests();
    let lines: Vec<_> = requests.iter().map(|request| request.lines().next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "POST /v1/auth/approle/login HTTP/1.1",
            "GET /v1/secret/data/app HTTP/1.1",
            "GET /v1/secret/data/app HTTP/1.1",
            "POST /v1/auth/token/revoke-self HTTP/1.1",
        ]
    );
    assert!(requests.iter().all(|request| request.contains("\r\nX-Vault-Namespace: team/a\r\n")));

    let wrong = vault.environment(&[
        ("VAULT_TOKEN", ""),
        ("VAULT_ROLE_ID", "role-1"),
        ("VAULT_SECRET_ID", "canary-x"),
    ]);
    assert!(refusal(value(&wrong, "vault://secret/app#key")).contains("check `VAULT_ROLE_ID`"));
    let half = vault.environment(&[("VAULT_TOKEN", ""), ("VAULT_ROLE_ID", "role-1")]);
    assert!(refusal(value(&half, "vault://secret/app#key")).contains("one is not set"));
}

#[test]
fn the_token_of_a_login_is_found_in_the_home() {
    use std::os::unix::fs::PermissionsExt;
    let vault = vault(Manner::Vault, "localhost", true);
    let environment = vault.environment(&[("VAULT_TOKEN", "")]);
    assert!(refusal(value(&environment, "vault://secret/app#key")).contains("there is no token"));
    let path = vault.folder.path().join(".vault-token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(value(&environment, "vault://secret/app#key")).contains("`~/.vault-token` can be read"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(value(&environment, "vault://secret/app#key").unwrap(), "canary-A\"1");
}

#[test]
fn a_token_that_may_not_is_refused() {
    let vault = vault(Manner::Vault, "localhost", true);
    let environment = vault.environment(&[("VAULT_TOKEN", "hvs.canary-expired")]);
    assert!(refusal(value(&environment, "vault://secret/app#key")).contains("refuses the read"));
    assert!(matches!(Resolver::new(&environment).vault_is_usable(), Err(Error::Vault { .. })));
    Resolver::new(&vault.environment(&[])).vault_is_usable().unwrap();
    for strange in ["a\r\nX: 1", "a b", "\u{e9}"] {
        let environment = vault.environment(&[("VAULT_TOKEN", strange)]);
        assert!(refusal(value(&environment, "vault://secret/app#key")).contains("visible ASCII"));
    }
    assert_eq!(vault.requests().len(), 3);
}

#[test]
fn a_server_with_another_ca_or_another_name_is_refused_before_the_token_is_sent() {
    let right = vault(Manner::Vault, "localhost", true);
    let other = right.folder.path().join("other.pem");
    let none = right.folder.path().join("none.pem");
    std::fs::write(&none, "no certificate").unwrap();
    for (authority, what) in [
        (other.to_str().unwrap(), "not trusted"),
        ("", "not trusted"),
        (none.to_str().unwrap(), "no certificate"),
        ("/nonexistent", "cannot be read"),
    ] {
        let why =
            refusal(value(&right.environment(&[("VAULT_CACERT", authority)]), "vault://secret/app#key"));
        assert!(why.contains(what) && why.contains("VAULT_CACERT"), "{why}");
    }
    let address = format!("https://127.0.0.1:{}", right.port);
    assert!(
        refusal(value(&right.environment(&[("VAULT_ADDR", &address)]), "vault://secret/app#key"))
            .contains("not trusted")
    );
    let named = vault(Manner::Vault, "vault.example.com", true);
    assert!(refusal(named.value("vault://secret/app#key")).contains("not trusted"));
    assert_eq!((right.requests().len(), named.requests().len()), (0, 0));
}

#[test]
fn without_tls_only_this_host_is_spoken_to() {
    let vault = vault(Manner::Vault, "localhost", false);
    let at = |address: &str| value(&vault.environment(&[("VAULT_ADDR", address)]), "vault://secret/app#key");
    assert_eq!(at(&format!("http://127.0.0.1:{}", vault.port)).unwrap(), "canary-A\"1");
    assert!(refusal(at(&format!("http://localhost:{}", vault.port))).contains("use `https://`"));
    assert!(refusal(at("http://vault.example.com")).contains("use `https://`"));
    assert!(refusal(at("")).contains("`VAULT_ADDR` is not set"));
    assert_eq!(vault.requests().len(), 1);
}

#[test]
fn nobody_there_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut vault = vault(Manner::Vault, "localhost", true);
    vault.port = listener.local_addr().unwrap().port();
    drop(listener);
    assert!(refusal(vault.value("vault://secret/app#key")).contains("cannot be reached"));
    let environment = vault.environment(&[("VAULT_ADDR", "https://vault.invalid")]);
    assert!(refusal(value(&environment, "vault://secret/app#key")).contains("`VAULT_ADDR`"));
}

#[test]
fn an_answer_in_chunks_or_up_to_the_end_is_read() {
    for text in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1b\r\n{\"data\":{\"data\":{\"key\":\"can\r\nF\r\nary-in-chunks\"}\r\n2;x=y\r\n}}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n{\"data\":{\"data\":{\"key\":\"canary-in-chunks\"}}}",
    ] {
        assert_eq!(
            vault(Manner::Raw(text), "localhost", true).value("vault://secret/app#key").unwrap(),
            "canary-in-chunks"
        );
    }
}

#[test]
fn an_answer_that_is_none_is_refused() {
    for (text, what) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n<html>canary", "not the JSON"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "not the JSON"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{\"canary\":", "ends too early"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}", "ends too early"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", "another size"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "without a size"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", "more than one way"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "more than one way"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "compressed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}", "larger than any secret"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n{}", "larger than any secret"),
        ("canary says hello\r\n\r\n", "not HTTP/1.1"),
        ("", "ends too early"),
        ("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", "sealed"),
        ("HTTP/1.1 307 X\r\nLocation: https://canary.example/\r\nContent-Length: 0\r\n\r\n", "a redirection"),
        ("HTTP/1.1 473 X\r\nContent-Length: 0\r\n\r\n", "active node"),
        ("HTTP/1.1 500 X\r\nContent-Length: 6\r\n\r\ncanary", "status 500"),
    ] {
        let why = refusal(vault(Manner::Raw(text), "localhost", true).value("vault://secret/app#key"));
        assert!(why.contains(what), "{text}: {why}");
    }
}

#[test]
fn an_answer_without_an_end_is_cut_off() {
    for text in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX: ", ""] {
        let why = refusal(vault(Manner::Endless(text), "localhost", true).value("vault://secret/app#key"));
        assert!(why.contains("larger than any secret") || why.contains("not HTTP/1.1"), "{why}");
    }
}

#[test]
fn a_server_that_hangs_is_not_waited_for() {
    let waits = [Manner::Silent, Manner::Slow].map(|manner| {
        std::thread::spawn(move || {
            let started = Instant::now();
            let why = refusal(vault(manner, "localhost", true).value("vault://secret/app#key"));
            (why, started.elapsed())
        })
    });
    for wait in waits {
        let (why, time) = wait.join().unwrap();
        assert!(why.contains("does not answer within 10 s"), "{why}");
        assert!(time < Duration::from_secs(20));
    }
}
