//! What policies see of a call's arguments: the path, the URL with its host, the method that they name, each in the one form that
//! policies compare. The arguments are changed to that form: what was decided about is what the tool gets.

mod named;

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

impl Seen {
    /// What is named first of what it is about.
    pub(crate) fn what(&self) -> Option<&str> {
        [&self.path, &self.url, &self.host].into_iter().find(|what| !what.is_empty()).map(String::as_str)
    }
}

/// All that a call of `arguments` is to be decided about, each alone; at least one. The arguments are left in a form that has no other
/// meaning. Relative paths are below `directory`. A tool that declares no `facts` is one whose arguments only have names.
///
/// # Errors
/// What has no such form.
pub(crate) fn take(
    facts: &Facts,
    arguments: &mut Map<String, Value>,
    directory: &str,
) -> Result<Vec<Seen>, String> {
    if facts.each().next().is_none() {
        named::take(arguments, directory)
    } else {
        declared(facts, arguments, directory).map(|seen| vec![seen])
    }
}

/// The facts of a tool that says which of its arguments they are: it gets the one form.
fn declared(facts: &Facts, arguments: &mut Map<String, Value>, directory: &str) -> Result<Seen, String> {
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
    Ok(below(directory, text))
}

/// A path without `.`, `..` and empty parts, below `directory` if it is relative.
fn below(directory: &str, text: &str) -> String {
    kept(&if text.starts_with('/') { text.to_owned() } else { format!("{directory}/{text}") })
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
    if authority.as_str() != authority.host() && authority.port_u16().is_none() {
        return Err("has a port that is none");
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
mod tests;
