//! URL patterns: `scheme://host[:port][/path]`. Strict on purpose: a spelling that two programs read differently (an address in
//! octal, a user before an `@`, an encoded slash) is how one allowed host becomes another.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::diag::Diagnostic;
use crate::plan::inside::BROKER;
use crate::span::Span;
use crate::syntax::{Scheme, UrlPattern, Word};

/// Parses one pattern.
pub(crate) fn parse(word: &Word) -> Result<UrlPattern, Diagnostic> {
    let wrong = |message: String, help: &str| Err(Diagnostic::error("E013", word.span, message).help(help));
    let text = word.text.as_str();
    // First, and in no message: before an `@` there may be a password.
    if text.contains('@') {
        return wrong(
            "a user (`@`) is no part of a destination".to_owned(),
            "name the host, the port and a plain path prefix only",
        );
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong(
            format!("`{text}` has no scheme"),
            "write `https://host`, `http://host` or `tcp://host:port`",
        );
    };
    let scheme = match scheme {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        "tcp" => Scheme::Tcp,
        other => {
            return wrong(format!("there is no scheme `{other}`"), "write `https://`, `http://` or `tcp://`");
        }
    };
    if let Some(bad) = rest.chars().find(|character| !character.is_ascii_graphic()) {
        return wrong(
            format!("`{}` cannot be in a URL", bad.escape_default()),
            "write an international name in its `xn--` form",
        );
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    for (bad, why) in
        [('%', "an encoded character"), ('?', "a query"), ('#', "a fragment"), ('\\', "a backslash")]
    {
        if rest.contains(bad) {
            return wrong(
                format!("{why} (`{bad}`) is no part of a destination"),
                "name the host, the port and a plain path prefix only",
            );
        }
    }
    let (host, port) = split_port(authority);
    let port = match (port, scheme) {
        (None, Scheme::Https) => 443,
        (None, Scheme::Http) => 80,
        (None, Scheme::Tcp) => {
            return wrong("`tcp://` has no default port".to_owned(), "write it: `tcp://host:5432`");
        }
        (Some(port), _) => {
            let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
            match port.parse::<u16>().ok().filter(|number| plain && *number > 0) {
                Some(number) => number,
                None => {
                    return wrong(format!("`{port}` is not a port"), "a port is a number from 1 to 65535");
                }
            }
        }
    };
    let host = match host_name(host) {
        Ok(host) => host,
        Err((message, help)) => return wrong(message, help),
    };
    if scheme == Scheme::Tcp && !path.is_empty() {
        return wrong("a `tcp://` destination has no path".to_owned(), "remove the path, or use `https://`");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&()+,=:".contains(&byte);
    if let Some(bad) = path.bytes().find(|byte| !plain(*byte)) {
        return wrong(
            format!("`{}` cannot be in a path of a destination", char::from(bad)),
            "write a plain prefix: what is below it belongs to it without a `*`",
        );
    }
    if path.contains("//") || path.split('/').any(|part| part == "." || part == "..") {
        return wrong(format!("the path `{path}` is not in its plain form"), "remove `//`, `.` and `..`");
    }
    let path = Some(path).filter(|path| !path.is_empty() && *path != "/").map(str::to_owned);
    Ok(UrlPattern { word: word.clone(), scheme, host, port, path })
}

/// An address `host:port` that stands behind another scheme's name.
pub(super) fn tcp(address: &str, span: Span) -> Result<UrlPattern, Diagnostic> {
    let pattern = parse(&Word { text: format!("tcp://{address}"), span })?;
    if pattern.host.starts_with("*.") {
        return Err(Diagnostic::error("E013", span, "a `*` names no one host").help("write the host's name"));
    }
    Ok(pattern)
}

/// `host[:port]`, with an IPv6 address in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind(']') {
        Some(bracket) => {
            let (host, rest) = authority.split_at(bracket + 1);
            (host, rest.strip_prefix(':').or(Some(rest).filter(|rest| !rest.is_empty())))
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    }
}

type Refused = (String, &'static str);

/// Whether this is one host, and in the spelling that [`host_name`] gives it: IPv6 without brackets.
#[must_use]
pub fn is_one_host(host: &str) -> bool {
    let written = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    !host.contains('*') && host_name(&written).is_ok_and(|one| one == host)
}

/// A DNS name in lower case, an address (IPv6, here in brackets, without them), or `*.suffix`: the one spelling by which
/// hosts are compared everywhere.
///
/// # Errors
/// What is wrong, and what to write: every other spelling, also those that some program takes for the same host.
pub fn host_name(host: &str) -> Result<String, Refused> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return match address {
            // The kernel connects to the IPv4 address: one address, one spelling.
            Some(address) if address.to_ipv4_mapped().is_some() => {
                Err((format!("`{host}` is an IPv4 address in IPv6 spelling"), "write it as `192.0.2.1`"))
            }
            Some(address) => Ok(address.to_string()),
            None => Err((format!("`{host}` is not an IPv6 address"), "write `[2001:db8::1]`")),
        };
    }
    let (wildcard, name) = match host.strip_prefix("*.") {
        Some(suffix) => (true, suffix),
        None => (false, host),
    };
    if name.contains('*') {
        return Err((
            format!("`{host}` has a `*` that is not the whole first label"),
            "write `*.example.com`, or name the hosts",
        ));
    }
    if name.is_empty() {
        return Err(("the host is missing".to_owned(), "write `https://host`"));
    }
    if name.ends_with('.') {
        return Err((format!("`{host}` ends in a dot"), "leave the dot out"));
    }
    let labels: Vec<&str> = name.split('.').collect();
    for label in &labels {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if label.is_empty() || label.len() > 63 || !plain || label.starts_with('-') || label.ends_with('-') {
            return Err((
                format!("`{host}` is not a host name"),
                "a label has letters, digits and inner hyphens, at most 63",
            ));
        }
    }
    if name.len() > 253 {
        return Err((format!("`{host}` is longer than 253 characters"), "no DNS name is"));
    }
    // Whatever ends in a number is an address (WHATWG URL, "ends in a number"), and has one spelling.
    let numeric = labels.last().is_some_and(|last| {
        last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .or(last.strip_prefix("0X"))
                .is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    if numeric {
        return match name.parse::<Ipv4Addr>() {
            Ok(address) if !wildcard => Ok(address.to_string()),
            _ => Err((
                format!("`{host}` is an unusual spelling of an address"),
                "write four decimal numbers: `192.0.2.1`",
            )),
        };
    }
    if wildcard && labels.len() < 2 {
        return Err((
            format!("`{host}` would be every host of a top-level domain"),
            "name at least two labels: `*.example.com`",
        ));
    }
    let name = name.to_ascii_lowercase();
    if name == BROKER || name.strip_suffix(BROKER).is_some_and(|label| label.ends_with('.')) {
        return Err((
            format!("`{host}` is agentrc's own name"),
            "the broker is reached there without a line; name another host",
        ));
    }
    Ok(if wildcard { format!("*.{name}") } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<UrlPattern, String> {
        parse(&Word { text: text.to_owned(), span: Span::new(0, text.len()) })
            .map_err(|finding| finding.message)
    }

    #[test]
    fn good_patterns() {
        let url = parse_text("https://API.Example.com").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path), ("api.example.com", 443, None));
        let url = parse_text("http://127.0.0.1:11434/").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path), ("127.0.0.1", 11434, None));
        let url = parse_text("tcp://[2001:DB8::1]:5432").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("2001:db8::1", 5432));
        let url = parse_text("https://*.example.com/v1/chat").unwrap();
        assert_eq!((url.host.as_str(), url.path.as_deref()), ("*.example.com", Some("/v1/chat")));
        assert_eq!(parse_text("https://xn--bcher-kva.example").unwrap().host, "xn--bcher-kva.example");
    }

    #[test]
    fn every_odd_spelling_is_refused() {
        for bad in [
            "example.com",
            "ftp://x",
            "https://",
            "https:///x",
            "tcp://host",
            "tcp://h:1/x",
            "https://h:0",
            "https://h:70000",
            "https://h:",
            "https://h:08",
            "https://u@h",
            "https://h%2e",
            "https://h?q",
            "https://h#f",
            "https://h\\x",
            "https://a..b",
            "https://h.",
            "https://*",
            "https://*.com",
            "http://agentrc.internal",
            "http://Agentrc.Internal:8080",
            "https://x.agentrc.internal",
            "https://*.agentrc.internal",
            "https://a.*.com",
            "https://*a.com",
            "https://-a.com",
            "https://2130706433",
            "https://0x7f000001",
            "https://0177.0.0.1",
            "https://127.1",
            "https://1.2.3.4.5",
            "https://*.1.2.3",
            "https://[::1",
            "https://[1.2.3.4]",
            "https://[::1]x",
            "https://[::ffff:127.0.0.1]",
            "https://[::ffff:7f00:1]",
            "https://bücher.example",
            "https://h/a/../b",
            "https://h//a",
            "https://h/./a",
            "https://h:1:2",
            "https://h/a;b",
            "https://h/a*",
            "https://h/v1/*/x",
            "https://h/{a}",
        ] {
            assert!(parse_text(bad).is_err(), "{bad}");
        }
    }

    /// What a host may be called instead: each is refused or becomes the one spelling.
    #[test]
    fn a_host_has_one_spelling() {
        const REFUSED: &[(&str, &[&str])] = &[
            ("decimal", &["2130706433", "127.1", "127.0.1", "1.2.3", "0", "4294967296", "1.2.3.256"]),
            ("octal", &["0177.0.0.1", "017700000001", "127.0.0.01", "0300.0250.1.1", "00.0.0.0"]),
            (
                "hex",
                &["0x7f000001", "0X7F000001", "0x7f.0.0.1", "0x7f.1", "127.0.0.0x1", "a.0x", "0x", "x.0Xff"],
            ),
            ("trailing dot", &["h.", "h..", "127.0.0.1.", ".", "*.h.x.", "[::1]."]),
            ("leading dot, empty label", &[".h", "a..b", "*..b", ""]),
            (
                "IDN",
                &[
                    "bücher.example",
                    "exam\u{ff0e}ple.com",
                    "h。x",
                    "\u{430}pi.example",
                    "ⓔxample.com",
                    "①.com",
                    "h\u{ad}.x",
                ],
            ),
            ("percent", &["h%2e", "%68", "h%00", "[fe80::1%25eth0]", "[fe80::1%eth0]"]),
            ("user", &["u@h", "u:p@h", "h@", "@h", "h:443@evil.example", "h%40evil"]),
            (
                "NUL, CR, LF, tab, space",
                &[
                    "h\0",
                    "h\r",
                    "h\n",
                    "h\r\nHost:evil",
                    "h\t",
                    "h x",
                    "h\0.evil.example",
                    "h\u{85}",
                    "h\u{7f}",
                ],
            ),
            (
                "separators",
                &["h\\evil", "h#evil", "h?evil", "h;evil", "h,evil", "h:1:2", "h:", "h/../x", "h//x", "h|x"],
            ),
            (
                "IPv6",
                &[
                    "::1",
                    "[::1",
                    "::1]",
                    "[]",
                    "[::1]x",
                    "[[::1]]",
                    "[::1]:",
                    "[1.2.3.4]",
                    "[::ffff:127.0.0.1]",
                    "[::ffff:7f00:1]",
                    "[0:0:0:0:0:ffff:7f00:1]",
                ],
            ),
            ("port", &["h:0", "h:080", "h:+80", "h:-1", "h:65536", "h:8o", "h:0x50", "h: 80", "h:٨٠"]),
            ("labels", &["-h.x", "h-.x", "h.-", "h!", "h*", "a.*.b", "*", "*.com", "*a.b", "**.a.b"]),
        ];
        for (kind, hosts) in REFUSED {
            for host in *hosts {
                assert!(parse_text(&format!("https://{host}")).is_err(), "{kind}: {host:?}");
            }
        }
        let long = format!("https://{}.example", "a".repeat(64));
        assert!(parse_text(&long).is_err(), "a label of 64");
        let long = format!("https://{}x", "a.".repeat(127));
        assert!(parse_text(&long).is_err(), "a name of 255");

        for (written, host) in [
            ("API.Example.COM", "api.example.com"),
            ("*.EXAMPLE.com", "*.example.com"),
            ("XN--Bcher-KVA.example", "xn--bcher-kva.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("[0:0:0:0:0:0:0:1]", "::1"),
            ("[2001:DB8:0:0::0001]", "2001:db8::1"),
            ("[64:ff9b::10.0.0.1]", "64:ff9b::a00:1"),
            ("[::127.0.0.1]", "::7f00:1"),
            ("api.example.com.evil.example", "api.example.com.evil.example"),
            ("1.2.3.4.example", "1.2.3.4.example"),
        ] {
            let found = parse_text(&format!("https://{written}")).unwrap();
            assert_eq!(found.host, host, "{written}");
            let again = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            assert_eq!(host_name(&again).unwrap(), host, "the one spelling is itself");
        }
    }

    #[test]
    fn schemes_have_one_spelling_too() {
        for bad in [
            "HTTPS://h",
            "Https://h",
            "https:/h",
            "https:h",
            "//h",
            "https:///h",
            " https://h",
            "https ://h",
            "javascript://h",
            "otlp://h:1",
        ] {
            assert!(parse_text(bad).is_err(), "{bad}");
        }
    }
}
