//! Network: TLS that stays end to end is for the declared server, in every ClientHello, however it is cut; and where it is
//! terminated the server behind the gateway is verified. (`shared/attacks.md`, "Network".)

use agentrc_test_support::{Lab, Outcome, World, as_each_and_without_filter};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Makes ClientHellos by hand (RFC 8446, section 4.1.2), without a key share, so that a server asks for another. Port 4433
/// does that, and keeps what it was sent.
const HELLO: &str = r#"
import os, socket, struct, time
def block(size, bytes): return len(bytes).to_bytes(size, "big") + bytes
def extension(kind, bytes): return struct.pack(">H", kind) + block(2, bytes)
def names(*all): return extension(0, block(2, b"".join(b"\0" + block(2, one.encode()) for one in all)))
def message(*more, share=b""):
    rest = (extension(10, block(2, b"\0\x17\0\x1d")) + extension(43, b"\2\3\4") + extension(51, block(2, share))
            + extension(13, block(2, b"\4\3\x08\4")))
    body = b"\3\3" + b"r" * 32 + block(1, b"s" * 32) + block(2, b"\x13\1") + b"\1\0" + block(2, b"".join(more) + rest)
    return b"\1" + block(3, body)
def record(bytes, kind=22): return bytes_of(kind) + b"\3\1" + block(2, bytes)
def bytes_of(*all): return bytes(all)
def hello(*more, share=b""): return record(message(*more, share=share))
SHARE = b"\0\x17" + block(2, b"\4" + b"k" * 64)
def send(*parts, wait=0.4, port=4433, pause=0):
    one = socket.create_connection(("api.example.com", port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.settimeout(20)
    answer = b""
    try:
        for part in parts:
            if part == "answer": answer += one.recv(4096)
            else:
                one.sendall(part)
                if pause: time.sleep(pause)
        # Something comes to the last of it, the server's question, its alert or the end; and what comes after that, soon.
        answer += one.recv(4096)
        one.settimeout(wait)
        while more := one.recv(4096): answer += more
    except OSError: pass
    one.close()
    return answer
GOOD, OTHER = names("api.example.com"), names("other.example.com")
"#;

fn python(script: &str) -> String {
    format!("/usr/bin/python3 - <<'END'\n{HELLO}{script}\nEND")
}

const LINES: &str =
    "URL https://api.example.com:4433\nURL https://api.example.com\nURL https://other.example.com:8443";

/// What the server was sent, each connection by itself.
fn sent(world: &World<'_>) -> Vec<Vec<u8>> {
    world.arrivals().into_iter().filter(|one| one.port == 4433).map(|one| one.bytes).collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[track_caller]
fn reasons(lab: &Lab, outcome: &Outcome) -> Vec<String> {
    assert!(!outcome.out().contains("Traceback"), "as {}: {}", lab.who.name, outcome.out());
    let reason = |event: &&Value| event.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    outcome.events_named("denial").iter().map(reason).collect()
}

#[test]
fn a_hello_that_names_the_declared_server_arrives_as_it_was_sent_however_it_is_cut() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        for (how, parts) in [
            ("whole", "hello(GOOD)"),
            ("byte by byte", "*[bytes_of(one) for one in hello(GOOD)], pause=0.0005"),
            ("a record for each byte", "b''.join(record(bytes_of(one)) for one in message(GOOD))"),
            ("in another case", "hello(names('API.Example.Com'))"),
            ("of many kilobytes", "hello(GOOD, extension(21, b'\\0' * 15000))"),
        ] {
            world.forget();
            let print =
                format!("send({parts})\ndef send(*parts, **_): print(b''.join(parts).hex())\nsend({parts})");
            let outcome = world.run(LINES, &python(&print));
            let denied = reasons(lab, &outcome);
            assert!(denied.is_empty(), "as {}: {how}: {denied:?}", lab.who.name);
            let arrived = sent(&world);
            assert_eq!(arrived.len(), 1, "as {}: {how}", lab.who.name);
            let arrived: String = arrived[0].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(arrived, outcome.out().trim(), "as {}: {how}", lab.who.name);
        }
    });
}

#[test]
fn a_hello_for_anybody_else_or_nobody_does_not_leave() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        for (parts, reason) in [
            ("hello(OTHER)", "asks for another server: `other.example.com`"),
            ("*[bytes_of(one) for one in hello(OTHER)], pause=0.0005", "asks for another server"),
            ("b''.join(record(bytes_of(one)) for one in message(OTHER))", "asks for another server"),
            ("hello(names('api.example.com.evil.example.org'))", "asks for another server"),
            ("hello(names('www.api.example.com'))", "asks for another server"),
            ("hello()", "names no server"),
            ("hello(names('api.example.com', 'other.example.com'))", "malformed"),
            ("hello(GOOD, OTHER)", "malformed"),
            ("hello(OTHER, GOOD)", "malformed"),
            ("hello(names('api.example.com\\0.evil.example.org'))", "no host name"),
            ("record(message(GOOD) + message(OTHER, share=SHARE))", "malformed"),
            ("hello(names('api.example.com.'))", ""),
            ("hello(names('93.184.216.34'))", ""),
            ("hello(GOOD, extension(0xfe0d, b'\\0' * 100))", "Encrypted ClientHello"),
            ("record(b'\\2' + message(GOOD)[1:])", "does not begin with a TLS handshake"),
            ("record(message(GOOD), kind=23)", "does not begin with a TLS handshake"),
            (
                "b'GET / HTTP/1.1\\r\\nHost: api.example.com\\r\\n\\r\\n'",
                "does not begin with a TLS handshake",
            ),
            ("b'\\x80\\x2e\\1\\3\\1'", "does not begin with a TLS handshake"),
            ("hello(GOOD, *[extension(21, b'\\0' * 60000)])", ""),
            ("hello(GOOD)[:60], b'\\xff' * 200", "malformed"),
        ] {
            world.forget();
            let outcome = world.run(LINES, &python(&format!("send({parts})")));
            let reasons = reasons(lab, &outcome);
            assert!(
                reasons.iter().any(|one| one.contains(reason)),
                "as {}: {parts}: {reasons:?}",
                lab.who.name
            );
            assert!(world.arrivals().is_empty(), "as {}: {parts}: {:?}", lab.who.name, world.arrivals());
        }
    });
}

#[test]
fn a_second_hello_that_the_server_asks_for_is_judged_like_the_first() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let change = "b'\\x14\\3\\3\\0\\1\\1'";
        // Positive control: one for the same server arrives.
        for second in [
            "'answer', hello(GOOD, share=SHARE)".to_owned(),
            format!("'answer', {change} + hello(GOOD, share=SHARE)"),
            format!("{change} + record(b'early', kind=23), 'answer', hello(GOOD, share=SHARE)"),
        ] {
            world.forget();
            let outcome = world.run(LINES, &python(&format!("send(hello(GOOD), {second})")));
            let denied = reasons(lab, &outcome);
            assert!(denied.is_empty(), "as {}: {second}: {denied:?}", lab.who.name);
            assert!(
                sent(&world).iter().any(|bytes| has(bytes, "kkkkkkkk")),
                "as {}: control: {second}",
                lab.who.name
            );
        }
        for second in [
            "'answer', hello(OTHER, share=SHARE)".to_owned(),
            format!("'answer', {change} + hello(OTHER, share=SHARE)"),
            format!("'answer', {change}, hello(OTHER, share=SHARE)"),
            "'answer', *[bytes_of(one) for one in hello(OTHER, share=SHARE)], pause=0.0005".to_owned(),
            "'answer', hello(share=SHARE)".to_owned(),
            "'answer', hello(GOOD, extension(0xfe0d, b'0' * 50), share=SHARE)".to_owned(),
            "'answer', record(b'early', kind=23) + hello(OTHER, share=SHARE)".to_owned(),
            // Who knows that the server will ask need not wait for it.
            "hello(OTHER, share=SHARE)".to_owned(),
            format!("{change} + hello(OTHER, share=SHARE)"),
        ] {
            for first in ["hello(GOOD), ", "hello(GOOD) + "] {
                let parts = if second.starts_with('\'') && first.contains('+') {
                    continue;
                } else {
                    format!("{first}{second}")
                };
                world.forget();
                let outcome = world.run(LINES, &python(&format!("send({parts}, wait=20)")));
                let reasons = reasons(lab, &outcome);
                let got_out = sent(&world)
                    .iter()
                    .any(|bytes| has(bytes, "other.example.com") || has(bytes, "kkkkkkkk"));
                assert!(!got_out, "as {}: {parts}: {reasons:?}", lab.who.name);
                assert!(!reasons.is_empty(), "as {}: {parts}: it is not on record", lab.who.name);
            }
        }
    });
}

const CLIENT: &str = "/usr/bin/python3 - <<'END'
import socket, ssl
def ask(host, port, name):
    trust = ssl.create_default_context()
    trust.check_hostname = False
    try:
        one = trust.wrap_socket(socket.create_connection((host, port)), server_hostname=name)
        one.send(b'GET /v1/asked HTTP/1.1\\r\\nHost: other.example.com\\r\\n\\r\\n')
        print(one.recv(100))
    except OSError as error: print(error)
";

#[test]
fn a_client_of_tls_gets_no_other_server_than_the_declared_one() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let ask = |name: &str| format!("{CLIENT}ask('api.example.com', 443, {name})\nEND");
        for lines in ["URL https://api.example.com", "URL https://api.example.com/v1"] {
            for name in ["'other.example.com'", "None", "'evil.example.org'"] {
                world.outside(&ask(name));
                assert_eq!(world.requests().len(), 1, "control: {name}");
                world.forget();
                let outcome = world.run(lines, &ask(name));
                assert!(
                    world.arrivals().is_empty(),
                    "as {}: {lines} {name}: {}",
                    lab.who.name,
                    outcome.out()
                );
                assert!(!reasons(lab, &outcome).is_empty(), "{lines} {name}: it is not on record");
            }
        }
    });
}

#[test]
fn where_tls_is_terminated_the_server_is_verified() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = "URL https://api.example.com/v1\nURL https://api.example.com:4443/v1\nURL https://api.example.com:4444/v1\n\
                     URL https://api.example.com:22/v1";
        for (port, words) in [(443, "hello from"), (4443, "no verified TLS"), (4444, "no verified TLS")] {
            world.outside(&format!("curl -sSk https://api.example.com:{port}/v1/secret"));
            assert_eq!(world.requests().len(), 1, "control: {port}");
            world.forget();
            let fetch = format!("curl -sS -w '%{{http_code}}' https://api.example.com:{port}/v1/secret");
            let outcome = world.run(lines, &fetch);
            assert!(outcome.out().contains(words), "as {}: {port}: {}", lab.who.name, outcome.out());
            assert_eq!(outcome.out().ends_with("502"), port != 443, "{port}: {}", outcome.out());
            assert_eq!(world.requests().len(), usize::from(port == 443), "as {}: {port}", lab.who.name);
            world.forget();
        }
    });
}
