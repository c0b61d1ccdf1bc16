//! Connections of the broker's through a whole gateway, in a thread, to servers on the loopback interface: what they may, what
//! they may not, and that TLS is spoken with the server and verified, although the broker speaks in the clear.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use agentfile::plan::{Egress, Origin, Plan};
use agentrc_egress::authority::Authority;
use agentrc_egress::judge::{Asked, Judge, Verdict};
use agentrc_egress::report::{Client, Order, Report, send_sockets};
use agentrc_egress::{Config, run};
use agentrc_secret::wire::{self, Credential};
use agentrc_secret::{Placeholder, Secret};
use agentrc_service::channel::{receive, send};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// Permits what the broker asks beneath `/open`, and nothing to the agent.
struct OpenToTheBroker;

impl Judge for OpenToTheBroker {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let permitted = asked.via == "broker" && asked.path.starts_with("/open");
        Verdict { permitted, rule: "policy@9".to_owned(), reason: "it is not beneath /open".to_owned() }
    }

    fn resolve(&self, _: &str, _: &str, _: u16, _: &str) -> Verdict {
        Verdict { permitted: true, rule: String::new(), reason: String::new() }
    }
}

/// A plan with these destinations, none of them the agent's, and more of it as JSON.
fn plan(scheme: &str, host: &str, port: u16, broker: &str, counted: &str) -> Plan {
    let text = format!(
        r#"{{"format": 1, "agent": "sample", "base": {{"kind": "host"}}, "command": null, "workdir": "/", "environment": [],
        "mounts": [], "landlock": {{"minimum_abi": 1, "rules": []}}, "namespaces": [],
        "seccomp": {{"profile": "default", "table_sha256": "00", "origin": "policies/seccomp.toml"}},
        "capabilities": {{"keep": [], "no_new_privs": true, "securebits": []}},
        "limits": {{"cgroup": [], "rlimits": [], "wall_seconds": null, "disk_bytes": null, "counted": {counted}}},
        "egress": [], "cedar": {{"schema_sha256": "00", "policies": [], "entities": []}}, "broker": {broker},
        "audit": {{"level": "all", "origin": "Agentfile:7:1"}}, "grants": []}}"#
    );
    let mut plan: Plan = serde_json::from_str(&text).unwrap();
    plan.egress.push(Egress {
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        port,
        path: None,
        agent: false,
        terminate_tls: false,
        origin: Origin::builtin("test"),
    });
    plan
}

/// A gateway that runs, and the supervisor's end of its channel.
struct Running {
    supervisor: OwnedFd,
    thread: Option<JoinHandle<u8>>,
}

impl Running {
    fn start(plan: Plan, values: Option<UnixStream>) -> Self {
        let (supervisor, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let thread = std::thread::spawn(move || {
            let config = Config {
                plan: &plan,
                judge: Box::new(OpenToTheBroker),
                private: Vec::new(),
                proxy: None,
                values,
                keep: |_| {},
                intents: true,
                confine: Box::new(|| Ok(())),
            };
            run(config, theirs)
        });
        send_sockets(supervisor.as_fd(), &[], false).unwrap();
        let ready = receive::<Report>(supervisor.as_fd(), true).unwrap().unwrap().0;
        assert!(matches!(ready, Report::Ready { .. }), "{ready:?}");
        Self { supervisor, thread: Some(thread) }
    }

    /// The broker's end of a connection.
    fn connection(&self, scheme: &str, host: &str, port: u16) -> UnixStream {
        let (broker, gateway) = UnixStream::pair().unwrap();
        broker.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let order = Order::Brokered { scheme: scheme.to_owned(), host: host.to_owned(), port };
        send(self.supervisor.as_fd(), &order, &[gateway.as_fd()]).unwrap();
        broker
    }

    /// The next report, which is on record then.
    fn record(&self) -> Report {
        let report = receive::<Report>(self.supervisor.as_fd(), true).unwrap().unwrap().0;
        if let Report::Intent { number, .. } | Report::Denied { number: Some(number), .. } = &report {
            send(self.supervisor.as_fd(), &Order::Recorded { number: *number }, &[]).unwrap();
        }
        report
    }

    /// What is denied next, to whom.
    fn denied(&self) -> (String, String) {
        match self.record() {
            Report::Denied { denied, client: Some(Client::BROKER), .. } => (denied.act, denied.reason),
            other => panic!("{other:?}"),
        }
    }

    /// What is permitted next.
    fn intent(&self) -> String {
        match self.record() {
            Report::Intent { act, .. } => act,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = send(self.supervisor.as_fd(), &Order::Stop, &[]);
        let code = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert_eq!(code.unwrap().unwrap(), 0);
        }
    }
}

/// Sends a request, and the connection's end after the answer.
fn send_request(broker: &mut UnixStream, target: &str, host: &str, more: &str) {
    write!(broker, "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n").unwrap();
}

fn answer(broker: &mut UnixStream) -> String {
    let mut answer = String::new();
    broker.read_to_string(&mut answer).unwrap();
    answer
}

/// Answers one request on `stream` with its own head.
fn echo(mut stream: impl Read + Write) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
    let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
    head
}

/// A server, its port, and the heads that it was sent.
fn server(serve: impl Fn(TcpStream) -> String + Send + 'static) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = heads.send(serve(stream.unwrap()));
        }
    });
    (port, seen)
}

#[test]
fn what_is_permitted_is_on_record_and_arrives() {
    let (port, seen) = server(echo);
    let running = Running::start(plan("http", "127.0.0.1", port, BROKER, "[]"), None);
    let mut broker = running.connection("http", "127.0.0.1", port);
    send_request(&mut broker, "/open/a?b=1", &format!("127.0.0.1:{port}"), "");
    assert_eq!(running.intent(), format!("GET http://127.0.0.1:{port}/open/a"));
    let answer = answer(&mut broker);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let head = seen.recv().unwrap();
    assert!(head.starts_with("GET /open/a?b=1 HTTP/1.1\r\n"), "{head}");
}

#[test]
fn what_policy_refuses_or_is_for_another_host_never_leaves() {
    let (port, seen) = server(echo);
    let running = Running::start(plan("http", "127.0.0.1", port, BROKER, "[]"), None);
    let here = format!("127.0.0.1:{port}");
    for (target, host, reason) in [
        ("/closed", here.as_str(), "it is not beneath /open"),
        ("/open/%2e%2e/closed", &here, "several ways"),
        ("/open/a", "evil.example", "another host"),
        ("http://evil.example/open/b", &here, "another host"),
    ] {
        let mut broker = running.connection("http", "127.0.0.1", port);
        send_request(&mut broker, target, host, "");
        let (act, why) = running.denied();
        assert!(why.contains(reason), "{target}: {act}: {why}");
        let answer = answer(&mut broker);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{target}: {answer}");
    }
    assert!(seen.try_recv().is_err(), "the server was sent something");
}

#[test]
fn what_no_line_declares_ends_the_gateway() {
    let (port, seen) = server(echo);
    for (scheme, host, to) in
        [("https", "127.0.0.1", port), ("http", "127.1", port), ("http", "127.0.0.1", port ^ 1)]
    {
        let mut running = Running::start(plan("http", "127.0.0.1", port, BROKER, "[]"), None);
        let mut broker = running.connection(scheme, host, to);
        assert!(matches!(running.record(), Report::Failed { .. }), "{scheme}://{host}:{to}");
        assert_eq!(running.thread.take().unwrap().join().unwrap(), 1);
        running.thread = Some(std::thread::spawn(|| 0));
        assert_eq!(broker.read(&mut [0]).unwrap_or(0), 0);
    }
    assert!(seen.try_recv().is_err(), "the server was sent something");
}

#[test]
fn a_name_does_not_lead_to_a_private_address() {
    let (port, seen) = server(echo);
    let running = Running::start(plan("http", "localhost", port, BROKER, "[]"), None);
    let mut broker = running.connection("http", "localhost", port);
    send_request(&mut broker, "/open", &format!("localhost:{port}"), "");
    running.intent();
    let (_, why) = running.denied();
    assert!(why.contains("must be declared by its address"), "{why}");
    assert!(answer(&mut broker).starts_with("HTTP/1.1 403 "));
    assert!(seen.try_recv().is_err(), "the server was sent something");
}

#[test]
fn the_run_s_limits_count_what_the_broker_sends() {
    let (port, seen) = server(echo);
    let counted = r#"[{"name": "network_requests", "value": 1, "per_seconds": null, "applies_to": ["run"], "origin": "Agentfile:3:1"}]"#;
    let running = Running::start(plan("http", "127.0.0.1", port, BROKER, counted), None);
    let here = format!("127.0.0.1:{port}");
    let mut first = running.connection("http", "127.0.0.1", port);
    send_request(&mut first, "/open", &here, "");
    running.intent();
    assert!(answer(&mut first).starts_with("HTTP/1.1 200 "));
    let mut second = running.connection("http", "127.0.0.1", port);
    send_request(&mut second, "/open", &here, "");
    assert_eq!(running.denied().1, "the limit `network_requests` is reached");
    assert!(answer(&mut second).starts_with("HTTP/1.1 429 "));
    // The server says what it was sent after it has answered.
    assert!(seen.recv_timeout(Duration::from_secs(20)).is_ok());
    assert!(seen.try_recv().is_err(), "the second was sent");
}

#[test]
fn a_connection_without_its_socket_ends_the_gateway() {
    let mut running = Running::start(plan("http", "127.0.0.1", 80, BROKER, "[]"), None);
    let order = Order::Brokered { scheme: "http".to_owned(), host: "127.0.0.1".to_owned(), port: 80 };
    send(running.supervisor.as_fd(), &order, &[]).unwrap();
    assert!(matches!(running.record(), Report::Failed { .. }));
    assert_eq!(running.thread.take().unwrap().join().unwrap(), 1);
    running.thread = Some(std::thread::spawn(|| 0));
}

/// Who is trusted is read from a file that the environment names, so this is done by another process of this program.
#[test]
fn tls_is_spoken_with_the_server_verified_and_with_the_credential() {
    if let Ok(told) = std::env::var("AGENTRC_TEST_SERVER") {
        return with_these_roots(&told);
    }
    let authority = Authority::new("servers").unwrap();
    let other = Authority::new("others").unwrap();
    let (port, seen) = server(tls(&authority));
    let folder = tempfile::tempdir().unwrap();
    for (name, trusted) in [("right", &authority), ("wrong", &other)] {
        let roots = folder.path().join(name);
        std::fs::write(&roots, trusted.certificate()).unwrap();
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls_is_spoken_with_the_server_verified_and_with_the_credential"])
            .env("SSL_CERT_FILE", &roots)
            .env("AGENTRC_TEST_SERVER", format!("{name}:{port}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{name}: {said}");
    }
    let heads: Vec<String> = seen.try_iter().filter(|head| !head.is_empty()).collect();
    let [head] = &heads[..] else { panic!("{heads:?}") };
    assert!(head.to_ascii_lowercase().contains(&format!("authorization: bearer {VALUE}")), "{head}");
}

/// The value of a credential.
const VALUE: &str = "v3ry-s3cret-value-of-a-key";

/// Serves TLS as 127.0.0.1.
fn tls(authority: &Authority) -> impl Fn(TcpStream) -> String + Send + 'static {
    let config = authority.server("127.0.0.1").unwrap();
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols.clear();
    let config = Arc::new(config);
    move |stream| {
        let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        echo(rustls::StreamOwned::new(session, stream))
    }
}

/// The part of the test above that its other process does.
fn with_these_roots(told: &str) {
    let (trusted, port) = told.split_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let secret = Secret::new(VALUE.as_bytes().to_vec().into()).unwrap();
    let placeholder = Placeholder::of(&secret).unwrap();
    let written = placeholder.as_str().to_owned();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    wire::send(&mut ours, &[Credential { name: "KEY".to_owned(), placeholder, secret }]).unwrap();
    drop(ours);
    let running = Running::start(plan("https", "127.0.0.1", port, BROKER, "[]"), Some(theirs));
    let mut broker = running.connection("https", "127.0.0.1", port);
    let more = format!("Authorization: Bearer {written}\r\n");
    send_request(&mut broker, "/open", &format!("127.0.0.1:{port}"), &more);
    assert_eq!(running.intent(), format!("GET https://127.0.0.1:{port}/open"));
    let answer = answer(&mut broker);
    assert!(!answer.contains(VALUE), "{answer}");
    match trusted {
        "right" => {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(answer.contains(&written), "the server's echo of the value is its placeholder: {answer}");
        }
        _ => assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("no verified TLS"), "{answer}"),
    }
}

/// A credential for the server, and a tool: one that sends requests makes the gateway read who is trusted.
const BROKER: &str = r#"[
    {"kind": "tool", "namespace": "utcp", "name": "http_request", "entity": "http_request", "permitted": true, "definition":
     {"runs": "gateway", "title": null, "description": "", "input_schema": {}, "schema_sha256": "00", "facts": {},
      "hints": {"read_only": false, "destructive": false, "idempotent": false, "open_world": true}},
     "origin": "Agentfile:4:1"},
    {"kind": "credential", "name": "KEY", "source": "env:KEY", "hosts": ["127.0.0.1"], "inject": null, "older_form": false,
     "origin": "Agentfile:5:1"}
]"#;
