//! Network: without a `URL` line there is none. (`shared/attacks.md`, "Network"; what is declared comes with the gateway.)

use std::fs;

use agentrc_test_support::listener::Listener;
use agentrc_test_support::{Attempt, Control, Lab, Sign, as_each_and_without_filter, withstand};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn addresses() -> Vec<String> {
    // Those of the host's own interfaces, the loopback among them.
    let mut found = vec!["127.0.0.1".to_owned()];
    let trie = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut last = "";
    for line in trie.lines() {
        if line.contains("host LOCAL") && !last.starts_with("127.") && !found.iter().any(|a| a == last) {
            found.push(last.to_owned());
        }
        last = line.trim().trim_start_matches("|-- ").split(' ').next().unwrap_or_default();
    }
    found.retain(|address| address.parse::<std::net::Ipv4Addr>().is_ok());
    found
}

#[test]
fn services_of_the_host_cannot_be_reached() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let tcp = Listener::tcp("0.0.0.0");
        let udp = Listener::udp("0.0.0.0");
        let has_v6 = fs::metadata("/proc/net/if_inet6").is_ok();
        let tcp6 = has_v6.then(|| Listener::tcp("::1"));
        let mut attempts = Vec::new();
        for address in addresses() {
            for act in ["tcp", "tcp-fastopen", "mptcp"] {
                attempts.push(Attempt::new(
                    format!("{act} {address}"),
                    format!("{act} {address} {}", tcp.port),
                    Sign::Host(Box::new(|| tcp.reached().to_string())),
                    Control::Host,
                ));
            }
            for act in ["udp", "udp-connected", "udp-sendmmsg"] {
                attempts.push(Attempt::new(
                    format!("{act} {address}"),
                    format!("{act} {address} {}", udp.port),
                    Sign::Host(Box::new(|| udp.reached().to_string())),
                    Control::Host,
                ));
            }
        }
        for address in ["0.0.0.0", "127.0.0.2", "::ffff:127.0.0.1"] {
            if address.contains(':') && !has_v6 {
                continue;
            }
            attempts.push(Attempt::new(
                format!("tcp {address}"),
                format!("tcp {address} {}", tcp.port),
                Sign::Host(Box::new(|| tcp.reached().to_string())),
                Control::Host,
            ));
        }
        if let Some(tcp6) = &tcp6 {
            attempts.push(Attempt::new(
                "tcp ::1",
                format!("tcp ::1 {}", tcp6.port),
                Sign::Host(Box::new(|| tcp6.reached().to_string())),
                Control::Host,
            ));
        }
        withstand(lab, "AGENT network", &attempts);
    });
}

#[test]
fn nothing_can_be_sent_anywhere_and_it_fails_at_once() {
    as_each_and_without_filter(AGENTRC, |lab| {
        // Nobody on this machine can be a control for addresses elsewhere: they are not to be reached from here at all.
        let elsewhere = || Control::None("no packet is to leave the machine of the tests");
        let attempts: Vec<_> = [
            "tcp 169.254.169.254 80",
            "tcp 100.100.100.200 80",
            "tcp 10.0.0.1 443",
            "tcp 192.168.0.1 80",
            "tcp 172.16.0.1 22",
            "tcp 8.8.8.8 53",
            "udp 8.8.8.8 53",
            "udp 1.1.1.1 443",
            "udp 224.0.0.251 5353",
            "udp 255.255.255.255 67",
            "tcp fd00:ec2::254 80",
            "tcp 2001:4860:4860::8888 53",
            "udp ff02::fb 5353",
            "tcp 64:ff9b::a9fe:a9fe 80",
            "tcp 2002:a9fe:a9fe::1 80",
            "tcp fe80::1 80",
        ]
        .into_iter()
        .map(|line| Attempt::new(line, line, Sign::Value, elsewhere()))
        .collect();
        withstand(lab, "AGENT network", &attempts);
    });
}

#[test]
fn the_network_namespace_is_empty_and_cannot_be_configured() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let mut sandbox = lab.attack("AGENT network");
        let devices = sandbox.act("read /proc/net/dev").text();
        let names: Vec<_> = devices
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.trim().to_owned())
            .collect();
        assert!(names.iter().all(|name| name == "lo"), "as {}: {names:?}", lab.who.name);
        let host = fs::read_link("/proc/self/ns/net").expect("network namespace");
        let inside = sandbox.at_start.namespaces.get("net").cloned();
        assert_ne!(inside.as_deref(), host.to_str(), "as {}", lab.who.name);
        let failures = agentrc_test_support::attempt::in_session(
            lab,
            &mut sandbox,
            &[Attempt::new("bring an interface up", "netlink-link-up", Sign::Value, Control::OwnNamespaces)],
        );
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}: {failures:?}", lab.who.name);
    });
}

#[test]
fn a_socket_of_the_caller_is_not_passed_on() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let service = Listener::tcp("127.0.0.1");
        lab.attacker(lab.project("attack"));
        // A shell that has a connection open as descriptor 7, as a caller started by a service has.
        let shell = |lab: &Lab, program: &str| {
            let mut command = lab.command("/bin/bash");
            command.args(["-c", &format!("exec 7<>/dev/tcp/127.0.0.1/{}; exec {program}", service.port)]);
            agentrc_test_support::Session::start(lab, command)
        };
        let control = shell(lab, &format!("{} serve", lab.attacker(lab.path("attack")).display()));
        assert!(
            control.at_start.descriptors.get(&7).is_some_and(|link| link.starts_with("socket:")),
            "positive control"
        );
        control.end();
        let agentfile = lab.agentfile("AGENT inherited\nCMD ./attack serve\n");
        let inside = shell(lab, &format!("{} run {}", lab.binary().display(), agentfile.display()));
        assert!(
            inside.at_start.descriptors.values().all(|link| !link.starts_with("socket:")),
            "as {}: {:?}",
            lab.who.name,
            inside.at_start.descriptors
        );
        inside.end().expect_code(0);
    });
}
