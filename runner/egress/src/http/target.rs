//! What a request asks for: is it for the declared host, and which path is it in every reading that a server might have?
//!
//! RFC 9110 §7.2 (Host), §7.1 (target), RFC 9112 §3.2 (its forms), RFC 9113 §8.3.1 (`:authority`), RFC 3986 §6 (paths).

use http::header::HOST;
use http::{Method, Uri, Version, request};

use crate::destination::Destination;

/// Why a request is not passed on, whatever the policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPassed {
    /// RFC 9112 §3.2: a request without Host, or with several.
    #[error("it names no host, or several")]
    Host,
    /// Host, `:authority` or the target's own authority is not the destination.
    #[error("it is for another host than the connection")]
    OtherHost,
    /// CONNECT, or a target of an unknown form.
    #[error("it is no request to an origin server")]
    Form,
    /// A path that servers read differently.
    #[error(
        "its path can be read in several ways (dot segments, backslashes, control characters, or encoded twice)"
    )]
    Path,
}

/// The path that policies are asked about: percent-decoded once, slashes merged, and without dot segments, encoded or not.
///
/// # Errors
/// A path that is not of this form in every reading.
pub fn canonical_path(path: &str) -> Result<String, NotPassed> {
    let decoded = decode(path)?;
    let mut canonical = String::with_capacity(decoded.len());
    // Some servers take a backslash for a slash, some decode twice, some cut what follows a semicolon.
    let twice = decoded.as_bytes().windows(3).any(
        |three| matches!(three, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()),
    );
    if twice || decoded.contains('\\') || decoded.chars().any(char::is_control) {
        return Err(NotPassed::Path);
    }
    for segment in decoded.split('/').filter(|segment| !segment.is_empty()) {
        let name = segment.split(';').next().unwrap_or_default().trim_matches(' ');
        if name == "." || name == ".." {
            return Err(NotPassed::Path);
        }
        canonical.push('/');
        canonical.push_str(segment);
    }
    if canonical.is_empty() || decoded.ends_with('/') {
        canonical.push('/');
    }
    Ok(canonical)
}

/// RFC 3986, section 2.1, once. What does not decode to UTF-8 has no canonical form.
fn decode(path: &str) -> Result<String, NotPassed> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (digit(bytes.next()), digit(bytes.next())) {
            (Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).map_err(|_| NotPassed::Path)?)
            }
            _ => return Err(NotPassed::Path),
        }
    }
    String::from_utf8(decoded).map_err(|_| NotPassed::Path)
}

/// Checks that the request is for `destination`, in the form that its version has.
///
/// # Errors
/// Why it must not be passed on.
pub fn for_destination(
    request: &request::Parts,
    destination: &Destination,
    secure: bool,
) -> Result<(), NotPassed> {
    if request.method == Method::CONNECT {
        return Err(NotPassed::Form);
    }
    let scheme = if secure { "https" } else { "http" };
    if request.uri.scheme_str().is_some_and(|written| !written.eq_ignore_ascii_case(scheme)) {
        return Err(NotPassed::OtherHost);
    }
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().map_err(|_| NotPassed::Host)?),
        (Some(_), Some(_)) => return Err(NotPassed::Host),
    };
    let authority = request.uri.authority().map(http::uri::Authority::as_str);
    if host.is_none() && (authority.is_none() || request.version < Version::HTTP_2) {
        return Err(NotPassed::Host);
    }
    let default = if secure { 443 } else { 80 };
    let same = |authority: &str| is_authority_of(authority, destination, default);
    if host.is_none_or(same) && authority.is_none_or(same) { Ok(()) } else { Err(NotPassed::OtherHost) }
}

/// Whether `HOST[:PORT]` is the destination's. A name may be in any case; nothing else may differ.
fn is_authority_of(authority: &str, destination: &Destination, default: u16) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        // A colon within brackets is the address's own.
        Some((host, port)) if !port.ends_with(']') => {
            let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
            match port.parse::<u16>() {
                Ok(port) if plain => (host, port),
                _ => return false,
            }
        }
        _ => (authority, default),
    };
    if port != destination.port {
        return false;
    }
    match destination.address {
        Some(address) if address.is_ipv6() => {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            bare.and_then(|bare| bare.parse().ok()) == Some(address)
        }
        _ => host.eq_ignore_ascii_case(&destination.host),
    }
}

/// The authority of the destination as a request names it.
#[must_use]
pub fn authority(destination: &Destination, secure: bool) -> String {
    let host = match destination.address {
        Some(address) if address.is_ipv6() => format!("[{address}]"),
        _ => destination.host.clone(),
    };
    let default = if secure { 443 } else { 80 };
    if destination.port == default { host } else { format!("{host}:{}", destination.port) }
}

/// The request's path as it was written.
#[must_use]
pub fn path(uri: &Uri) -> &str {
    match uri.path() {
        "" => "/",
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;
    use crate::destination::Speaks;

    fn to(host: &str, port: u16) -> Destination {
        let speaks = Speaks { tcp: false, tls: true, http: true, broker: false };
        Destination { host: host.to_owned(), address: host.parse().ok(), port, speaks, terminate_tls: true }
    }

    fn judged(uri: &str, hosts: &[&str], version: Version) -> Result<(), NotPassed> {
        let mut request = Request::builder().uri(uri).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        for_destination(&request.body(()).unwrap().into_parts().0, &to("api.example.com", 443), true)
    }

    #[test]
    fn a_request_names_the_destination_once_and_exactly() {
        let one = Version::HTTP_11;
        for host in ["api.example.com", "API.Example.com", "api.example.com:443"] {
            assert_eq!(judged("/x", &[host], one), Ok(()), "{host}");
        }
        assert_eq!(judged("https://api.example.com/x", &["api.example.com"], one), Ok(()));
        for host in [
            "other.example.com",
            "api.example.com.",
            "api.example.com.evil",
            "xapi.example.com",
            "api.example.com:80",
            "api.example.com:0443",
            "api.example.com:+443",
            "api.example.com:",
            "user@api.example.com",
            "api.example.com ",
            "api.example.com,evil.example",
            "",
        ] {
            assert_eq!(judged("/x", &[host], one), Err(NotPassed::OtherHost), "{host}");
        }
        assert_eq!(judged("/x", &[], one), Err(NotPassed::Host));
        assert_eq!(judged("/x", &["api.example.com", "api.example.com"], one), Err(NotPassed::Host));
        // RFC 9112, section 3.2.2: the target's own authority counts, and so both must be right.
        assert_eq!(judged("https://evil.example/x", &["api.example.com"], one), Err(NotPassed::OtherHost));
        assert_eq!(judged("https://api.example.com/x", &["evil.example"], one), Err(NotPassed::OtherHost));
        assert_eq!(judged("http://api.example.com/x", &["api.example.com"], one), Err(NotPassed::OtherHost));
        assert_eq!(judged("https://api.example.com/x", &[], one), Err(NotPassed::Host));
        let two = Version::HTTP_2;
        assert_eq!(judged("https://api.example.com/x", &[], two), Ok(()));
        assert_eq!(judged("https://evil.example/x", &[], two), Err(NotPassed::OtherHost));
        assert_eq!(judged("https://api.example.com/x", &["evil.example"], two), Err(NotPassed::OtherHost));
        assert_eq!(judged("/x", &[], two), Err(NotPassed::Host));
    }

    #[test]
    fn addresses_and_odd_ports_are_named_as_they_are_written() {
        let six = to("fd00::5", 8080);
        assert_eq!(authority(&six, false), "[fd00::5]:8080");
        for (host, same) in [
            ("[fd00::5]:8080", true),
            ("[fd00:0::5]:8080", true),
            ("fd00::5:8080", false),
            ("[fd00::5]", false),
            ("[fd00::6]:8080", false),
        ] {
            assert_eq!(is_authority_of(host, &six, 80), same, "{host}");
        }
        assert_eq!(authority(&to("a.example", 80), false), "a.example");
        assert_eq!(authority(&to("a.example", 80), true), "a.example:80");
        // Odd spellings of an address are not it.
        for host in ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1."] {
            assert!(!is_authority_of(host, &to("127.0.0.1", 80), 80), "{host}");
        }
    }

    #[test]
    fn a_path_has_one_reading_or_is_refused() {
        for (written, canonical) in [
            ("/", "/"),
            ("/v1/chat", "/v1/chat"),
            ("/v1//chat/", "/v1/chat/"),
            ("//", "/"),
            ("/%76%31/x", "/v1/x"),
            ("/@scope%2fname", "/@scope/name"),
            ("/caf%C3%A9", "/café"),
            ("/a/...", "/a/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("*", "/*"),
        ] {
            assert_eq!(canonical_path(written).as_deref(), Ok(canonical), "{written}");
        }
        for odd in [
            "/a/../b",
            "/a/./b",
            "/..",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/..%2fb",
            "/a/%252e%252e/b",
            "/a%252fb",
            "/%2561dmin",
            "/a\\..\\b",
            "/a%5cb",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/.. /b",
            "/a%00",
            "/a%0d%0ab",
            "/a%ff",
            "/a%2",
            "/a%zz",
            "/a%",
        ] {
            assert_eq!(canonical_path(odd), Err(NotPassed::Path), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_path_has_no_way_up_in_any_reading(path in "/[a-z./%2eEfF5cC;\\\\]{0,24}") {
            if let Ok(canonical) = canonical_path(&path) {
                prop_assert!(canonical.starts_with('/') && !canonical.contains("//") && !canonical.contains('\\'));
                let twice = decode(&canonical).unwrap_or_default();
                for reading in [canonical.as_str(), twice.as_str()] {
                    prop_assert!(!reading.split('/').any(|segment| segment == ".." || segment == "."), "{reading}");
                }
            }
        }
    }
}
