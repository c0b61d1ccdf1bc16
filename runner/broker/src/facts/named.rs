//! The facts of a call whose tool does not say which of its arguments are facts: by the names that people give to paths, URLs and hosts,
//! wherever they are in the arguments, alone or in a list. Everything that is so named is decided about.

mod names;

use std::collections::BTreeSet;

use agentfile::parse::is_one_host;
use serde_json::{Map, Value};

use self::names::{Kind, kind};
use super::{Seen, below, canonical_url, kept, resource};

/// Most decisions of one call: a path, beside a URL or a host.
const MOST: usize = 256;
/// What is put into its one form for whoever is called; others must be in it.
const PUT: [&str; 2] = ["path", "url"];
/// Longest text that is taken for a path or a URL although its own name does not say so.
const LONGEST: usize = 4096;

/// What was found.
#[derive(Default)]
struct Found {
    paths: BTreeSet<String>,
    /// URLs with their hosts, and hosts.
    places: BTreeSet<(String, String)>,
}

/// All that a call of `arguments` is to be decided about; relative paths are below `directory`. At least one.
///
/// # Errors
/// What has no form that policies could compare.
pub(super) fn take(arguments: &mut Map<String, Value>, directory: &str) -> Result<Vec<Seen>, String> {
    let method = arguments.get("method").and_then(Value::as_str).unwrap_or_default().to_ascii_uppercase();
    let mut found = Found::default();
    found.members(arguments, &Around { directory, base: None, kind: None, deeper: false })?;
    let Found { mut paths, mut places } = found;
    if paths.is_empty() {
        paths.insert(String::new());
    }
    if places.is_empty() {
        places.insert(Default::default());
    }
    if paths.len().saturating_mul(places.len()) > MOST {
        return Err(format!(
            "they name more than the {MOST} paths and URLs that are decided about at a time"
        ));
    }
    let seen = paths.iter().flat_map(|path| {
        places.iter().map(|(url, host)| Seen {
            path: path.clone(),
            url: url.clone(),
            host: host.clone(),
            method: method.clone(),
        })
    });
    Ok(seen.collect())
}

/// Where something is.
struct Around<'a> {
    /// Where whoever is called is.
    directory: &'a str,
    /// The one path from `/` on beside it, which it may be relative to.
    base: Option<String>,
    /// What the names around it say.
    kind: Option<Kind>,
    /// What is deeper than the arguments themselves may be somebody's data: it is never put into another form.
    deeper: bool,
}

impl Found {
    fn members(&mut self, members: &mut Map<String, Value>, around: &Around<'_>) -> Result<(), String> {
        let paths = members.iter().filter(|(name, _)| kind(name) == Some(Kind::Path));
        let mut absolute =
            paths.filter_map(|(_, value)| value.as_str().filter(|text| text.starts_with('/')).map(kept));
        let base = absolute.next().filter(|_| absolute.next().is_none());
        // Beside a path, the rest is what is done with it.
        let said = around.kind.filter(|_| members.keys().all(|name| kind(name).is_none()));
        for (name, value) in members {
            if said == Some(Kind::Path) && name.contains(['/', '.']) {
                // Files by their names, `{"src/a": "…"}`.
                self.path(&mut name.clone(), around, false).map_err(|why| format!("`{name}` {why}"))?;
                continue;
            }
            self.look(name, value, &Around { base: base.clone(), kind: said, ..*around })?;
        }
        Ok(())
    }

    /// Looks at what is called `name`, and at what is in it.
    fn look(&mut self, name: &str, value: &mut Value, around: &Around<'_>) -> Result<(), String> {
        let own = kind(name);
        let inner =
            |base| Around { directory: around.directory, base, kind: own.or(around.kind), deeper: true };
        match value {
            Value::Object(members) => self.members(members, &inner(None)),
            Value::Array(items) => {
                let inner = inner(around.base.clone());
                items.iter_mut().try_for_each(|item| self.look(name, item, &inner))
            }
            Value::String(text) => {
                let put = !around.deeper && PUT.contains(&name);
                let said = own.or_else(|| around.kind.filter(|kind| reads_as(*kind, text)));
                self.text(said, put, text, around).map_err(|why| format!("`{name}` {why}"))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn text(
        &mut self,
        said: Option<Kind>,
        put: bool,
        text: &mut String,
        around: &Around<'_>,
    ) -> Result<(), &'static str> {
        match said {
            None => Ok(()),
            // What is not said. (An empty path may be where the server is.)
            Some(kind) if text.is_empty() && !(put && kind == Kind::Path) => Ok(()),
            Some(Kind::Path) if !has_scheme(text.trim()) => self.path(text, around, put),
            Some(Kind::Path | Kind::Url) => self.url(put, text),
            Some(Kind::Host) if has_scheme(text.trim()) => self.url(put, text),
            Some(Kind::Host) => self.host(text),
        }
    }

    /// What servers, and the libraries that they are made with, understand besides is refused.
    fn path(&mut self, text: &mut String, around: &Around<'_>, put: bool) -> Result<(), &'static str> {
        if text.contains('\0') {
            return Err("has a NUL");
        }
        if text.trim_start().starts_with('~') {
            return Err("can be read in two ways: write the path from `/`");
        }
        if put {
            *text = kept(text);
        } else if text.split('/').any(|part| part.trim() == "..") {
            return Err("can be read in two ways: write the path without `..`");
        }
        // Some take the space around it away.
        for text in [text.as_str(), text.trim()] {
            self.paths.insert(below(around.directory, text));
            self.paths.extend(around.base.as_ref().map(|base| below(base, text)));
        }
        Ok(())
    }

    fn url(&mut self, put: bool, text: &mut String) -> Result<(), &'static str> {
        if put {
            let (url, host) = canonical_url(text)?;
            text.clone_from(&url);
            self.places.insert((url, host));
            return Ok(());
        }
        // As those read it that follow the URL Standard of WHATWG.
        let read = text.trim().replace(['\t', '\n', '\r'], "").replace(' ', "%20");
        let scheme = read.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        let place = match scheme.as_deref() {
            Some("file") => Err("can be read in two ways: write the path from `/`"),
            Some("http" | "https") => canonical_url(&read),
            _ if has_scheme(&read) => of_other(&read),
            // As those take it that add the scheme.
            _ => match (canonical_url(&format!("https://{read}")), of_ssh(&read)) {
                (Ok(place), _) => Ok(place),
                (Err(_), Some(host)) => Ok((read, host)),
                (Err(_), None) if resource(&read).is_ok() => Ok((read, String::new())),
                // Words, which are no URL to anybody.
                (Err(_), None) if !read.contains(['/', '.', ':', '@', '\\']) => return Ok(()),
                (Err(why), None) => Err(why),
            },
        };
        self.places.insert(place?);
        Ok(())
    }

    /// With its port, if it has one.
    fn host(&mut self, text: &str) -> Result<(), &'static str> {
        let (_, host) = canonical_url(&format!("http://{}/", text.trim())).map_err(|_| "is no host")?;
        self.places.insert((String::new(), host));
        Ok(())
    }
}

/// A URL of a scheme that is none of HTTP's, without its user, and its host, where that is one of the network.
fn of_other(text: &str) -> Result<(String, String), &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("is no URL")?;
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
    let url = format!("{scheme}://{authority}{behind}");
    resource(&url)?;
    let host = canonical_url(&format!("http://{authority}/")).map(|(_, host)| host).unwrap_or_default();
    Ok((url, host))
}

/// The host of `user@host:path`, as ssh and git have it.
fn of_ssh(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('@')?;
    let host = rest.split_once(':')?.0.to_ascii_lowercase();
    is_one_host(&host).then_some(host)
}

/// Whether a text reads as what the names around it say, although its own does not: it may be something else.
fn reads_as(kind: Kind, text: &str) -> bool {
    let is_path = ["/", "./", "../", "~"].iter().any(|start| text.trim_start().starts_with(start));
    let is_short = text.len() <= LONGEST && !text.trim().contains('\n');
    is_short && (has_scheme(text.trim()) || kind == Kind::Path && is_path)
}

/// Whether it begins as a URL does: a letter and a slash alone would be a path of a folder `c:`.
fn has_scheme(text: &str) -> bool {
    let scheme = text.split_once(':').filter(|(_, rest)| rest.starts_with("//")).map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let is_file = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"));
    is_file || scheme.is_some_and(is_scheme)
}
