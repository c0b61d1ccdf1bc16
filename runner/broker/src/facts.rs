//! What policies see of a call's arguments: the path, the URL with its host, the method that they name, each in the one form that
//! policies compare. The arguments are changed to that form: what was decided about is what the tool gets.

use agentfile::plan::Facts;
use serde_json::{Map, Value};

/// The facts of one call; empty where its arguments say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Absolute, normal.
    pub path: String,
    /// The whole URL.
    pub url: String,
    /// Its host.
    pub host: String,
    /// In upper case.
    pub method: String,
}

/// Whose arguments they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A tool's that says which of its arguments are facts: it gets the one form.
    Declared,
    /// A tool's of a server, whose arguments only have the names of facts. A `path` may be one in a repository, and a `method` no
    /// request's: a path without `.` and `..` is what it gets, relative if it was, and a method as it was given.
    Named,
}

/// Takes the facts out of `arguments`, and leaves these in a form that has no other meaning. Relative paths are below `directory`.
///
/// # Errors
/// What has no such form.
pub(crate) fn take(
    facts: &Facts,
    whose: Whose,
    arguments: &mut Map<String, Value>,
    directory: &str,
) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for (fact, name) in facts.each() {
        let Some(value) = arguments.get_mut(name) else { continue };
        let Some(text) = value.as_str() else {
            return Err(format!("`{name}` must be a text, since policies look at it"));
        };
        let canonical = match fact {
            "path" => path(whose, text, directory).map_err(|why| format!("`{name}` {why}"))?,
            "url" => {
                let (url, host) = canonical_url(text).map_err(|why| format!("`{name}` {why}"))?;
                seen.host = host;
                url
            }
            _ => text.to_ascii_uppercase(),
        };
        match fact {
            "path" => seen.path.clone_from(&canonical),
            "url" => seen.url.clone_from(&canonical),
            _ => seen.method.clone_from(&canonical),
        }
        let given = match (fact, whose) {
            ("path", Whose::Named) => kept(text),
            ("method", Whose::Named) => text.to_owned(),
            _ => canonical,
        };
        *value = Value::String(given);
    }
    Ok(seen)
}

/// An absolute path without `.`, `..` and empty parts. Symbolic links are not looked at here: the tools that are given such a path
/// follow none.
fn path(whose: Whose, text: &str, directory: &str) -> Result<String, &'static str> {
    if whose == Whose::Declared && text.is_empty() {
        return Err("is empty");
    }
    if text.contains('\0') {
        return Err("has a NUL");
    }
    // What servers, and the libraries that they are made with, understand besides.
    let is_url = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"));
    if whose == Whose::Named && (text.starts_with('~') || is_url) {
        return Err("can be read in two ways: write the path from `/`");
    }
    Ok(kept(&if text.starts_with('/') { text.to_owned() } else { format!("{directory}/{text}") }))
}

/// The same path without `.`, `..` and empty parts, where it can be: a relative one may begin with `..`.
fn kept(text: &str) -> String {
    let is_absolute = text.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            // Above the root is the root (path_resolution(7)).
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    match (is_absolute, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() && !text.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

/// A URL as policies compare it, and its host.
///
/// # Errors
/// What is the matter, as the end of a sentence about it: whatever could be read in two ways is refused.
pub fn canonical_url(text: &str) -> Result<(String, String), &'static str> {
    let uri: http::Uri = text.parse().map_err(|_| "is no URL")?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "http" | "https"))
        .ok_or("is no URL of http or https")?;
    let authority = uri.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("has a user in it");
    }
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host).to_owned();
    // One address has one form.
    let host = match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host,
    };
    if !agentfile::parse::is_one_host(&host) {
        return Err("has a host that is no name and no address");
    }
    let path = uri.path();
    let lower = path.to_ascii_lowercase();
    // An unreserved character (RFC 3986, section 2.3) is the same encoded or not.
    if encodes_unreserved(&lower) {
        return Err("has a path that can be read in two ways");
    }
    let odd = ["/./", "/../", "//", "%2f", "%2e", "%5c", "%00", "\\"];
    if odd.iter().any(|odd| lower.contains(odd)) || lower.ends_with("/.") || lower.ends_with("/..") {
        return Err("has a path that can be read in two ways");
    }
    let port = authority.port_u16().filter(|port| *port != if scheme == "https" { 443 } else { 80 });
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok((format!("{scheme}://{shown}{port}{path}{query}"), host))
}

/// Whether the URI of a resource is one that can be decided about as it is written: RFC 3986, with nothing in it that a server may read as
/// something else than a policy compares.
///
/// # Errors
/// What is the matter, as the end of a sentence about it.
pub fn resource(uri: &str) -> Result<(), &'static str> {
    const LONGEST: usize = 4096;
    let Some((scheme, rest)) = uri.split_once(':') else { return Err("is no URI: it has no scheme") };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    if !is_scheme {
        return Err("is no URI with a scheme in lower case");
    }
    if uri.len() > LONGEST || !uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err("is no URI: its characters are printable ones of ASCII, at most 4096 of them");
    }
    if matches!(scheme, "http" | "https") {
        let is_canonical = canonical_url(uri).is_ok_and(|(canonical, _)| canonical == uri);
        return if is_canonical { Ok(()) } else { Err("is no URL in its one form") };
    }
    // Of everything behind the scheme: which of it is a path, is the server's to say.
    let lower = rest.to_ascii_lowercase();
    let odd = ["%2f", "%2e", "%5c", "%00", "%25"];
    let parts = rest.strip_prefix("//").unwrap_or(rest);
    let is_odd =
        odd.iter().any(|odd| lower.contains(odd)) || encodes_unreserved(&lower) || parts.contains("//");
    if is_odd || parts.split(['/', '?', ':', '=', '&']).any(|part| matches!(part, "." | "..")) {
        return Err("can be read in two ways");
    }
    if rest.contains('#') {
        return Err("has a fragment, which is no part of what is read");
    }
    if scheme == "file" && (!rest.starts_with("///") || rest.contains('?') || rest.ends_with('/')) {
        return Err("is no file of this host's in its one form: write `file:///PATH`");
    }
    let authority =
        rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let port = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map(|(_, port)| port);
    if authority.contains(['@', '%']) || port.is_some_and(|port| port.is_empty() || port.starts_with('0')) {
        return Err("has an authority that can be read in two ways");
    }
    Ok(())
}

/// Whether a path, in lower case, has a letter, a digit, `-`, `.`, `_` or `~` percent-encoded.
fn encodes_unreserved(path: &str) -> bool {
    path.split('%').skip(1).any(|rest| {
        let byte = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_has_one_form() {
        for (text, wanted) in [
            ("/work/a", "/work/a"),
            ("a", "/work/a"),
            ("./a//b/./c/", "/work/a/b/c"),
            ("../etc/passwd", "/etc/passwd"),
            ("/../../x/..", "/"),
            ("/work/..", "/"),
        ] {
            for whose in [Whose::Declared, Whose::Named] {
                assert_eq!(path(whose, text, "/work").as_deref(), Ok(wanted), "{text}");
            }
        }
        let declared = |text| path(Whose::Declared, text, "/work");
        assert!(declared("").is_err() && declared("a\0b").is_err());
    }

    #[test]
    fn what_a_server_gets_is_what_was_decided_about_and_what_it_understands() {
        for (text, seen, given) in [
            ("src/main.rs", "/work/src/main.rs", "src/main.rs"),
            (".", "/work", "."),
            ("", "/work", ""),
            ("a/..", "/work", "."),
            ("./a//b/", "/work/a/b", "a/b"),
            ("../x/../../y", "/y", "../../y"),
            ("../../../etc", "/etc", "../../../etc"),
            ("/a/../../b", "/b", "/b"),
            ("..a/...", "/work/..a/...", "..a/..."),
        ] {
            assert_eq!(path(Whose::Named, text, "/work").as_deref(), Ok(seen), "{text}");
            assert_eq!(kept(text), given, "{text}");
            // Read from where the server is, they are the same.
            assert_eq!(path(Whose::Named, given, "/work").as_deref(), Ok(seen), "{text}");
        }
        for text in ["~", "~/.ssh/id", "~root/x", "file:///etc/passwd", "FILE:x", "a\0b"] {
            assert!(path(Whose::Named, text, "/work").is_err(), "{text}");
        }
        let facts = Facts { path: None, url: Some("url".to_owned()), method: Some("method".to_owned()) };
        let Value::Object(mut arguments) = json!({ "url": "HTTP://A.example", "method": "get" }) else {
            panic!()
        };
        let seen = take(&facts, Whose::Named, &mut arguments, "/work").unwrap();
        assert_eq!((seen.method.as_str(), &arguments["method"]), ("GET", &json!("get")));
        assert_eq!(
            (seen.url.as_str(), &arguments["url"]),
            ("http://a.example/", &json!("http://a.example/"))
        );
    }

    #[test]
    fn a_url_has_one_form_or_is_refused() {
        let canonical = |text| canonical_url(text).map(|(url, _)| url);
        assert_eq!(
            canonical("HTTPS://API.Example.com:443/a?b=c").as_deref(),
            Ok("https://api.example.com/a?b=c")
        );
        assert_eq!(canonical("http://[::1]:81/").as_deref(), Ok("http://[::1]:81/"));
        assert_eq!(
            canonical_url("http://[::ffff:127.0.0.1]/").map(|(_, host)| host).as_deref(),
            Ok("127.0.0.1")
        );
        assert_eq!(canonical("https://a/%20b?%61").as_deref(), Ok("https://a/%20b?%61"));
        for text in [
            "ftp://a/",
            "/a",
            "https://u@a/",
            "https://a/b/../c",
            "https://a/%2e%2e/c",
            "https://a/b%2Fc",
            "https://a//b",
            "https://a/..",
            "https://a/%61dmin",
            "https://a/x%2Dy",
            "https://a\\@b/",
            "https://*.example.com/",
            "https://a!b/",
            "https://-a/",
            "https://a./",
            "https://127.1/",
            "https://0x7f000001/",
            "",
        ] {
            assert!(canonical_url(text).is_err(), "{text}");
        }
        // Longer than a name can be, and than a report.
        assert!(canonical_url(&format!("https://{}.example/", "a".repeat(64))).is_err());
        assert!(canonical_url(&format!("https://{}example/", "a.".repeat(20_000))).is_err());
    }

    #[test]
    fn a_resource_has_one_form_or_is_refused() {
        for uri in [
            "file:///data/a",
            "memo://notes/1",
            "str:abc",
            "https://a.example/b?c",
            "db://h/t?q=1",
            "greeting://World",
            "a:",
        ] {
            assert_eq!(resource(uri), Ok(()), "{uri}");
        }
        for uri in [
            "",
            "data",
            "FILE:///a",
            "file://host/a",
            "file:a",
            "file:/../a",
            "file:///a/../b",
            "file:///a/./b",
            "file:///a//b",
            "file:////a",
            "file:///a/%2e%2e/b",
            "file:///a%2Fb",
            "file:///%61",
            "file:///a\\b",
            "file:///a b",
            "file:///a\n",
            "memo://x/..",
            "x:..",
            "é:a",
            "HTTPS://a.example/",
            "https://a.example/b/../c",
            "https://a.example:443/",
            "1a:b",
            ":a",
            "file:/data/secret",
            "file:///data/secret?x",
            "file:///data/secret#x",
            "file:///data/public/x?/../../../etc/passwd",
            "file:///data/secret/",
            "file:////etc",
            "memo://a/b#c",
            "memo://a/b?/../c",
            "memo://a/b?p=..",
            "db://u@prod/t",
            "memo://private:/a",
            "db://h:080/t",
            "db://pro%64/t",
            "memo://public%2f..%2fx/a",
            "memo://a/%252e%252e/b",
        ] {
            assert!(resource(uri).is_err(), "{uri}");
        }
        assert!(resource(&format!("a:{}", "b".repeat(5000))).is_err());
    }

    #[test]
    fn arguments_are_left_as_they_were_decided_about() {
        let facts = Facts { path: Some("file".to_owned()), ..Facts::default() };
        let Value::Object(mut arguments) = json!({ "file": "../secret/./x", "other": "../y" }) else {
            panic!()
        };
        let seen = take(&facts, Whose::Declared, &mut arguments, "/work").unwrap();
        assert_eq!(
            (seen.path.as_str(), &arguments["file"], &arguments["other"]),
            ("/secret/x", &json!("/secret/x"), &json!("../y"))
        );
        let Value::Object(mut arguments) = json!({ "file": 3 }) else { panic!() };
        assert!(take(&facts, Whose::Declared, &mut arguments, "/work").is_err());
    }
}
