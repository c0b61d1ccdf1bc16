//! Network: the gateway itself under attack. Whatever the agent does to it, it serves the rest; when it is gone, so is the run.

use std::time::Duration;

use agentrc_test_support::identity::started_as_root;
use agentrc_test_support::outcome::prompt;
use agentrc_test_support::outside::{self, Holding};
use agentrc_test_support::{World, as_each_and_without_filter, service};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

#[test]
fn a_flood_of_connections_is_outlived() {
    World::has_many_connections();
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        // Those without a place are open until the gateway has reset them: when they are, it has seen all.
        let mut child = world.start(
            "LIMIT open_files 4096\nURL tcp://api.example.com:7000\nURL http://api.example.com",
            "/usr/bin/python3 - 3<&0 <<'END'\n\
             import os, resource, socket\n\
             resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))\n\
             held = [socket.create_connection(('api.example.com', 7000)) for _ in range(2000)]\n\
             import select, time\n\
             ended = select.poll()\n\
             for one in held: ended.register(one, 0)\n\
             for attempt in range(200):\n\
             \x20   if len(ended.poll(0)) >= 2000 - 1024: break\n\
             \x20   time.sleep(0.1)\n\
             print('held', len(held), flush=True)\n\
             os.read(3, 1)\n\
             for one in held: one.close()\n\
             END\n\
             for i in $(seq 100); do curl -sS -m 20 http://api.example.com/after && break; sleep 0.2; done",
        );
        child.wait_for("held ");
        world.settled(7000, 900, Duration::from_secs(1));
        child.send("\n");
        let outcome = child.finish();
        assert!(outcome.out().contains("held 2000\n"), "as {}: {}", lab.who.name, outcome.out());
        assert!(outcome.out().ends_with("hello from /after\n"), "as {}: {}", lab.who.name, outcome.out());
        let reached = world.arrivals().len();
        assert!((900..=1025).contains(&reached), "as {}: {reached} connections got out", lab.who.name);
        let denied = outcome.events_named("denial");
        let said = denied.iter().any(|event| event.to_string().contains("connections are open already"));
        assert!(said, "as {}: {denied:?}", lab.who.name);
        outcome.expect_code(0);
    });
}

#[test]
fn who_says_nothing_keeps_nobody_waiting() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            "URL https://api.example.com\nURL http://api.example.com",
            "/usr/bin/python3 - <<'END'\n\
             import socket, subprocess\n\
             held = [socket.create_connection(('api.example.com', port)) for port in (80, 443, 53) for _ in range(100) if port != 53]\n\
             for one in held[::2]: one.send(b'\\x16')\n\
             held += [socket.create_connection(('198.18.0.1', 53)) for _ in range(100)]\n\
             for one in held[-50:]: one.send(b'\\0')\n\
             print(subprocess.run(['curl', '-sS', '-m', '10', 'https://api.example.com/after'], capture_output=True).stdout)\n\
             END",
        );
        assert_eq!(outcome.out(), "b'hello from /after\\n'\n", "as {}", lab.who.name);
        assert_eq!(world.asked(), ["GET https://api.example.com/after"]);
        assert_eq!(world.arrivals().len(), 1, "what says nothing does not leave");
    });
}

#[test]
fn when_the_gateway_is_killed_the_run_ends_within_a_second_and_the_log_says_why() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        prompt(Duration::from_secs(1), || {
            let child = world.start(
                "URL http://api.example.com",
                "curl -sS http://api.example.com/before\nsleep 60 & sleep 60",
            );
            child.wait_for("hello from /before");
            service::killed(child, "gateway")
        });
    });
}

#[test]
fn the_gateway_is_out_of_the_agents_sight_and_holds_little() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let mut child = world.start(
            "URL http://api.example.com",
            "echo started; ls /proc | grep -c '^[0-9]'; cat /proc/net/unix; read end",
        );
        child.wait_for("started");
        let gateway = outside::gateway(child.pid());
        let agent =
            outside::tree(child.pid()).into_iter().rev().find(|pid| *pid != gateway).expect("the agent");
        let (its, theirs) = (Holding::of(gateway), Holding::of(agent));
        if started_as_root() {
            for kind in ["pid", "net", "ipc", "mnt", "user"] {
                assert_ne!(
                    its.namespaces.get(kind),
                    theirs.namespaces.get(kind),
                    "as {}: {kind}",
                    lab.who.name
                );
            }
        } else {
            // It is closed to inspection, for its own user as well.
            assert!(its.namespaces.is_empty() && its.descriptors.is_empty(), "as {}: {its:?}", lab.who.name);
        }
        for (field, value) in [
            ("CapEff", "0000000000000000"),
            ("CapPrm", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
        ] {
            assert_eq!(
                its.status.get(field).map(String::as_str),
                Some(value),
                "as {}: {field}",
                lab.who.name
            );
        }
        assert_eq!(outside::most_memory(gateway), Some(service::MEMORY), "as {}", lab.who.name);
        let uid = its.status.get("Uid").and_then(|uid| uid.split_whitespace().next().map(str::to_owned));
        let expected = if lab.who.is_root() { 65534 } else { lab.who.uid };
        assert_eq!(uid, Some(expected.to_string()));
        // No name in any file system, and no abstract one: nothing to connect to but the listeners.
        let unix = child.out().lines().filter(|line| line.contains('@') || line.contains('/')).count();
        assert_eq!(unix, 0, "as {}: {}", lab.who.name, child.out());
        child.send("\n");
        child.finish().expect_code(0);
    });
}
