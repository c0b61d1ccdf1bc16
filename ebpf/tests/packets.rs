//! The backstop behind the list, and the bytes; in network namespaces of the tests' own.
#![cfg(test)]

mod support;

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::Stdio;

use agentrc_ebpf::{Hook, Protocol, Verdict};
use support::{denied, events, lab, rule};

use Protocol::{Tcp, Udp};

#[test]
fn what_is_listed_flows_in_both_directions_and_is_counted() {
    let Some(lab) = lab() else { return };
    let filter = lab.filter(&[rule(Tcp, "127.0.0.0", 8, None), rule(Tcp, "::1", 128, None)]);
    assert_eq!(lab.attempt_apart(&["pair:127.0.0.1:7000", "pair:__1:7000"]), ["ok", "ok"]);
    let counters = filter.counters().unwrap();
    assert_eq!((counters.allowed, counters.denied, counters.lost), (2, 0, 0));
    for bytes in [counters.bytes_out, counters.bytes_in] {
        assert!((400_000..600_000).contains(&bytes), "twice 100 000 bytes each way: {bytes}");
    }
}

#[test]
fn datagrams_larger_than_the_device_takes_pass() {
    let Some(lab) = lab() else { return };
    let mut filter = lab.filter(&[rule(Udp, "127.0.0.1", 32, 7000), rule(Udp, "::1", 128, 7000)]);
    assert_eq!(lab.attempt_apart(&["large:127.0.0.1:7000", "large:__1:7000"]), ["ok", "ok"]);
    assert_eq!(denied(&events(&mut filter)), []);
}

#[test]
fn a_source_route_does_not_lead_beside_the_list() {
    let Some(lab) = lab() else { return };
    // Where the packet says that it goes is listed, and so is where it goes first.
    let mut filter = lab.filter(&[rule(Udp, "127.0.0.1", 32, 7000), rule(Udp, "127.0.0.9", 32, 7000)]);
    assert_eq!(lab.attempt_apart(&["sourceroute:127.0.0.1:7000", "udp:127.0.0.1:7000"]), ["EPERM", "ok"]);
    let seen = events(&mut filter);
    let dropped: Vec<_> = seen.iter().filter(|event| event.hook == Hook::Egress).collect();
    assert!(matches!(dropped.as_slice(), [event] if event.verdict == Verdict::Kind), "{seen:?}");
    assert_eq!(filter.counters().unwrap().hooks[&Hook::Egress].1, 1);
}

#[test]
fn a_program_that_changes_the_destination_afterwards_gains_nothing() {
    let Some(lab) = lab() else { return };
    let mut filter = lab.filter(&[rule(Udp, "127.0.0.1", 32, 7000), rule(Tcp, "127.0.0.1", 32, 7000)]);
    assert_eq!(support::outside(&["rewriting", lab.path.to_str().unwrap()]), ["ok"]);
    assert_eq!(lab.attempt_apart(&["udp:127.0.0.1:7000"]), ["EPERM"]);
    // Nobody answers a segment that was dropped.
    assert_ne!(lab.attempt_apart(&["tcp:127.0.0.1:7000"]), ["ok"]);
    let seen = denied(&events(&mut filter));
    let [udp, tcp, ..] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(*udp, (Hook::Egress, support::address("127.0.0.2:7000"), 17));
    assert_eq!(*tcp, (Hook::Egress, support::address("127.0.0.2:7000"), 6));
    assert_eq!(filter.counters().unwrap().bytes_out, 0);
}

#[test]
fn sockets_of_another_namespace_are_refused_once_the_filter_is_confined() {
    let Some(lab) = lab() else { return };
    let mut filter = lab.filter(&[rule(Udp, "127.0.0.1", 32, None)]);
    let act = ["udp:127.0.0.1:9"];
    assert_eq!((lab.attempt(&act), lab.attempt_apart(&act)), (vec!["ok".to_owned()], vec!["ok".to_owned()]));
    events(&mut filter);
    let mut before = lab.command(&["later:127.0.0.1:9"]);
    let before = before.env("NAMESPACE", "1500").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut before = before.spawn().unwrap();
    let mut made = [0; 5];
    before.stdout.as_mut().unwrap().read_exact(&mut made).unwrap();
    assert_eq!(&made, b"made\n");
    let here = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    filter.confine(here.as_fd()).unwrap();
    assert_eq!(lab.attempt(&act), ["ok"]);
    events(&mut filter);
    assert_eq!(lab.attempt_apart(&act), ["EPERM"]);
    // And one that was made before.
    before.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(support::answers(&before.wait_with_output().unwrap()), ["EPERM"]);
    let seen: Vec<_> = events(&mut filter).into_iter().map(|event| (event.hook, event.verdict)).collect();
    assert_eq!(seen, [(Hook::SockCreate, Verdict::Elsewhere), (Hook::Sendmsg4, Verdict::Elsewhere)]);
    // And that cannot be taken back.
    assert!(filter.confine(here.as_fd()).is_err());
}
