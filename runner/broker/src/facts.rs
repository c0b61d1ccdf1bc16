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

/// Takes the facts out of `arguments`, and leaves them in their canonical form. Relative paths are below `directory`.
///
/// # Errors
/// What has no such form.
pub(crate) fn take(
    facts: &Facts,
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
            "path" => path(text, directory).map_err(|why| format!("`{name}` {why}"))?,
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
        *value = Value::String(canonical);
    }
    Ok(seen)
}

/// An absolute path without `.`, `..` and empty parts. Symbolic links are not looked at here: the tools that are given such a path
/// follow none.
fn path(text: &str, directory: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("is empty");
    }
    if text.contains('\0') {
        return Err("has a NUL");
    }
    let whole = if text.starts_with('/') { text.to_owned() } else { format!("{directory}/{text}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            // Above the root is the root (path_resolution(7)).
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// A URL as policies compare it, and its host. Whatever could be read in two ways is refused.
pub(crate) fn canonical_url(text: &str) -> Result<(String, String), &'static str> {
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
            assert_eq!(path(text, "/work").as_deref(), Ok(wanted), "{text}");
        }
        assert!(path("", "/work").is_err() && path("a\0b", "/work").is_err());
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
            "",
        ] {
            assert!(canonical_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_are_left_as_they_were_decided_about() {
        let facts = Facts { path: Some("file".to_owned()), ..Facts::default() };
        let Value::Object(mut arguments) = json!({ "file": "../secret/./x", "other": "../y" }) else {
            panic!()
        };
        let seen = take(&facts, &mut arguments, "/work").unwrap();
        assert_eq!(
            (seen.path.as_str(), &arguments["file"], &arguments["other"]),
            ("/secret/x", &json!("/secret/x"), &json!("../y"))
        );
        let Value::Object(mut arguments) = json!({ "file": 3 }) else { panic!() };
        assert!(take(&facts, &mut arguments, "/work").is_err());
    }
}
