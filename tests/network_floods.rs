//! Network: floods, of the agent's and of servers. The gateway stays alive and small, serves who asks afterwards, and the run ends as the
//! agent ends it. (`shared/attacks.md`, "Network".)

#![allow(clippy::expect_used)]

use std::time::Duration;

use agentrc_test_support::flood::Flood;
use agentrc_test_support::frames::python;
use agentrc_test_support::{Lab, Outcome, World, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

const LINES: &str = "URL http://api.example.com\nURL https://api.example.com/v1\nURL http://other.example.com\n\
    URL http://api.example.com:4445\nURL http://api.example.com:8081\nURL tcp://api.example.com:7000";

/// What one flood over one connection may cost, in KiB: a hundred times what the connection may hold, and the allocator's.
const ONE: u64 = 16 * 1024;
/// Descriptors of a gateway that takes 40 connections (`gateway.rs`: 64 of its own, 6 for each).
const FEW: u64 = 64 + 6 * 40;

/// A flood without a lower limit.
#[track_caller]
fn outlived(lab: &Lab, world: &World<'_>, most: u64, script: &str) -> Outcome {
    world.forget();
    Flood { lines: LINES, script, most, descriptors: None }.outlived(lab, world)
}

/// How often these words are a reason of a denial, repetitions counted.
fn denied(outcome: &Outcome, words: &str) -> u64 {
    let denials = outcome.events_named("denial").into_iter();
    let told =
        denials.filter(|event| event.get("reason").is_some_and(|reason| reason.to_string().contains(words)));
    told.map(|event| event.get("count").and_then(serde_json::Value::as_u64).unwrap_or(1)).sum()
}

/// Python that sends many frames over one connection, as long as that lasts, and prints what came of the first stream.
fn frames(flood: &str) -> String {
    let send = "def flooded(one, more, most):\n\
        \x20   sent = 0\n\
        \x20   one.settimeout(2)\n\
        \x20   try:\n\
        \x20       for number in range(most):\n\
        \x20           bytes = more(number)\n\
        \x20           one.sendall(bytes)\n\
        \x20           sent += len(bytes)\n\
        \x20   except OSError: pass\n\
        \x20   return sent, fate(one, wait=2)\n";
    python(80, &format!("{send}{flood}"))
}

#[test]
fn connections_to_servers_count_among_all_connections() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        // 4 connections with 32 requests each, to a server of HTTP/1 that does not answer: 36 places are left for them.
        // All four are served before the first request: one that begins when many are open may have fewer.
        let script = python(
            4445,
            "all = [start() for _ in range(4)]\n\
             for one in all: one.recv(1, socket.MSG_PEEK)\n\
             for one in all:\n\
             \x20   for n in range(32): one.sendall(frame(HEADERS, 5, 2 * n + 1, block(*get('/v1/held', 'api.example.com:4445'))))\n\
             WORDS = b'agentrc: GET http://api.example.com:4445/v1/held is denied: 40 connections'\n\
             def told(seen): return sum(body.startswith(WORDS) for body in seen.values())\n\
             seen = gather(all, 20, lambda seen: told(seen) >= 128 - 36)\n\
             print('told', told(seen), flush=True)",
        );
        let outcome =
            Flood { lines: LINES, script: &script, most: ONE, descriptors: Some(FEW) }.outlived(lab, &world);
        let reached = world.arrivals().iter().filter(|one| one.port == 4445).count();
        assert_eq!(reached, 36, "as {}: {}", lab.who.name, outcome.out());
        assert!(outcome.out().contains("told 92\n"), "as {}: {}", lab.who.name, outcome.out());
        assert_eq!(denied(&outcome, "40 connections are open already"), 92, "as {}", lab.who.name);
        let denial = outcome.denial_of("GET http://api.example.com:4445/v1/held");
        assert_eq!(denial.get("verdict").and_then(serde_json::Value::as_str), Some("503"));
    });
}

/// The widest that the agent can make it: connections of HTTP/2 with as many requests each as they may have, each of which takes a
/// connection to a server of HTTP/1, whose large answers nobody reads.
#[test]
fn many_connections_with_many_requests_take_little_memory() {
    World::has_many_connections();
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for (windows, most, wait) in [
            // The agent lets nothing but heads be sent: what a thousand connections hold anyway, some tens of KiB each.
            ("b''", 80, "gather(all, 40, lambda seen: len(seen) >= 60 * 32)"),
            // It lets everything be sent, and does not read: 64 KiB more for each answer.
            (
                "frame(SETTINGS, 0, 0, b'\\0\\4\\x7f\\xff\\xff\\xff') + frame(8, 0, 0, b'\\x7f\\0\\0\\0')",
                144,
                "import os\nprint('holding', flush=True)\nos.read(3, 3)",
            ),
        ] {
            let script = python(
                8081,
                &format!(
                    "all = [start() for _ in range(60)]\n\
                     for one in all:\n\
                     \x20   one.sendall({windows})\n\
                     \x20   for n in range(32): one.sendall(frame(HEADERS, 5, 2 * n + 1, block(*get('/noise?262144', 'api.example.com:8081'))))\n\
                     {wait}"
                ),
            );
            world.forget();
            let flood = Flood { lines: LINES, script: &script, most: most * 1024, descriptors: None };
            flood.outlived_once(lab, &world, || world.settled(8081, 8 * 60, Duration::from_secs(3)));
            let reached = world.arrivals().iter().filter(|one| one.port == 8081).count();
            // A connection that begins when many are open has 8 requests at a time and not 32; how many are depends on what the
            // gateway sees first, all connections or the first one's requests.
            assert!((8 * 60..=1024 - 60).contains(&reached), "as {}: {reached}", lab.who.name);
        }
    });
}

#[test]
fn more_connections_than_there_may_be_are_outlived() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        // Opaque ones, heads that come a byte at a time, and TLS that does not begin; all held until the last is there. Those without
        // a place are open until the gateway has accepted and reset them.
        let script = "/usr/bin/python3 - <<'END'\n\
            import socket\n\
            held = []\n\
            for n in range(120):\n\
            \x20   try: one = socket.create_connection(('api.example.com', (7000, 80, 443)[n % 3]))\n\
            \x20   except OSError: continue\n\
            \x20   held.append(one)\n\
            for byte in b'GET /v1/slow HTTP/1.1':\n\
            \x20   for one in held:\n\
            \x20       try: one.send(bytes([byte]))\n\
            \x20       except OSError: pass\n\
            def over(one):\n\
            \x20   one.settimeout(0.001)\n\
            \x20   try: return one.recv(1) == b''\n\
            \x20   except TimeoutError: return False\n\
            \x20   except OSError: return True\n\
            import time\n\
            for attempt in range(200):\n\
            \x20   left = sum(not over(one) for one in held)\n\
            \x20   if left <= 40: break\n\
            \x20   time.sleep(0.1)\n\
            print('open', left, flush=True)\n\
            END";
        let flood = Flood { lines: LINES, script, most: ONE, descriptors: Some(FEW) };
        let outcome = flood.outlived(lab, &world);
        let open = outcome.out().lines().find_map(|line| line.strip_prefix("open ")?.parse::<usize>().ok());
        // Those to port 443 are none of TLS, and ended for it: their places are taken again.
        assert!(open.is_some_and(|open| (1..=40).contains(&open)), "as {}: {}", lab.who.name, outcome.out());
        assert!(denied(&outcome, "40 connections are open already") > 0, "as {}", lab.who.name);
        assert!(!world.asked().iter().any(|one| one.contains("slow")), "as {}", lab.who.name);
    });
}

#[test]
fn heads_without_end_are_cut_off() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for more in ["b'X-More: ' + b'y' * 4000 + b'\\r\\n'", "b'X: y\\r\\n'", "b'y' * 4000"] {
            let script = format!(
                "/usr/bin/python3 - <<'END'\n\
                 import socket\n\
                 ends = []\n\
                 for _ in range(50):\n\
                 \x20   one = socket.create_connection(('api.example.com', 80))\n\
                 \x20   one.settimeout(5)\n\
                 \x20   sent, more = 0, {more}\n\
                 \x20   more *= 65536 // len(more)\n\
                 \x20   try:\n\
                 \x20       one.sendall(b'GET /v1/large HTTP/1.1\\r\\nHost: api.example.com\\r\\nX: ')\n\
                 \x20       while sent < 16 << 20: one.sendall(more); sent += len(more)\n\
                 \x20   except OSError: pass\n\
                 \x20   ends.append(sent)\n\
                 print('most', max(ends), flush=True)\n\
                 END"
            );
            let outcome = outlived(lab, &world, ONE, &script);
            let sent = outcome.out().lines().find_map(|line| line.strip_prefix("most ")?.parse::<u64>().ok());
            assert!(
                sent.is_some_and(|sent| sent < 16 << 20),
                "as {}: {more}: {}",
                lab.who.name,
                outcome.out()
            );
            assert_eq!(world.asked().len(), 2, "as {}: {more}: {:?}", lab.who.name, world.asked());
        }
    });
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
            let outcome = outlived(lab, &world, ONE, &frames(flood));
            assert!(!outcome.out().contains("answered"), "as {}: {flood}: {}", lab.who.name, outcome.out());
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
            let outcome = outlived(lab, &world, ONE, &frames(flood));
            let reached = world.requests().len();
            assert!(
                reached <= 2 + 1100,
                "as {}: {flood}: {reached} requests got out: {}",
                lab.who.name,
                outcome.out()
            );
        }
    });
}

#[test]
fn a_server_that_never_ends_is_left() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for (port, scheme) in
            (9001..=9006).map(|port| (port, "https")).chain([(9007, "http"), (9008, "http")])
        {
            world.forget();
            let lines = format!("URL http://api.example.com\nURL {scheme}://api.example.com:{port}/v1");
            let url = format!("{scheme}://api.example.com:{port}/v1/endless");
            // Several at a time, by both versions, and left when all have been there for a while.
            let script = format!(
                "for n in 1 2 3 4; do curl -sS -m 50 --http1.1 -o /scratch/$n {url} & all=\"$all $!\"; done\n\
                 for n in 5 6 7 8; do curl -sS -m 50 --http2 -o /scratch/$n {url} & all=\"$all $!\"; done\n\
                 echo holding; read on <&3; kill $all; wait"
            );
            let flood = Flood { lines: &lines, script: &script, most: ONE, descriptors: None };
            flood.outlived_once(lab, &world, || world.settled(port, 8, Duration::from_secs(3)));
            let reached = world.arrivals().iter().filter(|one| one.port == port).count();
            assert!(reached >= 8, "as {}: {port}: the server was asked {reached} times", lab.who.name);
        }
    });
}

#[test]
fn a_flood_of_questions_is_answered_or_dropped() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let script = "/usr/bin/python3 - <<'END'\n\
            import os, socket, struct\n\
            def question(name):\n\
            \x20   labels = b''.join(bytes([len(one)]) + one for one in name.split(b'.'))\n\
            \x20   return struct.pack('>6H', 7, 0x100, 1, 0, 0, 0) + labels + b'\\0' + struct.pack('>2H', 1, 1)\n\
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
            one.connect(('198.18.0.1', 53))\n\
            for n in range(30000):\n\
            \x20   one.send(question(b'n%d.evil.example.org' % n))\n\
            \x20   one.send(os.urandom(64))\n\
            \x20   one.send(question(b'api.example.com')[:20])\n\
            # Streams of questions whose answers nobody reads.\n\
            for _ in range(20):\n\
            \x20   one = socket.create_connection(('198.18.0.1', 53))\n\
            \x20   one.settimeout(0.2)\n\
            \x20   asked = question(b'api.example.com')\n\
            \x20   try:\n\
            \x20       for _ in range(200): one.sendall((struct.pack('>H', len(asked)) + asked) * 100)\n\
            \x20   except OSError: pass\n\
            print('asked', n, flush=True)\n\
            END";
        let outcome = outlived(lab, &world, ONE, script);
        assert!(outcome.out().contains("asked 29999\n"), "as {}: {}", lab.who.name, outcome.out());
        assert!(denied(&outcome, "no line declares") > 0, "as {}", lab.who.name);
        assert!(denied(&outcome, "it is malformed") > 0, "as {}", lab.who.name);
    });
}
