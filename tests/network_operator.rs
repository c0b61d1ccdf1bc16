//! Network: what the operator of a host says of it (`docs/configuration.md`). Names that may lead to private addresses, and the
//! host's own way out, an HTTP proxy, of which nothing is seen inside.

use agentrc_test_support::{Child, Lab, Outcome, World, as_each, as_each_and_without_filter};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn configure(lab: &Lab, network: &str) {
    lab.file(lab.path("home/.config/agentrc/agentrc.toml"), format!("[network]\n{network}\n"));
}

fn reason(outcome: &Outcome, act: &str) -> String {
    outcome.denial_of(act).get("reason").and_then(Value::as_str).unwrap_or_default().to_owned()
}

const EVERY_WAY: &str = "curl -sS http://private.example.com/plain\ncurl -sS https://private.example.com/passed\n\
    curl -sS https://private.example.com:8443/seen\n\
    /usr/bin/python3 -c 'import socket; s = socket.create_connection((\"private.example.com\", 7000)); s.send(b\"back\"); s.shutdown(1); print(s.recv(9))'";
const EVERY_LINE: &str = "URL http://private.example.com\nURL https://private.example.com\n\
    URL https://private.example.com:8443/seen\nURL tcp://private.example.com:7000";

#[test]
fn a_name_leads_to_a_private_address_only_where_the_operator_lets_it() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let refused = world.run(EVERY_LINE, EVERY_WAY);
        assert!(world.arrivals().is_empty(), "as {}: {:?}", lab.who.name, world.arrivals());
        for act in [
            "GET http://private.example.com/plain",
            "connect private.example.com:443",
            "GET https://private.example.com:8443/seen",
            "connect private.example.com:7000",
        ] {
            assert!(reason(&refused, act).contains("leads to 10.0.0.9"), "as {}: {act}", lab.who.name);
        }
        configure(lab, "private = [\"private.example.com\"]");
        let granted = world.run(EVERY_LINE, EVERY_WAY);
        assert_eq!(
            granted.out(),
            "hello from /plain\nhello from /passed\nhello from /seen\nb'back'\n",
            "as {}",
            lab.who.name
        );
        let at: Vec<_> = world.arrivals().iter().filter_map(|one| one.at).map(|at| at.to_string()).collect();
        assert_eq!(at, ["10.0.0.9"; 4], "as {}", lab.who.name);
        // Whoever reads the log sees what was let through.
        let armed = granted.events.first().map(ToString::to_string).unwrap_or_default();
        assert!(armed.contains("private.example.com"), "as {}: {armed}", lab.who.name);
    });
}

#[test]
fn a_private_name_that_is_let_through_is_no_other_name_and_no_undeclared_one() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        configure(lab, "private = [\"*.corp.example\"]");
        let outcome = world.run(
            "URL http://internal.corp.example\nURL http://home.example.com\nURL http://metadata.example.com",
            "curl -sS http://internal.corp.example/in\ncurl -sS http://home.example.com/\n\
             curl -sS http://metadata.example.com/\ncurl -sS http://private.example.com/\ncurl -sS http://10.0.0.9/\n\
             curl -sS http://internal.corp.example:8081/",
        );
        assert_eq!(
            world.asked(),
            ["GET http://internal.corp.example/in"],
            "as {}: {}",
            lab.who.name,
            outcome.out()
        );
        assert_eq!(world.arrivals().len(), 1);
        for act in ["GET http://home.example.com/", "GET http://metadata.example.com/"] {
            assert!(reason(&outcome, act).contains("leads to"), "as {}: {act}", lab.who.name);
        }
        outcome.denial_of("resolve private.example.com");
    });
}

/// A proxy of HTTP (RFC 9110, section 9.3.6) on the host's loopback, which knows one name more than the host's resolver does.
/// It says whom it was asked for, and how the requests' first bytes look.
const PROXY: &str = r#"
import socket, sys, threading
ANSWERS = {"refused.example.com": b"HTTP/1.1 403 Forbidden by the proxy\r\nContent-Length: 0\r\n\r\n", "odd.example.com": b"SSH-2.0-x\r\n\r\n",
           "endless.example.com": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 4000, "gone.example.com": b""}
def pump(one, other):
    try:
        while some := one.recv(65536): other.sendall(some)
        other.shutdown(socket.SHUT_WR)
    except OSError: pass
def serve(client):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        some = client.recv(1)
        if not some: return
        head += some
    print(head.split(b"\r\n")[0].decode(), flush=True)
    host, port = head.split()[1].decode().rsplit(":", 1)
    if host in ANSWERS:
        client.sendall(ANSWERS[host])
        return client.close()
    address = "93.184.216.34" if host == "known.to.the.proxy.example" else host.strip("[]")
    try: server = socket.create_connection((address, int(port)))
    except OSError: return client.close()
    client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    pump(server, client)
listener = socket.create_server(("127.0.0.1", 3128))
print("ready", flush=True)
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

/// Starts it in the world.
fn proxy(lab: &Lab) -> Child {
    let mut python = lab.command("/usr/bin/python3");
    python.args(["-c", PROXY]);
    let proxy = Child::start(lab, python);
    proxy.wait_for("ready\n");
    configure(lab, "proxy = \"http://localhost:3128\"");
    proxy
}

fn end(proxy: Child) -> Vec<String> {
    proxy.signal(rustix::process::Signal::TERM);
    proxy.finish().out().lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn everything_goes_through_the_hosts_proxy_and_inside_nobody_sees_it() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let proxy = proxy(lab);
        let outcome = world.run(
            "URL http://api.example.com\nURL https://api.example.com\nURL https://other.example.com:8443/v1\n\
             URL tcp://www.example.com:7000\nURL http://known.to.the.proxy.example\nURL http://[2606:2800:220:1::1]:8081",
            "curl -sS http://api.example.com/plain\ncurl -sS https://api.example.com/passed\n\
             curl -sS https://other.example.com:8443/v1/seen\ncurl -sS http://known.to.the.proxy.example/known\n\
             curl -sS 'http://[2606:2800:220:1::1]:8081/six'\n\
             /usr/bin/python3 -c 'import socket; s = socket.create_connection((\"www.example.com\", 7000)); s.send(b\"back\"); s.shutdown(1); print(s.recv(9))'\n\
             env | grep -i proxy; curl -sS -m 3 http://127.0.0.1:3128/ || echo unseen",
        );
        outcome.expect_code(0);
        let out = outcome.out();
        assert!(
            out.starts_with(
                "hello from /plain\nhello from /passed\nhello from /v1/seen\nhello from /known\nhello from /six\nb'back'\n"
            ),
            "as {}: {out}",
            lab.who.name
        );
        assert!(out.ends_with("unseen\n") && !out.to_lowercase().contains("_proxy"), "{out}");
        let asked = end(proxy);
        assert_eq!(
            asked,
            [
                "CONNECT api.example.com:80 HTTP/1.1",
                "CONNECT api.example.com:443 HTTP/1.1",
                "CONNECT other.example.com:8443 HTTP/1.1",
                "CONNECT known.to.the.proxy.example:80 HTTP/1.1",
                "CONNECT [2606:2800:220:1::1]:8081 HTTP/1.1",
                "CONNECT www.example.com:7000 HTTP/1.1",
            ],
            "as {}",
            lab.who.name
        );
        assert_eq!(world.arrivals().len(), asked.len(), "none went past it");
        let seen = world.requests().into_iter().find(|one| one.target == "/v1/seen").expect("the request");
        assert_eq!((seen.scheme, seen.server_name.as_deref()), ("https", Some("other.example.com")));
    });
}

#[test]
fn what_is_denied_is_not_asked_of_the_proxy() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let proxy = proxy(lab);
        let outcome = world.run(
            "URL https://api.example.com/v1\nURL https://*.wild.example.com\nURL http://api.example.com\nDENY egress b.wild.example.com",
            "curl -sS https://api.example.com/secret\ncurl -sS https://b.wild.example.com/\ncurl -sS http://evil.example.org/\n\
             curl -sS -H 'Host: evil.example.org' http://api.example.com/",
        );
        let asked = end(proxy);
        assert!(asked.is_empty(), "as {}: {asked:?}", lab.who.name);
        assert!(world.arrivals().is_empty());
        for act in [
            "GET https://api.example.com/secret",
            "connect b.wild.example.com:443",
            "resolve evil.example.org",
            "GET http://api.example.com/",
        ] {
            outcome.denial_of(act);
        }
    });
}

#[test]
fn a_proxy_that_does_not_connect_is_no_way_and_nothing_goes_past_it() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let names = ["refused.example.com", "odd.example.com", "endless.example.com", "gone.example.com"];
        // They can be reached without it.
        let text = names.join(" ");
        world.names(&[("93.184.216.34", &text)]);
        let proxy = proxy(lab);
        let lines: String =
            names.iter().map(|name| format!("URL http://{name}\nURL https://{name}\n")).collect();
        let fetch: String = names
            .iter()
            .map(|name| format!("curl -sS -m 20 http://{name}/\ncurl -sS -k -m 20 https://{name}/\n"))
            .collect();
        world.outside(&fetch);
        assert_eq!(world.arrivals().len(), 2 * names.len(), "control");
        world.forget();
        let outcome = world.run(&lines, &format!("{fetch}echo went on"));
        assert!(world.arrivals().is_empty(), "as {}: {:?}", lab.who.name, world.arrivals());
        let out = outcome.out();
        assert!(out.contains("403 Forbidden by the proxy") && out.ends_with("went on\n"), "{out}");
        assert_eq!(end(proxy).len(), 2 * names.len(), "as {}: {out}", lab.who.name);
        // Nor when it is gone altogether.
        let outcome = world.run(&lines, &format!("{fetch}echo went on"));
        assert!(world.arrivals().is_empty(), "as {}: {:?}", lab.who.name, world.arrivals());
        assert!(outcome.out().ends_with("went on\n"), "{}", outcome.out());
    });
}
