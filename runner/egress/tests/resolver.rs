//! Questions to the resolver, as clients and attackers put them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{Ipv4Addr, Ipv6Addr};

use agentfile::plan::inside::PER_WILDCARD;
use agentfile::plan::{Egress, Origin};
use agentrc_egress::dns::{Asked, LONGEST, answer};
use agentrc_egress::names::{Meaning, Names};
use proptest::prelude::*;
use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

fn names() -> Names {
    let hosts = ["api.example.com", "*.npmjs.org", "10.0.0.5"];
    let egress: Vec<_> = hosts
        .map(|host| Egress {
            scheme: "https".to_owned(),
            host: host.to_owned(),
            port: 443,
            path: None,
            agent: true,
            terminate_tls: false,
            origin: Origin::builtin("test"),
        })
        .into();
    Names::new(&egress).unwrap()
}

fn query(name: &str, kind: TYPE) -> Packet<'_> {
    let mut packet = Packet::new_query(0x1234);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(
        Name::new_unchecked(name),
        QTYPE::TYPE(kind),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet
}

fn ask(names: &mut Names, query: &Packet<'_>) -> (Vec<u8>, Asked) {
    answer(&query.build_bytes_vec().unwrap(), names).expect("an answer")
}

#[test]
fn a_declared_name_has_its_addresses() {
    let mut names = names();
    let Meaning::Host(addresses) = names.meaning("api.example.com") else { panic!("it is declared") };
    for spelled in ["api.example.com", "API.Example.COM"] {
        let (bytes, asked) = ask(&mut names, &query(spelled, TYPE::A));
        let reply = Packet::parse(&bytes).unwrap();
        assert_eq!((reply.id(), reply.rcode()), (0x1234, RCODE::NoError));
        assert!(reply.has_flags(
            PacketFlag::RESPONSE | PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE
        ));
        assert_eq!(asked, Asked::Answered("api.example.com".to_owned()));
        // Clients that vary the case (0x20) want it back.
        assert_eq!(reply.questions[0].qname.to_string(), spelled);
        let [record] = reply.answers.as_slice() else { panic!("{reply:?}") };
        let RData::A(a) = &record.rdata else { panic!("{record:?}") };
        assert_eq!(Ipv4Addr::from(a.address), addresses.v4);
    }
    let (bytes, _) = ask(&mut names, &query("api.example.com", TYPE::AAAA));
    let reply = Packet::parse(&bytes).unwrap();
    let RData::AAAA(aaaa) = &reply.answers[0].rdata else { panic!("{reply:?}") };
    assert_eq!(Ipv6Addr::from(aaaa.address), addresses.v6);
}

#[test]
fn a_declared_name_has_no_other_records() {
    let mut names = names();
    for kind in
        [TYPE::HTTPS, TYPE::SVCB, TYPE::TXT, TYPE::MX, TYPE::CNAME, TYPE::NS, TYPE::SOA, TYPE::SRV, TYPE::CAA]
    {
        let (bytes, asked) = ask(&mut names, &query("api.example.com", kind));
        let reply = Packet::parse(&bytes).unwrap();
        assert_eq!((reply.rcode(), reply.answers.len()), (RCODE::NoError, 0), "{kind:?}");
        assert_eq!(asked, Asked::Answered("api.example.com".to_owned()));
    }
}

#[test]
fn everything_else_does_not_exist() {
    let mut names = names();
    for name in [
        "example.com",
        "evil.example",
        "secret.api.example.com",
        "localhost",
        "10.0.0.5",
        "1.0.0.127.in-addr.arpa",
        "npmjs.org",
        "a.b.npmjs.org",
        "local",
    ] {
        for kind in [TYPE::A, TYPE::AAAA, TYPE::TXT, TYPE::PTR] {
            let (bytes, asked) = ask(&mut names, &query(name, kind));
            let reply = Packet::parse(&bytes).unwrap();
            assert_eq!((reply.rcode(), reply.answers.len()), (RCODE::NameError, 0), "{name} {kind:?}");
            assert_eq!(asked, Asked::Denied(name.to_owned()));
        }
    }
}

#[test]
fn labels_under_a_wildcard_carry_out_only_so_much() {
    let mut names = names();
    for n in 0..PER_WILDCARD {
        let name = format!("n{n}.npmjs.org");
        assert_eq!(ask(&mut names, &query(&name, TYPE::A)).1, Asked::Answered(name.clone()));
        assert_eq!(ask(&mut names, &query(&name, TYPE::AAAA)).1, Asked::Answered(name.clone()));
    }
    let (bytes, asked) = ask(&mut names, &query("one-more.npmjs.org", TYPE::A));
    assert_eq!(Packet::parse(&bytes).unwrap().rcode(), RCODE::NameError);
    assert_eq!(asked, Asked::TooMany("one-more.npmjs.org".to_owned()));
}

#[test]
fn edns_is_answered_with_edns() {
    let mut names = names();
    let mut query = query("api.example.com", TYPE::A);
    *query.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: 4096, version: 0 });
    let (bytes, _) = ask(&mut names, &query);
    let reply = Packet::parse(&bytes).unwrap();
    assert_eq!((reply.rcode(), reply.answers.len()), (RCODE::NoError, 1));
    assert_eq!(reply.opt().expect("an OPT").udp_packet_size, 1232);
    assert!(bytes.len() <= 512, "nothing is ever truncated");
    *query.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: 4096, version: 1 });
    let (bytes, asked) = ask(&mut names, &query);
    let reply = Packet::parse(&bytes).unwrap();
    assert_eq!((reply.rcode(), reply.answers.len(), asked), (RCODE::BADVERS, 0, Asked::NotServed));
}

#[test]
fn what_is_no_ordinary_query_gets_no_data() {
    let mut names = names();
    let mut two = query("api.example.com", TYPE::A);
    two.questions.push(two.questions[0].clone());
    let none = Packet::new_query(7);
    let mut notify = query("api.example.com", TYPE::A);
    *notify.opcode_mut() = OPCODE::Notify;
    let mut chaos = query("version.bind", TYPE::TXT);
    chaos.questions[0].qclass = QCLASS::CLASS(CLASS::CH);
    for (packet, code) in [
        (two, RCODE::FormatError),
        (none, RCODE::FormatError),
        (notify, RCODE::NotImplemented),
        (chaos, RCODE::Refused),
    ] {
        let (bytes, asked) = ask(&mut names, &packet);
        let reply = Packet::parse(&bytes).unwrap();
        assert_eq!((reply.rcode(), reply.answers.len(), asked), (code, 0, Asked::NotServed), "{packet:?}");
    }
}

#[test]
fn what_is_no_query_is_dropped() {
    let mut names = names();
    let reply = Packet::new_reply(1).build_bytes_vec().unwrap();
    assert_eq!(answer(&reply, &mut names), None, "an answer");
    assert_eq!(answer(b"", &mut names), None);
    assert_eq!(answer(&[0; 11], &mut names), None);
    // A name that points at itself.
    let looped = [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[0xc0, 12, 0, 1, 0, 1][..]].concat();
    assert_eq!(answer(&looped, &mut names), None);
    let whole = query("api.example.com", TYPE::A).build_bytes_vec().unwrap();
    for cut in 0..whole.len() {
        assert_eq!(answer(&whole[..cut], &mut names), None, "after {cut} bytes");
    }
    let long = [whole, vec![0; LONGEST]].concat();
    assert_eq!(answer(&long, &mut names), None);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_or_answer_at_length(query in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Some((bytes, _)) = answer(&query, &mut names()) {
            prop_assert!(bytes.len() <= 512);
        }
    }

    #[test]
    fn a_changed_query_never_gets_a_name_that_was_not_declared(at in 0_usize..40, to in any::<u8>()) {
        let mut bytes = query("api.example.com", TYPE::A).build_bytes_vec().unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Some((_, Asked::Answered(name))) = answer(&bytes, &mut names()) {
            prop_assert_eq!(name, "api.example.com");
        }
    }
}
