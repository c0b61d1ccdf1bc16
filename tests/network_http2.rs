//! Network: HTTP/2 frame by frame, as no library sends it. What the gateway passes on is one request for the declared host.
//! (`shared/attacks.md`, "Network"; RFC 9113.)

use agentrc_test_support::frames::python;
use agentrc_test_support::{Lab, World, as_each, as_each_and_without_filter};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

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
            // One that says that it has no body, and ends later, is a request.
            let late = "ask(get(method='POST'), ('content-length', '0'), body=b'', after=0.3)";
            let (seen, out, _) = asked(lab, &world, port, late);
            assert_eq!((seen.len(), out.as_str()), (1, "answered"), "as {}: {late}", lab.who.name);
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
                "get(method='POST'), ('content-length', '0'), body=b'GET /secret HTTP/1.1\\r\\nhost: api.example.com\\r\\n\\r\\n', after=0.3",
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
        assert_eq!(world.arrived(1).len(), 1, "control");
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
