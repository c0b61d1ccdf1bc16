//! ClientHellos of a real client, and every way of bending them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use agentrc_egress::hello::{ClientHello, LONGEST, NotPassed, asks_again, client_hello};
use proptest::prelude::*;

/// What rustls sends first to `name`: with a post-quantum key share, in one record.
fn real(name: &'static str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
    let mut sent = Vec::new();
    client.write_tls(&mut sent).unwrap();
    sent
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    [&kind.to_be_bytes(), &length.to_be_bytes(), content].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let entry = [&[0], &length.to_be_bytes()[..], name].concat();
    extension(0, &[&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], &entry].concat())
}

/// The body of a ClientHello with these extensions, a GREASE cipher suite (RFC 8701) among the suites.
fn body(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 4, 0x0a, 0x0a, 0x13, 0x01]);
    body.extend([1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    body
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

/// In records of at most `size` bytes.
fn records(handshake: &[u8], size: usize) -> Vec<u8> {
    let record =
        |part: &[u8]| [&[22, 3, 1], &u16::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat();
    handshake.chunks(size).flat_map(record).collect()
}

fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    records(&handshake(1, &body(&extensions.concat())), 16_384)
}

fn refused(stream: &[u8]) -> NotPassed {
    client_hello(stream).expect_err("it is passed")
}

#[test]
fn the_name_of_a_real_client_is_read() {
    let stream = real("api.example.com");
    assert!(stream.len() > 1200, "it has a post-quantum key share");
    let read = client_hello(&stream).unwrap().unwrap();
    assert_eq!(read, ClientHello { server_name: Some("api.example.com".to_owned()), length: stream.len() });
}

#[test]
fn every_beginning_of_it_asks_for_more() {
    let stream = real("api.example.com");
    for cut in 0..stream.len() {
        assert_eq!(client_hello(&stream[..cut]), Ok(None), "after {cut} bytes");
    }
}

#[test]
fn it_may_be_cut_into_records_and_followed_by_more() {
    let message = handshake(1, &body(&server_name(b"a.example")));
    for size in [1, 2, 3, 4, 5, 7, 60, 16_384] {
        let mut stream = records(&message, size);
        let length = stream.len();
        stream.extend_from_slice(&[20, 3, 3, 0, 1, 1]);
        let read = client_hello(&stream).unwrap().unwrap();
        assert_eq!(
            read,
            ClientHello { server_name: Some("a.example".to_owned()), length },
            "in records of {size}"
        );
    }
}

#[test]
fn case_does_not_count_and_unknown_extensions_are_skipped() {
    let grease = extension(0xbaba, &[0]);
    let stream = hello(&[grease, server_name(b"API.Example.COM"), extension(0x1a1a, &[])]);
    assert_eq!(client_hello(&stream).unwrap().unwrap().server_name.as_deref(), Some("api.example.com"));
}

#[test]
fn what_names_no_server_is_not_passed() {
    let name = |stream: &[u8]| client_hello(stream).unwrap().unwrap().server_name;
    assert_eq!(name(&hello(&[])), None);
    assert_eq!(name(&hello(&[extension(43, &[2, 3, 4])])), None);
    assert_eq!(refused(&hello(&[server_name(b"")])), NotPassed::BadName);
    // TLS 1.2 without any extensions at all.
    let mut short = body(&[]);
    short.truncate(short.len() - 2);
    assert_eq!(name(&records(&handshake(1, &short), 16_384)), None);
}

#[test]
fn a_name_that_servers_could_read_differently_is_not_passed() {
    let odd: &[&[u8]] = &[
        b"api.example.com.",
        b".example.com",
        b"a..example.com",
        b"a example",
        b"a\0.example.com",
        b"a.example.com\r\n",
        b"*.example.com",
        b"-a.example",
        b"127.0.0.1",
        b"1.2",
        b"[::1]",
        b"::1",
        b"a%2eexample",
        b"user@a.example",
        "ä.example".as_bytes(),
        b"\xff.example",
        b"a.example:443",
        b"a/example",
    ];
    for name in odd {
        assert_eq!(refused(&hello(&[server_name(name)])), NotPassed::BadName, "{}", name.escape_ascii());
    }
    assert_eq!(refused(&hello(&[server_name(&[b'a'; 254])])), NotPassed::BadName);
    // Two extensions, two names in one, a name of another type, bytes behind the list.
    let twice = [server_name(b"a.example"), server_name(b"b.example")];
    assert_eq!(refused(&hello(&twice)), NotPassed::Malformed);
    let two = extension(0, b"\0\x0e\0\0\x03a.b\0\0\x05c.d.e");
    assert_eq!(refused(&hello(&[two])), NotPassed::Malformed);
    assert_eq!(refused(&hello(&[extension(0, b"\0\x06\x01\0\x03a.b")])), NotPassed::Malformed);
    assert_eq!(refused(&hello(&[extension(0, b"\0\x06\0\0\x03a.bX")])), NotPassed::Malformed);
}

#[test]
fn an_encrypted_client_hello_is_not_passed() {
    let stream = hello(&[server_name(b"public.example"), extension(0xfe0d, &[0; 40])]);
    assert_eq!(refused(&stream), NotPassed::Encrypted);
}

#[test]
fn what_is_not_tls_is_seen_at_its_first_byte() {
    for stream in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0",
        b"\x17",
        b"\x16\x02",
        b"\x80\x2e\x01\x00\x02",
        b"\x15\x03\x01\x00\x02",
    ] {
        assert_eq!(refused(stream), NotPassed::NotTls, "{}", stream.escape_ascii());
    }
    assert_eq!(refused(&records(&handshake(2, &[0; 40]), 100)), NotPassed::NotTls, "a ServerHello");
}

#[test]
fn lengths_that_lie_are_refused_and_never_waited_for() {
    assert_eq!(refused(b"\x16\x03\x01\x00\x00"), NotPassed::Malformed, "an empty record");
    assert_eq!(refused(b"\x16\x03\x01\x40\x01"), NotPassed::Malformed, "a record that is too long");
    assert_eq!(refused(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff"), NotPassed::TooLong);
    let endless = records(&handshake(1, &vec![0; LONGEST]), 16_384);
    assert_eq!(refused(&endless), NotPassed::TooLong);
    let good = body(&server_name(b"a.example"));
    for at in [34, 35, 36, 41, 43, 44, 47, 49, 52] {
        let mut bad = good.clone();
        bad[at] = 0xff;
        assert_eq!(refused(&records(&handshake(1, &bad), 16_384)), NotPassed::Malformed, "byte {at}");
    }
    let longer = [good, vec![0]].concat();
    assert_eq!(
        refused(&records(&handshake(1, &longer), 16_384)),
        NotPassed::Malformed,
        "bytes behind the extensions"
    );
}

#[test]
fn a_server_that_asks_again_is_noticed() {
    let retry = b"\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";
    let server = |random: &[u8; 32]| {
        records(&handshake(2, &[&[3, 3], &random[..], &[0, 0x13, 1, 0, 0, 0]].concat()), 16_384)
    };
    assert_eq!(asks_again(&server(retry)), Some(true));
    assert_eq!(asks_again(&server(&[5; 32])), Some(false));
    assert_eq!(asks_again(&server(retry)[..20]), None);
    assert_eq!(asks_again(b"\x15\x03\x03\x00\x02\x02\x28"), Some(false), "an alert");
    assert_eq!(asks_again(b""), None);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_or_read_beyond_the_end(stream in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(Some(read)) = client_hello(&stream) {
            prop_assert!(read.length <= stream.len());
        }
        let _ = asks_again(&stream);
    }

    #[test]
    fn one_changed_byte_never_makes_another_name_of_a_whole_hello(at in 0_usize..200, to in any::<u8>()) {
        let mut stream = hello(&[extension(0x2a2a, &[0]), server_name(b"api.example.com"), extension(43, &[2, 3, 4])]);
        let at = at % stream.len();
        let inside = stream.windows(15).position(|part| part == b"api.example.com").unwrap();
        prop_assume!(!(inside..inside + 15).contains(&at));
        stream[at] = to;
        if let Ok(Some(read)) = client_hello(&stream) {
            // An extension that is no server_name any more names no server.
            prop_assert!(read.server_name.is_none_or(|name| name == "api.example.com"));
        }
    }
}
