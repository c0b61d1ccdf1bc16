//! What the list lets out, and that everything else is EPERM and an event.
#![cfg(test)]

mod support;

use std::net::{TcpListener, UdpSocket};

use agentrc_ebpf::{Hook, Protocol, Verdict};
use support::{address, denied, events, lab, rule};

use Protocol::{Tcp, Udp};

#[test]
fn what_is_listed_is_reached_and_everything_else_is_refused_with_an_event() {
    let Some(lab) = lab() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp, udp) = (listener.local_addr().unwrap().port(), receiver.local_addr().unwrap().port());
    let mut filter = lab.filter(&[rule(Tcp, "127.0.0.1", 32, tcp), rule(Udp, "127.0.0.1", 32, udp)]);

    let allowed = [
        (format!("tcp:127.0.0.1:{tcp}"), Hook::Connect4, tcp, 0),
        (format!("tcp:__ffff_127.0.0.1:{tcp}"), Hook::Connect6, tcp, 0),
        (format!("fastopen:127.0.0.1:{tcp}"), Hook::Connect4, tcp, 0),
        (format!("udp:127.0.0.1:{udp}"), Hook::Sendmsg4, udp, 1),
        (format!("udp:__ffff_127.0.0.1:{udp}"), Hook::Sendmsg4, udp, 1),
        (format!("udpconnect:127.0.0.1:{udp}"), Hook::Connect4, udp, 1),
        (format!("udp4on6:127.0.0.1:{udp}"), Hook::Sendmsg4, udp, 1),
        (format!("unspecfamily:127.0.0.1:{udp}"), Hook::Sendmsg4, udp, 1),
    ];
    for (act, hook, port, rule) in &allowed {
        assert_eq!(lab.attempt(&[act]), ["ok"], "{act}");
        let seen = events(&mut filter);
        let [event] = seen.as_slice() else { panic!("{act}: {seen:?}") };
        assert_eq!(event.verdict, Verdict::Allowed { rule: *rule }, "{act}");
        assert_eq!((event.hook, event.destination), (*hook, address(&format!("127.0.0.1:{port}"))), "{act}");
    }

    let refused = [
        ("tcp:127.0.0.1:{udp}", Hook::Connect4, "127.0.0.1:{udp}", 6),
        ("tcp:127.0.0.2:{tcp}", Hook::Connect4, "127.0.0.2:{tcp}", 6),
        ("tcp:__1:{tcp}", Hook::Connect6, "[::1]:{tcp}", 6),
        ("tcp:__ffff_127.0.0.2:{tcp}", Hook::Connect6, "127.0.0.2:{tcp}", 6),
        // What IPv6 calls "compatible" is not mapped: it is an IPv6 address, and not on the list.
        ("tcp:__127.0.0.1:{tcp}", Hook::Connect6, "[::127.0.0.1]:{tcp}", 6),
        ("fastopen:127.0.0.2:{tcp}", Hook::Connect4, "127.0.0.2:{tcp}", 6),
        ("fastopen:__1:{tcp}", Hook::Connect6, "[::1]:{tcp}", 6),
        ("udp:127.0.0.1:{tcp}", Hook::Sendmsg4, "127.0.0.1:{tcp}", 17),
        ("udp:__1:{udp}", Hook::Sendmsg6, "[::1]:{udp}", 17),
        ("udp:__ffff_127.0.0.2:{udp}", Hook::Sendmsg4, "127.0.0.2:{udp}", 17),
        ("udpconnect:127.0.0.2:{udp}", Hook::Connect4, "127.0.0.2:{udp}", 17),
        ("udpconnect:__1:{udp}", Hook::Connect6, "[::1]:{udp}", 17),
        ("udpconnect:__ffff_127.0.0.2:{udp}", Hook::Connect6, "127.0.0.2:{udp}", 17),
        ("udp4on6:127.0.0.2:{udp}", Hook::Sendmsg4, "127.0.0.2:{udp}", 17),
        ("connect4on6:127.0.0.2:{udp}", Hook::Connect4, "127.0.0.2:{udp}", 17),
        ("unspecfamily:127.0.0.2:{udp}", Hook::Sendmsg4, "127.0.0.2:{udp}", 17),
        ("sendmmsg:127.0.0.2:{udp}", Hook::Sendmsg4, "127.0.0.2:{udp}", 17),
        ("reconnect:127.0.0.2:{udp}", Hook::Connect4, "127.0.0.2:{udp}", 17),
        ("named:127.0.0.2:{udp}", Hook::Sendmsg4, "127.0.0.2:{udp}", 17),
        // 1.1.1.1: no packet may leave, and none does: the answer is the filter's.
        ("tcp:1.1.1.1:443", Hook::Connect4, "1.1.1.1:443", 6),
        ("udp:1.1.1.1:53", Hook::Sendmsg4, "1.1.1.1:53", 17),
    ];
    let ports = |text: &str| text.replace("{tcp}", &tcp.to_string()).replace("{udp}", &udp.to_string());
    for (act, hook, destination, protocol) in refused {
        let act = ports(act);
        let mut command = lab.command(&[&act]);
        let child = command
            .env("FIRST", format!("127.0.0.1:{udp}"))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = child.id();
        assert_eq!(support::answers(&child.wait_with_output().unwrap()), ["EPERM"], "{act}");
        let seen = events(&mut filter);
        assert_eq!(denied(&seen), [(hook, address(&ports(destination)), protocol)], "{act}");
        let event = seen.last().unwrap();
        assert_eq!(
            (event.process, event.thread, event.verdict),
            (Some(process), Some(process), Verdict::NotListed)
        );
        assert!(event.comm.starts_with("python3"), "{}", event.comm);
    }
    // Outside of the cgroup all this is nobody's business.
    assert_eq!(
        support::outside(&[&format!("tcp:127.0.0.1:{tcp}"), &format!("udp:127.0.0.2:{udp}")]),
        ["ok", "ok"]
    );
    assert_eq!(events(&mut filter), []);
    let counters = filter.counters().unwrap();
    // `reconnect` and `named` were let to their first destination.
    assert_eq!(
        (counters.allowed, counters.denied, counters.lost),
        (allowed.len() as u64 + 2, refused.len() as u64, 0)
    );
}

#[test]
fn sockets_that_are_neither_tcp_nor_udp_cannot_be_made() {
    let Some(lab) = lab() else { return };
    let mut filter = lab.filter(&[rule(Tcp, "0.0.0.0", 0, None), rule(Udp, "0.0.0.0", 0, None)]);
    let kinds = [
        ("raw", 6),
        ("raw6", 17),
        ("ping", 1),
        ("ping6", 58),
        ("mptcp", 262),
        ("udplite", 136),
        ("sctp", 132),
    ];
    for (act, protocol) in kinds {
        // Without the filter the kernel makes it, or has no such protocol, which it looks for before it asks the filter.
        let without = support::outside_apart(&[act]);
        let with = lab.attempt_apart(&[act]);
        let seen = denied(&events(&mut filter));
        if without == ["ok"] {
            assert_eq!(with, ["EPERM"], "{act}");
            assert_eq!(seen, [(Hook::SockCreate, None, protocol)], "{act}");
        } else {
            assert!(matches!(act, "mptcp" | "udplite" | "sctp"), "{act}: {without:?}");
            assert_eq!(
                (without, with),
                (vec!["EPROTONOSUPPORT".to_owned()], vec!["EPROTONOSUPPORT".to_owned()])
            );
        }
    }
    assert_eq!(lab.attempt(&["unix"]), ["ok"]);
}

#[test]
fn the_empty_list_lets_nothing_out() {
    let Some(lab) = lab() else { return };
    let mut filter = lab.filter(&[]);
    let acts = [
        "tcp:127.0.0.1:1",
        "tcp:__1:1",
        "udp:127.0.0.1:1",
        "udp:__1:1",
        "udpconnect:127.0.0.1:1",
        "tcp:127.0.0.1:0",
    ];
    assert_eq!(lab.attempt(&acts), ["EPERM"; 6]);
    assert_eq!(denied(&events(&mut filter)).len(), 6);
    let counters = filter.counters().unwrap();
    assert_eq!((counters.allowed, counters.denied, counters.bytes_out), (0, 6, 0));
}

#[test]
fn a_prefix_covers_its_addresses_and_none_beside() {
    let Some(lab) = lab() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut filter = lab.filter(&[
        rule(Tcp, "127.0.0.0", 30, port),
        rule(Udp, "127.8.0.0", 13, None),
        rule(Udp, "::", 96, 9),
        // More specific, of another port: it must not hide the shorter prefix of this one.
        rule(Tcp, "127.0.0.1", 32, 1),
        // The same again: events name the first.
        rule(Tcp, "127.0.0.0", 30, port),
    ]);
    let answers = lab.attempt(&[
        &format!("tcp:127.0.0.1:{port}"),
        &format!("tcp:127.0.0.3:{port}"),
        &format!("tcp:127.0.0.4:{port}"),
        "tcp:127.0.0.1:1",
        "tcp:127.0.0.2:1",
        "udp:127.8.0.0:1",
        "udp:127.15.255.255:65535",
        "udp:127.16.0.0:1",
        "udp:127.7.255.255:1",
        "udp:__1:9",
        "udp:__1:10",
        // IPv6's prefix beside the mapped addresses has nothing to say about IPv4.
        "udp:__ffff_127.0.0.1:9",
        "udp:127.0.0.1:9",
    ]);
    let refused = "ECONNREFUSED";
    assert_eq!(
        answers,
        [
            "ok", refused, "EPERM", refused, "EPERM", "ok", "ok", "EPERM", "EPERM", "ok", "EPERM", "EPERM",
            "EPERM"
        ]
    );
    let first = events(&mut filter).into_iter().next().unwrap();
    assert_eq!(first.verdict, Verdict::Allowed { rule: 0 });
    assert_eq!(filter.read_back().unwrap()["rules"], "4");
}

#[test]
fn the_unspecified_address_is_never_let_out() {
    let Some(lab) = lab() else { return };
    let listener =
        TcpListener::bind("0.0.0.0:0").unwrap_or_else(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let mut filter = lab.filter(&[
        rule(Tcp, "0.0.0.0", 0, None),
        rule(Tcp, "::", 96, None),
        rule(Udp, "0.0.0.0", 0, None),
        rule(Udp, "::", 96, None),
    ]);
    let (tcp4, tcp6) = (format!("tcp:0.0.0.0:{port}"), format!("tcp:__:{port}"));
    let acts = [&tcp4, &tcp6, "udp:0.0.0.0:9", "udp:__:9", "udp:__ffff_0.0.0.0:9"];
    assert_eq!(lab.attempt(&acts), ["EPERM"; 5]);
    let seen = events(&mut filter);
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|event| event.verdict == Verdict::Unspecified), "{seen:?}");
}
