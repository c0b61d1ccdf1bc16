//! Network: HTTP/2 frame by frame, as no library sends it. What the gateway passes on is one request for the declared host, and
//! no flood of frames makes it grow, or stop. (`shared/attacks.md`, "Network"; RFC 9113.)
// Helpers of tests are tests, too.
#![allow(clippy::expect_used)]

use std::time::{Duration, Instant};

use agentrc_test_support::outcome::within;
use agentrc_test_support::outside;
use agentrc_test_support::{Lab, World, as_each, as_each_and_without_filter};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Frames (RFC 9113, section 4.1), and fields without compression (RFC 7541, section 6.2.2).
const FRAMES: &str = r#"
import os, socket, ssl, struct, time
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4
def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload
def integer(number, bits):
    if number < (1 << bits) - 1: return bytes([number])
    out, number = [(1 << bits) - 1], number - ((1 << bits) - 1)
    while number >= 128: out.append(number % 128 + 128); number //= 128
    return bytes(out + [number])
def block(*fields):
    out = b""
    for name, value in fields:
        name, value = (one.encode("latin-1") if isinstance(one, str) else one for one in (name, value))
        out += b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value
    return out
def get(path="/v1/fine", authority="api.example.com", scheme=None, method="GET"):
    return [(":method", method), (":scheme", scheme or SCHEME), (":authority", authority), (":path", path)]
def start(name="api.example.com"):
    one = socket.create_connection((name, PORT))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if SCHEME == "https":
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2"])
        one = context.wrap_socket(one, server_hostname=name)
    one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
    return one
def frames(one, wait):
    held, end = b"", time.time() + wait
    while time.time() < end:
        while len(held) >= 9 and len(held) >= 9 + int.from_bytes(held[:3], "big"):
            size = 9 + int.from_bytes(held[:3], "big")
            yield held[3], held[4], struct.unpack(">I", held[5:9])[0], held[9:size]
            held = held[size:]
        one.settimeout(max(0.01, end - time.time()))
        try: some = one.recv(65536)
        except (TimeoutError, ssl.SSLError): continue
        except OSError: some = b""
        if not some:
            yield None, 0, 0, b""
            return
        held += some
# What came back on one stream: `answered`, `denied`, `reset`, `goaway`, `closed`, or `silent`.
def fate(one, stream=1, wait=5):
    body = b""
    for kind, flags, at, payload in frames(one, wait):
        if kind is None: return "closed"
        if kind == GOAWAY: return "goaway %d" % struct.unpack(">I", payload[4:8])
        if kind == RESET and at == stream: return "reset %d" % struct.unpack(">I", payload)
        if kind == DATA and at == stream: body += payload
        if kind in (DATA, HEADERS) and at == stream and flags & END_STREAM:
            return "denied" if body.startswith(b"agentrc:") else "answered"
    return "silent"
def ask(*fields, body=None):
    one = start()
    fields = [pair for some in fields for pair in (some if isinstance(some, list) else [some])]
    one.sendall(frame(HEADERS, END_HEADERS | (0 if body is not None else END_STREAM), 1, block(*fields)))
    if body is not None: one.sendall(frame(DATA, END_STREAM, 1, body))
    result = fate(one)
    one.close()
    return result
"#;

fn python(port: u16, script: &str) -> String {
    let scheme = if port == 443 { "https" } else { "http" };
    format!("/usr/bin/python3 - <<'END'\nPORT, SCHEME = {port}, '{scheme}'\n{FRAMES}\n{script}\nEND")
}

const LINES: &str = "URL http://api.example.com/v1\nURL https://api.example.com/v1\nURL http://api.example.com:8080/v1\n\
    URL http://other.example.com\nURL https://other.example.com/v1";

/// Asks inside; gives what reached the servers of HTTP inside, and what the client saw.
#[track_caller]
fn asked(lab: &Lab, world: &World<'_>, port: u16, how: &str) -> (Vec<String>, String, Vec<String>) {
    world.forget();
    let outcome = world.run(LINES, &python(port, &format!("print({how})")));
    let out = outcome.out();
    assert!(!out.contains("Traceback"), "as {}: {how}: {out}", lab.who.name);
    let reason = |event: &&Value| event.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    let denials = outcome.events_named("denial").iter().map(reason).collect();
    (world.asked(), out.trim_end().to_owned(), denials)
}

#[test]
fn a_request_for_another_host_than_the_tls_or_the_connection_is_denied() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        for port in [80, 443] {
            let scheme = if port == 80 { "http" } else { "https" };
            for (how, reached) in [
                ("get()", true),
                ("get(), ('host', 'api.example.com')", true),
                ("get(authority='API.example.com')", true),
                // Declared as well, but not here.
                ("get(authority='other.example.com')", false),
                ("get(authority='evil.example.org')", false),
                ("get(authority='api.example.com:8443')", false),
                ("get(authority='user@api.example.com')", false),
                ("get(), ('host', 'other.example.com')", false),
                ("get(), ('host', 'api.example.com'), ('host', 'other.example.com')", false),
                ("get(), ('host', 'api.example.com'), ('host', 'api.example.com')", false),
                (
                    "get()[:2], (':path', '/v1/fine'), ('host', 'api.example.com'), ('host', 'other.example.com')",
                    false,
                ),
                ("get(), (':authority', 'other.example.com')", false),
                ("get(scheme='ftp')", false),
            ] {
                let how = format!("ask({how})");
                world.forget();
                if how.contains("get(authority=") && !how.contains('@') {
                    world.outside(&python(port, &how));
                    assert_eq!(world.requests().len(), 1, "control: {how}");
                }
                let (seen, out, denials) = asked(lab, &world, port, &how);
                let at = format!("as {}: {how}: {seen:?}, {out}, {denials:?}", lab.who.name);
                if reached {
                    let same = seen.iter().map(|one| one.to_lowercase()).collect::<Vec<_>>();
                    assert_eq!(same, [format!("get {scheme}://api.example.com/v1/fine")], "{at}");
                    assert!(out == "answered" && denials.is_empty(), "{at}");
                } else {
                    assert!(seen.is_empty() && out != "answered", "{at}");
                    // Where it is a request at all, it is denied on record; where it is none, the library ends it.
                    assert!(
                        out == "denied" && denials.len() == 1
                            || out.starts_with("reset")
                            || out.starts_with("goaway"),
                        "{at}"
                    );
                }
            }
        }
    });
}

#[test]
fn what_is_no_request_to_an_origin_server_does_not_leave() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        for port in [80, 443] {
            let (seen, out, _) = asked(lab, &world, port, "ask(get())");
            assert_eq!((seen.len(), out.as_str()), (1, "answered"), "as {}: control", lab.who.name);
            for how in [
                // CONNECT, plain and for WebSockets (RFC 8441).
                "(':method', 'CONNECT'), (':authority', 'evil.example.org:443')",
                "(':method', 'CONNECT'), (':authority', 'api.example.com:443')",
                "(':method', 'CONNECT'), (':protocol', 'websocket'), (':scheme', SCHEME), (':path', '/v1/chat'), (':authority', 'api.example.com')",
                // Paths that are none.
                "get('')",
                "get('*')",
                "get('v1/fine')",
                "get('http://evil.example.org/v1/fine')",
                "get('/v1/fine HTTP/1.1\\r\\nX: y')",
                "get('/secret#/v1/')",
                "get('/v1/../secret')",
                // Pseudo fields that are missing, twice, behind others, or unknown.
                "get()[1:]",
                "get() + get()",
                "('x', 'y'), get()",
                "get(), (':status', '200')",
                "get(), ('', 'y')",
                // Fields that would be more than one in HTTP/1.
                "get(), ('x', 'y\\r\\nx-original-url: /secret')",
                "get(), ('x\\r\\ny', 'z')",
                "get(), ('x', 'y\\0z')",
                "get(), ('X', 'y')",
                "get(), ('x y', 'z')",
                "get(method='GET /secret HTTP/1.1\\r\\nx: y')",
                // A message whose end another version would see elsewhere (RFC 9113, sections 8.1.1 and 8.2.2).
                "get(method='POST'), ('transfer-encoding', 'chunked'), body=b'0\\r\\n\\r\\nGET /secret HTTP/1.1\\r\\nhost: api.example.com\\r\\n\\r\\n'",
                "get(method='POST'), ('content-length', '0'), body=b'GET /secret HTTP/1.1\\r\\nhost: api.example.com\\r\\n\\r\\n'",
                "get(method='POST'), ('content-length', '4'), ('content-length', '90'), body=b'x' * 90",
                "get(method='POST'), ('content-length', '+4'), body=b'four'",
                "get(), ('connection', 'x-secret'), ('x-secret', 'y')",
                "get(), ('upgrade', 'websocket')",
            ] {
                let how = format!("ask({how})");
                let (seen, out, _) = asked(lab, &world, port, &how);
                let at = format!("as {}: {how}: {seen:?}: {out}", lab.who.name);
                assert!(seen.is_empty() && out != "answered" && out != "silent", "{at}");
            }
        }
    });
}

/// A fragment is no part of a request: what is judged is what the server gets.
#[test]
fn a_path_with_a_fragment_is_the_path_that_is_judged() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for port in [80, 443] {
            for path in ["/v1/fine#x", "/v1/fine#/../../secret"] {
                let (seen, out, _) = asked(lab, &world, port, &format!("ask(get('{path}'))"));
                let same = seen.iter().all(|one| one.ends_with("://api.example.com/v1/fine"));
                assert!(seen.len() <= 1 && same, "as {}: {path}: {seen:?}, {out}", lab.who.name);
            }
        }
    });
}

/// A request that is one in HTTP/2 goes on as one in HTTP/1 (port 8080 speaks that alone, and is read strictly).
#[test]
fn what_goes_on_as_http1_is_one_request() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for (how, reached) in [
            ("get(authority='api.example.com:8080')", 1),
            (
                "get(authority='api.example.com:8080', method='POST'), body=b'GET /secret HTTP/1.1\\r\\n\\r\\n'",
                1,
            ),
            ("get(authority='api.example.com:8080'), ('te', 'trailers'), ('x', 'y')", 1),
            ("get(authority='api.example.com:8080'), body=b'GET /secret HTTP/1.1\\r\\n\\r\\n'", 0),
            (
                "get(authority='api.example.com:8080', method='POST'), ('transfer-encoding', 'chunked'), body=b'0\\r\\n\\r\\n'",
                0,
            ),
            ("get('/v1/fine\\r\\nx: y', 'api.example.com:8080')", 0),
        ] {
            world.forget();
            let script = python(8080, &format!("print(ask({how}))"));
            let outcome = world.run(LINES, &script);
            let targets = world.targets();
            assert_eq!(targets, vec!["/v1/fine"; reached], "as {}: {how}: {}", lab.who.name, outcome.out());
        }
    });
}

#[test]
fn a_preface_of_http2_is_no_tls() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let script = python(
            443,
            "one = socket.create_connection(('api.example.com', 443))\n\
             one.sendall(b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + frame(SETTINGS, 0, 0) + frame(HEADERS, 5, 1, block(*get())))\n\
             print(fate(one))",
        );
        world.outside(&script);
        assert_eq!(world.arrivals().len(), 1, "control");
        for line in ["URL https://api.example.com", "URL https://api.example.com/v1"] {
            world.forget();
            let outcome = world.run(line, &script);
            assert!(world.arrivals().is_empty(), "as {}: {line}: {:?}", lab.who.name, world.arrivals());
            assert_eq!(outcome.out(), "closed\n", "as {}: {line}", lab.who.name);
            let reason = outcome.denial_of("connect api.example.com:443").get("reason").cloned();
            let reason = reason.as_ref().and_then(Value::as_str).unwrap_or_default();
            assert!(reason.contains("does not begin with a TLS handshake"), "{line}: {reason}");
        }
    });
}

/// The gateway among the supervisor's descendants: the one that is in no pid namespace below the supervisor's.
fn gateway(supervisor: u32) -> u32 {
    let depth = |pid: u32| outside::pids_in_namespaces(pid).len();
    let found = outside::tree(supervisor)
        .into_iter()
        .find(|pid| *pid != supervisor && depth(*pid) == depth(supervisor));
    found.expect("the gateway")
}

/// Most that it ever held, in KiB.
fn peak(pid: u32) -> u64 {
    let status = outside::status(pid);
    let field = status.get("VmHWM").and_then(|text| text.split(' ').next()).expect("VmHWM");
    field.parse().expect("a number")
}

/// Sends a flood, a minute at most, and asks as anybody does afterwards. The gateway may not have grown by more than 16 MiB.
#[track_caller]
fn outlived(lab: &Lab, world: &World<'_>, flood: &str) -> String {
    world.forget();
    let script = python(
        80,
        &format!(
            "def flooded(one, more, most):\n\
         \x20   sent = 0\n\
         \x20   one.settimeout(2)\n\
         \x20   try:\n\
         \x20       for number in range(most):\n\
         \x20           bytes = more(number)\n\
         \x20           one.sendall(bytes)\n\
         \x20           sent += len(bytes)\n\
         \x20   except OSError as error: return sent, fate(one, wait=2)\n\
         \x20   return sent, fate(one, wait=2)\n\
         print('ready', flush=True)\n\
         os.read(3, 3)\n\
         {flood}"
        ),
    );
    let script = format!(
        "exec 3<&0\ncurl -sS http://api.example.com/v1/before\n{script}\n\
         curl -sS -m 10 http://api.example.com/v1/after\necho measure; read end"
    );
    let mut child = world.start(LINES, &script);
    child.wait_for("ready\n");
    let gateway = gateway(child.pid());
    let before = peak(gateway);
    child.send("go\n");
    let started = Instant::now();
    let ended = within(Duration::from_secs(55), || child.out().contains("measure\n"));
    assert!(ended, "as {}: {flood}: {} {}", lab.who.name, child.out(), child.err());
    let grown = peak(gateway).saturating_sub(before);
    assert!(grown < 16 * 1024, "as {}: {flood}: it grew by {grown} KiB", lab.who.name);
    eprintln!("as {}: {:?}, {grown} KiB more: {flood}", lab.who.name, started.elapsed());
    child.send("end\n");
    let outcome = child.finish();
    outcome.expect_code(0);
    let out = outcome.out();
    assert!(out.contains("hello from /v1/after\n"), "as {}: {flood}: {out}", lab.who.name);
    out
}

#[test]
fn a_list_of_fields_without_end_is_cut_off() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for flood in [
            // One block of many megabytes that ends, and one that never does.
            "one = start()\none.sendall(frame(HEADERS, END_STREAM, 1, block(*get())))\n\
             print(flooded(one, lambda n: frame(CONTINUATION, 4 if n == 1999 else 0, 1, block(('x%d' % n, 'y' * 16000))), 2000))",
            "one = start()\none.sendall(frame(HEADERS, END_STREAM, 1, block(*get())))\n\
             print(flooded(one, lambda n: frame(CONTINUATION, 0, 1, block(('x%d' % n, 'y' * 16000))), 5000))",
            // Empty ones, which count for nothing in a list's size.
            "one = start()\none.sendall(frame(HEADERS, END_STREAM, 1, block(*get())))\n\
             print(flooded(one, lambda n: frame(CONTINUATION, 0, 1) * 100, 20000))",
            // One field that refers to itself for ever (RFC 7541): small on the wire, large in memory.
            "one = start()\nlarge = b'\\x40' + block(('x', 'y' * 4000))[1:]\n\
             one.sendall(frame(HEADERS, END_STREAM, 1, block(*get()) + large))\n\
             print(flooded(one, lambda n: frame(CONTINUATION, 0, 1, b'\\xbe' * 16000), 2000))",
        ] {
            let out = outlived(lab, &world, flood);
            assert!(!out.contains("answered"), "as {}: {flood}: {out}", lab.who.name);
            assert_eq!(
                world.asked(),
                ["GET http://api.example.com/v1/before", "GET http://api.example.com/v1/after"],
                "as {}: {flood}",
                lab.who.name
            );
        }
    });
}

#[test]
fn a_flood_of_streams_and_of_frames_is_bounded() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for flood in [
            // Rapid reset (CVE-2023-44487): each stream is ended before it is answered.
            "one = start()\nprint(flooded(one, lambda n: frame(HEADERS, 5, 2 * n + 1, block(*get())) + frame(RESET, 0, 2 * n + 1, b'\\0\\0\\0\\x08'), 50000))",
            // The same, with the error on the client's side: streams that the gateway itself must end (CVE-2025-8671).
            "one = start()\nprint(flooded(one, lambda n: frame(HEADERS, 5, 2 * n + 1, block(*get())) + frame(8, 0, 2 * n + 1, b'\\0\\0\\0\\0'), 50000))",
            "one = start()\nprint(flooded(one, lambda n: frame(SETTINGS, 0, 0) * 100, 10000))",
            "one = start()\nprint(flooded(one, lambda n: frame(PING, 0, 0, b'eightbts') * 100, 10000))",
            "one = start()\none.sendall(frame(HEADERS, 4, 1, block(*get(method='POST'))))\n\
             print(flooded(one, lambda n: frame(DATA, 0, 1) * 100, 10000))",
            // Nothing is read of what was asked for: 2 MiB on each of a thousand streams.
            "one = start(name='other.example.com')\none.sendall(frame(SETTINGS, 0, 0, b'\\0\\4\\x7f\\xff\\xff\\xff') + frame(8, 0, 0, b'\\x7f\\0\\0\\0'))\n\
             print(flooded(one, lambda n: frame(HEADERS, 5, 2 * n + 1, block(*get('/noise?2097152', 'other.example.com'))), 1000))",
        ] {
            let out = outlived(lab, &world, flood);
            let reached = world.requests().len();
            eprintln!("{reached} requests reached the server: {out}");
            assert!(reached <= 2 + 1100, "as {}: {flood}: {reached} requests got out: {out}", lab.who.name);
        }
    });
}
