//! Network: requests that the gateway sees. Each that reaches the server is one that was judged, for the declared host, with
//! one path in every reading. (`shared/attacks.md`, "Network".)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::session::word;
use agentrc_test_support::{Outcome, World, as_each_and_without_filter};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Sends bytes as they are, each part when the one before is answered or after `patience` seconds, and prints the first lines of
/// the answers.
fn raw(host: &str, patience: u32, parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| format!("{:?}", word(part))).collect();
    format!(
        "/usr/bin/python3 - <<'END'\n\
         import socket, urllib.parse\n\
         one = socket.create_connection(('{host}', 8080))\n\
         one.settimeout({patience})\n\
         answer = b''\n\
         try:\n\
         \x20   for part in [{}]:\n\
         \x20       one.sendall(urllib.parse.unquote_to_bytes(part))\n\
         \x20       answer += one.recv(65536)\n\
         \x20   one.settimeout(0.3)\n\
         \x20   while more := one.recv(65536): answer += more\n\
         except OSError: pass\n\
         print([line[:12] for line in answer.split(b'\\r\\n') if line.startswith(b'HTTP/')])\n\
         END",
        parts.join(", ")
    )
}

fn acts(outcome: &Outcome, name: &str) -> Vec<String> {
    let text = |event: &&Value| event.get("act").and_then(Value::as_str).unwrap_or_default().to_owned();
    outcome.events_named(name).iter().map(text).collect()
}

const NOT_SMUGGLED: &str = "AUDIT all\nURL http://api.example.com:8080\nPOLICY\n\
    forbid (principal, action == AgentRC::Action::\"network.egress\", resource) when { context.path == \"/smuggled\" };\nEND";
const HOST: &str = "Host: api.example.com:8080\r\n";
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n";

#[test]
fn no_request_is_smuggled_past_the_judge() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let heads = [
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 200\r\n\r\n0\r\n\r\n",
            "Content-Length: 0\r\nContent-Length: 90\r\n\r\n",
            "Content-Length: 0, 90\r\n\r\n",
            "Content-Length: +0\r\n\r\n",
            "Content-Length: 0x0\r\n\r\n",
            "Content-Length: -1\r\n\r\n",
            "Transfer-Encoding: xchunked\r\n\r\n",
            "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
            "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "X: y\n\n",
            "X: y\rTransfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n0;ext=\n\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n0\n\n",
            "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n00000000000000000\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nTrailer: x\r\n\r\n0\r\nx: y\r\n\r\n",
            "Connection: content-length\r\nContent-Length: 90\r\n\r\n",
            "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n",
        ];
        for head in heads {
            world.forget();
            let request = format!("POST /fine HTTP/1.1\r\n{HOST}{head}{SMUGGLED}");
            world.outside(&raw("api.example.com", 1, &[&request]));
            let smuggled = |bytes: &[u8]| bytes.windows(9).any(|window| window == b"/smuggled");
            let came =
                within(Duration::from_secs(20), || world.arrivals().iter().any(|one| smuggled(&one.bytes)));
            assert!(came, "control: {head:?}");
            world.forget();
            let outcome = world.run(NOT_SMUGGLED, &raw("api.example.com", 1, &[&request]));
            let reached = world.targets();
            let judged = acts(&outcome, "network.permitted");
            // One that turns out to be none is judged, and not passed on.
            assert!(reached.len() <= judged.len(), "as {}: {head:?}: {reached:?} {judged:?}", lab.who.name);
            assert!(
                reached.iter().all(|target| target == "/fine"),
                "as {}: {head:?}: {reached:?}",
                lab.who.name
            );
        }
    });
}

#[test]
fn a_request_is_for_the_host_that_was_connected_to() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let evil = "GET /evil HTTP/1.1\r\nHost: evil.example.org\r\n\r\n";
        let fine = format!("GET /fine HTTP/1.1\r\n{HOST}\r\n");
        for (parts, reached) in [
            (vec![fine.as_str()], 1),
            (vec!["GET http://api.example.com:8080/fine HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n"], 1),
            (vec![evil], 0),
            (vec![fine.as_str(), evil, fine.as_str()], 2),
            (vec!["GET /two HTTP/1.1\r\nHost: api.example.com:8080\r\nHost: evil.example.org\r\n\r\n"], 0),
            (
                vec!["GET /two HTTP/1.1\r\nHost: api.example.com:8080\r\nHost: api.example.com:8080\r\n\r\n"],
                0,
            ),
            (vec!["GET /none HTTP/1.1\r\n\r\n"], 0),
            (vec!["GET /old HTTP/1.0\r\n\r\n"], 0),
            (vec!["GET /empty HTTP/1.1\r\nHost:\r\n\r\n"], 0),
            (vec!["GET /port HTTP/1.1\r\nHost: api.example.com\r\n\r\n"], 0),
            (vec!["GET /list HTTP/1.1\r\nHost: api.example.com:8080, evil.example.org\r\n\r\n"], 0),
            (vec!["GET http://evil.example.org/absolute HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n"], 0),
            (vec!["GET http://api.example.com:8080/absolute HTTP/1.1\r\nHost: evil.example.org\r\n\r\n"], 0),
            (
                vec![
                    "GET http://api.example.com:8080@evil.example.org/ HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n",
                ],
                0,
            ),
            (
                vec![
                    "GET https://api.example.com:8080/scheme HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n",
                ],
                0,
            ),
            (vec!["GET //evil.example.org/ HTTP/1.1\r\nHost: evil.example.org\r\n\r\n"], 0),
            (vec!["CONNECT evil.example.org:443 HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n"], 0),
            (vec!["CONNECT api.example.com:8080 HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n"], 0),
        ] {
            world.forget();
            world.outside(&raw("api.example.com", 20, &parts));
            assert_eq!(world.arrived(1).len(), 1, "control: {parts:?}");
            world.forget();
            let outcome = world.run("URL http://api.example.com:8080", &raw("api.example.com", 20, &parts));
            assert_eq!(world.targets().len(), reached, "as {}: {parts:?}: {}", lab.who.name, outcome.out());
        }
    });
}

#[test]
fn the_authority_of_http2_is_the_host_that_was_connected_to() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines =
            "URL http://api.example.com\nURL https://api.example.com/v1\nURL http://other.example.com";
        for (fetch, reached) in [
            ("curl -sS --http2-prior-knowledge http://api.example.com/v1/fine", 1),
            ("curl -sS --http2 https://api.example.com/v1/fine", 1),
            (
                "curl -sS --http2-prior-knowledge -H 'Host: other.example.com' http://api.example.com/v1/evil",
                0,
            ),
            ("curl -sS --http2 -H 'Host: other.example.com' https://api.example.com/v1/evil", 0),
            ("curl -sS --http1.1 -H 'Host: other.example.com' https://api.example.com/v1/evil", 0),
            ("curl -sS -H 'Host: evil.example.org' http://api.example.com/v1/evil", 0),
        ] {
            world.forget();
            world.outside(fetch);
            assert_eq!(world.requests().len(), 1, "control: {fetch}");
            world.forget();
            let outcome = world.run(lines, fetch);
            assert_eq!(world.requests().len(), reached, "as {}: {fetch}: {}", lab.who.name, outcome.out());
            if reached == 0 {
                let denials = outcome.events_named("denial");
                let reason = denials.first().and_then(|one| one.get("reason")).and_then(Value::as_str);
                assert_eq!(reason, Some("it is for another host than the connection"), "{fetch}");
            }
        }
    });
}

#[test]
fn a_path_that_is_not_declared_is_not_reached_in_any_spelling() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let at = |path: &str| format!("curl -sS --path-as-is 'http://api.example.com:8080{path}'");
        for path in
            ["/v1", "/v1/", "/v1/fine", "/v1/fine?x=/../..", "/%761/fine", "/v1/@scope%2fname", "//v1/fine"]
        {
            world.forget();
            let outcome = world.run("URL http://api.example.com:8080/v1", &at(path));
            assert_eq!(world.targets().len(), 1, "as {}: {path}: {}", lab.who.name, outcome.out());
        }
        for path in [
            "/",
            "/secret",
            "/v1x",
            "/V1/secret",
            "/v1/../secret",
            "/v1/./../secret",
            "/v1/..%2fsecret",
            "/v1/%2e%2e/secret",
            "/v1/.%2E/secret",
            "/v1%2f..%2fsecret",
            "/v1/%252e%252e/secret",
            "/v1/..\\secret",
            "/v1/..%5csecret",
            "/v1/..;/secret",
            "/v1/..;x/secret",
            "/v1/..%00/secret",
            "/v1/%c0%ae%c0%ae/secret",
            "/v1%0d%0aX:%20y",
            "/v1/%2561",
            "/secret?/v1/",
            "/secret#/v1/",
            "/secret;/v1/",
        ] {
            world.forget();
            world.outside(&at(path));
            assert_eq!(world.arrived(1).len(), 1, "control: {path}");
            world.forget();
            let outcome = world.run("URL http://api.example.com:8080/v1", &at(path));
            assert!(world.arrivals().is_empty(), "as {}: {path}: {:?}", lab.who.name, world.targets());
            assert_eq!(
                outcome.events_named("denial").len(),
                1,
                "as {}: {path}: {}",
                lab.who.name,
                outcome.out()
            );
        }
        let why = lab.finish_command(lab.agentrc(["why", "latest"])).out();
        assert!(why.contains("to allow it, change one of these lines"), "as {}: {why}", lab.who.name);
        assert!(why.contains(": URL http://api.example.com:8080/v1\n"), "as {}: {why}", lab.who.name);
    });
}

#[test]
fn what_makes_a_server_take_another_path_is_refused() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        for field in ["X-Original-URL", "X-Rewrite-URL", "x_original_url"] {
            let outcome = world.run(
                "URL https://api.example.com/v1",
                &format!("curl -sS -H '{field}: /secret' https://api.example.com/v1/open"),
            );
            assert!(world.requests().is_empty(), "as {}: {field}: {:?}", lab.who.name, world.asked());
            assert!(outcome.out().contains("is denied"), "as {}: {field}: {}", lab.who.name, outcome.out());
        }
    });
}

#[test]
fn policies_on_methods_and_paths_hold_over_tls_as_well() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = "URL https://api.example.com\nURL http://api.example.com\nPOLICY\n\
            forbid (principal, action == AgentRC::Action::\"network.egress\", resource == AgentRC::Host::\"api.example.com\")\n\
            when { context.method == \"DELETE\" || context.path like \"/admin*\" };\nEND";
        for (words, denied) in [
            ("https://api.example.com/", false),
            ("-X DELETE https://api.example.com/", true),
            ("-X DELETE http://api.example.com/", true),
            ("-X POST -H 'X-HTTP-Method-Override: DELETE' https://api.example.com/", true),
            ("-X POST -H 'x-http-method: delete' http://api.example.com/", true),
            ("-X POST -H 'X-Method-Override: Delete' https://api.example.com/", true),
            ("-X POST -H 'X-HTTP-Method-Override: PATCH' https://api.example.com/", false),
            ("-X POST -H 'X_HTTP_Method_Override: DELETE' https://api.example.com/", true),
            ("-X delete https://api.example.com/", true),
            ("https://api.example.com/admin", true),
            ("https://api.example.com//admin/x", true),
            ("https://api.example.com/%61dmin", true),
            ("--http1.1 https://api.example.com/admin?x", true),
        ] {
            world.forget();
            let fetch = format!("curl -sS --path-as-is -w '%{{http_code}}' {words}");
            world.outside(&fetch);
            assert_eq!(world.requests().len(), 1, "control: {words}");
            world.forget();
            let outcome = world.run(lines, &fetch);
            assert_eq!(
                world.requests().len(),
                usize::from(!denied),
                "as {}: {words}: {}",
                lab.who.name,
                outcome.out()
            );
            assert_eq!(outcome.out().ends_with("403"), denied, "{words}: {}", outcome.out());
            if denied {
                let rule = outcome.events_named("denial")[0]
                    .get("rule")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                assert!(rule.contains("Agentfile:") || rule.contains('@'), "{words}: the rule is `{rule}`");
            }
        }
    });
}

#[test]
fn a_host_that_is_denied_stays_denied_under_a_wildcard() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let script = "curl -sS https://a.wild.example.com/\ncurl -sS https://b.wild.example.com/\ncurl -sS http://b.wild.example.com/";
        let outcome = world.run(
            "URL https://*.wild.example.com\nURL http://*.wild.example.com\nDENY egress b.wild.example.com",
            script,
        );
        assert_eq!(
            world.asked(),
            ["GET https://a.wild.example.com/"],
            "as {}: {}",
            lab.who.name,
            outcome.out()
        );
        assert_eq!(world.arrivals().len(), 1);
        let denied = acts(&outcome, "denial");
        assert_eq!(denied, ["connect b.wild.example.com:443", "GET http://b.wild.example.com/"]);
        let why = lab.finish_command(lab.agentrc(["why", "latest"]));
        let said = why.out() + &why.stderr;
        assert!(said.contains("DENY egress") || said.contains("Agentfile:"), "as {}: {said}", lab.who.name);
    });
}

#[test]
fn what_is_permitted_is_on_record_before_it_happens() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let fetch = "curl -sS http://api.example.com/recorded/http\ncurl -sS https://api.example.com/recorded/seen\n\
             curl -sS https://other.example.com/recorded/passed";
        let lines =
            "URL http://api.example.com\nURL https://api.example.com/recorded\nURL https://other.example.com";
        world.run(&format!("AUDIT all\n{lines}"), fetch);
        let requests = world.requests();
        let acts = [
            "GET http://api.example.com/recorded/http",
            "GET https://api.example.com/recorded/seen",
            "connect other.example.com:443",
        ];
        assert_eq!(requests.len(), acts.len(), "as {}", lab.who.name);
        for (request, act) in requests.iter().zip(acts) {
            let line = request
                .record
                .lines()
                .find(|line| line.contains("\"event\":\"network.permitted\"") && line.contains(act));
            assert!(
                line.is_some(),
                "as {}: when the server was asked, `{act}` was not in\n{}",
                lab.who.name,
                request.record
            );
        }
        // Not asked for, not recorded.
        world.forget();
        let outcome = world.run(lines, fetch);
        assert_eq!((world.requests().len(), outcome.events_named("network.permitted").len()), (3, 0));
    });
}
