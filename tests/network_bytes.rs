//! Network: what travels is unchanged, in both directions and as it comes, and is counted where the Agentfile says so.

use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::world::noise;
use agentrc_test_support::{Lab, Outcome, World, as_each};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const LARGE: usize = 5_000_000;

/// The three ways of HTTP: seen without TLS, end to end, and seen inside TLS.
const WAYS: &[(&str, &str)] = &[
    ("URL http://api.example.com", "http://api.example.com"),
    ("URL https://api.example.com", "https://api.example.com"),
    ("URL https://api.example.com/", "https://api.example.com"),
    (
        "URL https://api.example.com:8443/noise\nURL https://api.example.com:8443/echo\nURL https://api.example.com:8443/events\n\
      URL https://api.example.com:8443/turn\nURL https://api.example.com:8443/socket",
        "https://api.example.com:8443",
    ),
];

#[track_caller]
fn well<'o>(lab: &Lab, outcome: &'o Outcome) -> &'o Outcome {
    assert!(
        outcome.events_named("denial").is_empty(),
        "as {}: {:?}",
        lab.who.name,
        outcome.events_named("denial")
    );
    outcome.expect_code(0)
}

#[test]
fn large_downloads_and_uploads_are_intact() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let bytes = noise(LARGE);
        lab.file(lab.project("large"), &bytes);
        for (lines, base) in WAYS {
            world.forget();
            let outcome = world.run(
                &format!("BIND ./large /large ro\n{lines}"),
                &format!(
                    "set -e\ncurl -sS -o /scratch/got {base}/noise?{LARGE}\ncmp /large /scratch/got\n\
                     curl -sS -o /scratch/back --data-binary @/large {base}/echo\ncmp /large /scratch/back\n\
                     curl -sS -H 'Transfer-Encoding: chunked' -T /large -X POST -o /scratch/chunked {base}/echo\ncmp /large /scratch/chunked"
                ),
            );
            well(lab, &outcome);
            let bodies: Vec<bool> = world.requests()[1..].iter().map(|one| one.body == bytes).collect();
            assert_eq!(bodies, [true, true], "as {}: {lines}", lab.who.name);
        }
    });
}

#[test]
fn events_arrive_one_by_one_and_are_not_kept_until_the_end() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for (lines, base) in WAYS {
            // The server sends an event when the client has said that it has the one before.
            let client = format!(
                "/usr/bin/python3 - <<'END'\nimport urllib.request\n\
                 for line in urllib.request.urlopen('{base}/events?4', timeout=20):\n\
                 \x20   if line.startswith(b'data: '):\n\
                 \x20       number = int(line[6:])\n\
                 \x20       print('event', number)\n\
                 \x20       urllib.request.urlopen('{base}/turn?%d' % number, timeout=20).read()\nEND"
            );
            let outcome = world.run(lines, &client);
            well(lab, &outcome);
            assert_eq!(outcome.out(), "event 1\nevent 2\nevent 3\nevent 4\n", "as {}: {lines}", lab.who.name);
        }
    });
}

const SOCKET: &str = r#"
import base64, os, socket, ssl
def websocket(host, port, tls):
    one = socket.create_connection((host, port))
    if tls: one = ssl.create_default_context().wrap_socket(one, server_hostname=host)
    one.settimeout(20)
    name = host if port in (80, 443) else "%s:%d" % (host, port)
    one.sendall(("GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: %s\r\n\r\n" % (name, "dGhlIHNhbXBsZSBub25jZQ==")).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"): head += one.recv(1)
    print(head.split(b"\r\n")[0].decode(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head)
    for text in (b"first", b"second"):
        mask = os.urandom(4)
        one.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(a ^ b for a, b in zip(text, mask * 9)))
        print(one.recv(2 + len(text))[2:])
    one.close()
"#;

#[test]
fn websockets_work_wherever_requests_do() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for (lines, base) in WAYS {
            world.forget();
            let (tls, port) = match *base {
                "http://api.example.com" => ("False", 80),
                "https://api.example.com" => ("True", 443),
                _ => ("True", 8443),
            };
            let script = format!(
                "/usr/bin/python3 - <<'END'\n{SOCKET}websocket('api.example.com', {port}, {tls})\nEND"
            );
            let outcome = world.run(lines, &script);
            well(lab, &outcome);
            assert_eq!(
                outcome.out(),
                "HTTP/1.1 101 Switching Protocols True\nb'first'\nb'second'\n",
                "as {}: {lines}",
                lab.who.name
            );
            assert_eq!(world.requests().len(), 1);
        }
    });
}

#[test]
fn one_direction_of_a_connection_can_end_before_the_other() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let bytes = noise(1_000_000);
        lab.file(lab.project("large"), &bytes);
        // The server answers when it has seen the end.
        let outcome = world.run(
            "BIND ./large /large ro\nURL tcp://api.example.com:7000",
            "/usr/bin/python3 - <<'END'\nimport socket\n\
             one = socket.create_connection(('api.example.com', 7000))\none.settimeout(20)\n\
             sent = open('/large', 'rb').read()\none.sendall(sent)\none.shutdown(socket.SHUT_WR)\n\
             got = b''\nwhile more := one.recv(65536): got += more\nprint(got == sent, len(got))\nEND",
        );
        well(lab, &outcome);
        assert_eq!(outcome.out(), "True 1000000\n", "as {}", lab.who.name);
        assert!(world.arrivals()[0].bytes == bytes);
    });
}

/// The limits that the log says were reached: name, outcome, how often, and whose line.
fn limits(outcome: &Outcome) -> Vec<(String, u64, String)> {
    let text =
        |event: &Value, name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |event: &Value| event.get("count").and_then(Value::as_u64).unwrap_or_default();
    let events = outcome.events.iter().filter(|event| event.get("limit").is_some());
    events.map(|event| (text(event, "limit"), count(event), text(event, "origin"))).collect()
}

#[test]
fn no_more_requests_are_made_than_the_limit_says() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = "LIMIT network_requests 3\nURL http://api.example.com\nURL https://api.example.com\nURL tcp://api.example.com:7000";
        // From several processes at once: it is one count.
        let outcome = world.run(
            lines,
            "for i in 1 2 3 4 5 6; do curl -sS -o /dev/null -w '%{http_code} ' http://api.example.com/$i & done; wait\n\
             curl -sS https://api.example.com/\n/usr/bin/python3 -c 'import socket; s = socket.create_connection((\"api.example.com\", 7000)); s.settimeout(20); s.send(b\"x\"); s.recv(1)'",
        );
        assert_eq!(world.requests().len(), 3, "as {}: {}", lab.who.name, outcome.out());
        assert_eq!(world.arrivals().len(), 3);
        assert_eq!(outcome.out().matches("429").count(), 3, "{}", outcome.out());
        let reached = limits(&outcome);
        assert!(
            reached
                .iter()
                .all(|(name, _, origin)| name == "network_requests" && origin.contains("Agentfile:2")),
            "{reached:?}"
        );
        assert_eq!(
            reached.iter().map(|(_, count, _)| count).sum::<u64>(),
            5,
            "as {}: {reached:?}",
            lab.who.name
        );
    });
}

#[test]
fn no_more_bytes_are_sent_than_the_limit_says_by_any_way() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        lab.file(lab.project("large"), noise(1_000_000));
        for (lines, script) in [
            (
                "URL http://api.example.com",
                "curl -sS -m 20 --data-binary @/large http://api.example.com/echo",
            ),
            (
                "URL https://api.example.com",
                "curl -sS -m 20 --data-binary @/large https://api.example.com/echo",
            ),
            (
                "URL https://api.example.com/echo",
                "curl -sS -m 20 --data-binary @/large https://api.example.com/echo",
            ),
            (
                "URL http://api.example.com",
                "for i in $(seq 400); do curl -sS -m 20 -A \"$(head -c 1000 /large | base64 -w0)\" http://api.example.com/; done",
            ),
            (
                "URL tcp://api.example.com:7000",
                "curl -sS -m 20 -T /large telnet://api.example.com:7000 </large",
            ),
        ] {
            world.forget();
            let outcome =
                world.run(&format!("BIND ./large /large ro\nLIMIT egress_bytes 100000\n{lines}"), script);
            let heads = |one: &agentrc_test_support::world::Request| {
                one.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
            };
            let sent = || {
                world.arrivals().iter().map(|one| one.bytes.len()).sum::<usize>()
                    + world.requests().iter().map(|one| one.body.len() + heads(one)).sum::<usize>()
            };
            // Up to there it goes; of what stays encrypted no byte is counted here. The server may hear of the end after the agent.
            let some =
                lines == "URL https://api.example.com" || within(Duration::from_secs(20), || sent() > 0);
            assert!(some, "as {}: {lines}: nothing was sent", lab.who.name);
            let sent = sent();
            assert!(sent <= 100_000, "as {}: {lines}: {sent} bytes", lab.who.name);
            let reached = limits(&outcome);
            assert!(
                reached.iter().any(|(name, ..)| name == "egress_bytes"),
                "as {}: {lines}: {reached:?}",
                lab.who.name
            );
        }
    });
}

#[test]
fn a_host_has_a_rate_of_its_own() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            "URL http://api.example.com\nURL http://*.wild.example.com\nURL http://other.example.com\n\
             RATELIMIT api.example.com 2/hour\nRATELIMIT *.wild.example.com 3/day",
            "for i in 1 2 3 4; do for host in api.example.com a.wild.example.com b.wild.example.com other.example.com; do\n\
             curl -sS -o /dev/null http://$host/; done; done",
        );
        let asked = world.asked();
        let of = |host: &str| asked.iter().filter(|one| one.contains(host)).count();
        assert_eq!((of("//api."), of(".wild."), of("//other.")), (2, 3, 4), "as {}: {asked:?}", lab.who.name);
        let mut names: Vec<String> = limits(&outcome).into_iter().map(|(name, ..)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names, ["*.wild.example.com", "api.example.com"]);
    });
}
