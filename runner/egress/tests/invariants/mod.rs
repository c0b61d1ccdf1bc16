//! What holds for every sequence of bytes that an agent can send: the property tests (`property.rs`) and the fuzzers (`fuzz/`)
//! both state it by calling these.

use agentfile::plan::{Egress, Origin};
use agentrc_egress::destination::{Destination, Speaks};
use agentrc_egress::dns::{self, Asked};
use agentrc_egress::hello::{ClientHello, NotPassed, asks_again, client_hello};
use agentrc_egress::http::target::{canonical_path, for_destination};
use agentrc_egress::names::Names;
use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag};

const DECLARED: &str = "api.example.com";
const WILDCARD: &str = "*.npmjs.org";

fn names() -> Names {
    let egress: Vec<_> = [DECLARED, WILDCARD, "10.0.0.5"]
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
    Names::new(&egress).expect("three destinations have addresses")
}

fn is_declared(name: &str) -> bool {
    let below = |suffix: &str| {
        name.strip_suffix(suffix).is_some_and(|label| !label.is_empty() && !label.contains('.'))
    };
    name == DECLARED || WILDCARD.strip_prefix('*').is_some_and(below)
}

/// Any bytes as a question to the resolver: nothing is answered that cannot be read, and no address is given for a name that
/// was not declared.
pub(crate) fn resolver(query: &[u8]) {
    let mut names = names();
    let Some((bytes, asked)) = dns::answer(query, &mut names) else { return };
    assert!(bytes.len() <= 512, "{} bytes", bytes.len());
    assert_eq!(bytes.get(..2), query.get(..2), "the id");
    let reply = Packet::parse(&bytes).expect("a reply can be read");
    assert!(reply.has_flags(PacketFlag::RESPONSE));
    assert!(reply.name_servers.is_empty() && reply.additional_records.is_empty());
    for record in &reply.answers {
        let address = match &record.rdata {
            RData::A(a) => std::net::Ipv4Addr::from(a.address).into(),
            RData::AAAA(aaaa) => std::net::Ipv6Addr::from(aaaa.address).into(),
            other => panic!("a record of another kind: {other:?}"),
        };
        let name = record.name.to_string().to_ascii_lowercase();
        assert!(is_declared(&name), "an address for {name:?}");
        assert_eq!(names.at(address), Some(name.as_str()), "the address of another name");
        assert_eq!(asked, Asked::Answered(name));
    }
    if let Asked::Answered(name) = &asked {
        assert!(is_declared(name), "{name:?} was answered");
    }
}

/// Any bytes as the beginning of a TLS connection: what is said of a beginning is said of everything that begins with it, and a
/// name is one that a plan can declare.
pub(crate) fn first_bytes(stream: &[u8]) {
    let (whole, again) = (client_hello(stream), asks_again(stream));
    if let Ok(Some(ClientHello { server_name, length })) = &whole {
        assert!(*length <= stream.len());
        if let Some(name) = server_name {
            assert!(!name.is_empty() && name.len() <= 253 && !name.ends_with('.'), "{name:?}");
            let plain = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
            };
            assert!(name.bytes().all(plain), "{name:?}");
            assert!(name.parse::<std::net::IpAddr>().is_err(), "{name:?}");
        }
    }
    // Every cut of a short stream, some of a long one.
    let step = stream.len() / 512 + 1;
    for beginning in (0..stream.len()).step_by(step).filter_map(|cut| stream.get(..cut)) {
        match client_hello(beginning) {
            Ok(None) => {}
            Ok(Some(hello)) => {
                assert_eq!(whole, Ok(Some(hello)), "after {} bytes", beginning.len());
            }
            Err(refused) => {
                assert_eq!(
                    whole,
                    Err::<Option<ClientHello>, NotPassed>(refused),
                    "after {}",
                    beginning.len()
                );
            }
        }
        if let Some(said) = asks_again(beginning) {
            assert_eq!(again, Some(said), "after {} bytes", beginning.len());
        }
    }
}

/// Any bytes as a request: the first line its target, the second the version and the method, each further one a Host.
pub(crate) fn request(source: &[u8]) {
    let mut lines = source.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    if let Ok(path) = std::str::from_utf8(target) {
        one_reading(path);
    }
    let how = lines.next().unwrap_or_default();
    let version = if how.starts_with(b"2") { http::Version::HTTP_2 } else { http::Version::HTTP_11 };
    let mut request = http::Request::builder().uri(target).version(version);
    if how.ends_with(b"C") {
        request = request.method(http::Method::CONNECT);
    }
    for host in lines {
        request = request.header(http::header::HOST, host);
    }
    // What `http` does not take never was a request.
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    one_reading(parts.uri.path());
    let destination = Destination {
        host: DECLARED.to_owned(),
        address: None,
        port: 443,
        speaks: Speaks { tcp: false, tls: true, http: false, broker: false },
        terminate_tls: true,
    };
    if for_destination(&parts, &destination, true).is_err() {
        return;
    }
    assert_ne!(parts.method, http::Method::CONNECT);
    let is_it = |authority: &str| {
        let host = authority.strip_suffix(":443").unwrap_or(authority);
        host.eq_ignore_ascii_case(DECLARED)
    };
    let hosts: Vec<_> = parts.headers.get_all(http::header::HOST).iter().collect();
    assert!(hosts.len() <= 1 && hosts.iter().all(|host| host.to_str().is_ok_and(is_it)), "{hosts:?}");
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    assert!(authority.is_none_or(is_it), "{authority:?}");
    assert!(!hosts.is_empty() || (version == http::Version::HTTP_2 && authority.is_some()), "no host");
    assert!(parts.uri.scheme_str().is_none_or(|scheme| scheme == "https"), "{:?}", parts.uri);
}

/// A path that policies are asked about leads nowhere but down, in the readings of servers that are known to differ.
fn one_reading(path: &str) {
    let Ok(canonical) = canonical_path(path) else { return };
    assert!(canonical.starts_with('/') && !canonical.contains("//"), "{canonical:?}");
    assert!(!canonical.contains('\\') && !canonical.chars().any(char::is_control), "{canonical:?}");
    for segment in canonical.split('/') {
        let name = segment.split(';').next().unwrap_or_default().trim_matches(' ');
        assert!(name != "." && name != "..", "{canonical:?}");
    }
    let odd = canonical.to_ascii_lowercase();
    assert!(["%2e", "%2f", "%5c", "%00"].iter().all(|encoded| !odd.contains(encoded)), "{canonical:?}");
    if !canonical.contains('%') {
        assert_eq!(canonical_path(&canonical).as_deref(), Ok(canonical.as_str()), "asked twice");
    }
}
