//! The facts of a call whose tool does not say which of its arguments are facts: by the names that people give to paths, URLs and hosts,
//! wherever they are in the arguments, alone or in a list. Everything that is so named is decided about.

mod names;

use std::borrow::Cow;
use std::collections::BTreeSet;

use agentfile::parse::is_one_host;
use serde_json::{Map, Value};

use self::names::{Kind, Said, said};
use super::{Seen, below, canonical_url, kept, resource};

/// Most decisions of one call: a path, beside a URL or a host.
const MOST: usize = 256;
/// What is said of a call that names more.
const TOO_MANY: &str = "is more than the 256 paths and URLs that one call is decided about";
/// Most paths that are made of what one call names, the same ones again included: what that takes is bounded before anybody is asked.
const MADE: usize = 16 * MOST;
/// What is put into its one form for whoever is called; others must be in it.
const PUT: [&str; 2] = ["path", "url"];
/// Schemes that the URL Standard of WHATWG reads with any slashes behind them, or none.
const SPECIAL: [&str; 6] = ["file:", "http:", "https:", "ws:", "wss:", "ftp:"];
/// Longest path that the kernel takes (`PATH_MAX`, limits.h).
const LONGEST_PATH: usize = 4096;
/// Longest URL that anybody here reads (`http::Uri`).
const LONGEST_URL: usize = 65_534;

/// What was found.
#[derive(Default)]
struct Found {
    paths: BTreeSet<String>,
    /// URLs with their hosts, and hosts.
    places: BTreeSet<(String, String)>,
    made: usize,
}

/// All that a call of `arguments` is to be decided about; relative paths are below `directory`. At least one.
///
/// # Errors
/// What has no form that policies could compare.
pub(super) fn take(arguments: &mut Map<String, Value>, directory: &str) -> Result<Vec<Seen>, String> {
    let method = arguments.get("method").and_then(Value::as_str).unwrap_or_default().to_ascii_uppercase();
    let mut found = Found::default();
    let nowhere = Bases { own: &[], outer: None };
    let around = Around { directory, bases: &nowhere, kind: None, is_tree: false, deeper: false };
    found.members(arguments, around)?;
    let Found { mut paths, mut places, .. } = found;
    if paths.is_empty() {
        paths.insert(String::new());
    }
    if places.is_empty() {
        places.insert(Default::default());
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
#[derive(Clone, Copy)]
struct Around<'a> {
    /// Where whoever is called is.
    directory: &'a str,
    /// What else it may be relative to.
    bases: &'a Bases<'a>,
    /// What the names around it say.
    kind: Option<Kind>,
    /// Whether the names here are those of files, `{"src": {"main.c": "…"}}`.
    is_tree: bool,
    /// What is deeper than the arguments themselves may be somebody's data: it is never put into another form.
    deeper: bool,
}

impl Around<'_> {
    /// What a name here says of its value. That of a file, which somebody has called so, says nothing.
    fn said(&self, name: &str) -> Said {
        let is_path = self.kind.is_some_and(Kind::is_path);
        let is_file = is_path && name.contains('/') || self.is_tree && name.contains('.');
        if is_file { Said::default() } else { said(name) }
    }
}

/// Paths beside and around something.
#[derive(Clone, Copy)]
struct Bases<'a> {
    own: &'a [String],
    outer: Option<&'a Bases<'a>>,
}

impl Bases<'_> {
    fn each(&self) -> impl Iterator<Item = &String> {
        std::iter::successors(Some(self), |bases| bases.outer).flat_map(|bases| bases.own)
    }
}

impl Found {
    fn members(&mut self, members: &mut Map<String, Value>, around: Around<'_>) -> Result<(), String> {
        let names: Vec<_> = members.keys().map(|name| around.said(name)).collect();
        let own = bases(members.values().zip(&names), around.directory);
        let around = Around { bases: &Bases { own: &own, outer: Some(around.bases) }, ..around };
        for ((name, value), own) in members.iter_mut().zip(names) {
            let below = self.name(name, own, around).map_err(|why| format!("`{name}` {why}"))?;
            let bases = Bases { own: &below, outer: Some(around.bases) };
            self.look(name, own, value, Around { bases: &bases, ..around })?;
        }
        Ok(())
    }

    /// Looks at a name: below one that says so it may be a path or a URL itself. What is below it then.
    fn name(&mut self, name: &str, own: Said, around: Around<'_>) -> Result<Vec<String>, &'static str> {
        let Some(said) = around.kind else { return Ok(Vec::new()) };
        if has_scheme(name) {
            self.url(name)?;
        } else if around.is_tree
            || said.is_path() && (name.contains('/') || own.kind.is_none() && name.contains('.'))
        {
            return self.path(name, around, false);
        }
        Ok(Vec::new())
    }

    /// Looks at what is called `name`, which says `own`, and at what is in it.
    fn look(&mut self, name: &str, own: Said, value: &mut Value, around: Around<'_>) -> Result<(), String> {
        let inner = Around { kind: own.kind.or(around.kind), deeper: true, is_tree: false, ..around };
        match value {
            Value::Object(members) => {
                let is_tree = own.kind.map_or(around.is_tree, |own| own == Kind::Files);
                self.members(members, Around { is_tree, ..inner })
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| match item {
                // What is said of one of them.
                Value::Object(members) => self.members(members, inner),
                item => self.look(name, own, item, inner),
            }),
            Value::String(text) => {
                let put = !around.deeper && PUT.contains(&name);
                // What is in a file is no name of one.
                let is_content = own.is_content && !around.is_tree;
                let around_it = around.kind.filter(|kind| !(is_content && kind.is_path()));
                let said = own
                    .of(trimmed(text))
                    .or_else(|| around_it.filter(|kind| reads_as(*kind, text, around.is_tree)));
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
        around: Around<'_>,
    ) -> Result<(), &'static str> {
        match said {
            None => Ok(()),
            Some(_) if is_json(text) => Err("can be read in two ways: it is JSON in a text"),
            Some(kind) if kind.is_path() && !has_scheme(text) => {
                if put {
                    *text = kept(text);
                }
                self.path(text, around, put).map(drop)
            }
            // What is not said.
            Some(_) if text.is_empty() => Ok(()),
            Some(Kind::Host) if !has_scheme(text) => self.host(text),
            Some(_) if put => {
                let (url, host) = canonical_url(text)?;
                text.clone_from(&url);
                self.place((url, host))
            }
            Some(_) => self.url(text),
        }
    }

    /// All that it may be the path of. What servers, and the libraries that they are made with, understand besides is refused.
    fn path(&mut self, text: &str, around: Around<'_>, put: bool) -> Result<Vec<String>, &'static str> {
        if text.contains('\0') {
            return Err("has a NUL");
        }
        if trimmed(text).starts_with(['~', '$']) || has_scheme(text) {
            return Err("can be read in two ways: write the path from `/`");
        }
        if !put && text.split('/').any(|part| trimmed(part) == "..") {
            return Err("can be read in two ways: write the path without `..`");
        }
        // Some take the space around it away.
        let mut forms = vec![kept(text), kept(trimmed(text))];
        forms.dedup();
        if forms.iter().any(|form| form.len() > LONGEST_PATH) {
            return Err("is longer than a path can be");
        }
        let itself = forms.last().map(|form| below(around.directory, form));
        let mut made = Vec::new();
        for form in forms {
            if !form.starts_with('/') {
                for base in around.bases.each().filter(|base| Some(*base) != itself.as_ref()) {
                    made.push(self.made(below(base, &form))?);
                }
            }
            made.push(self.made(below(around.directory, &form))?);
        }
        Ok(made)
    }

    fn made(&mut self, path: String) -> Result<String, &'static str> {
        self.made += 1;
        self.paths.insert(path.clone());
        if self.made > MADE { Err(TOO_MANY) } else { self.bounded().map(|()| path) }
    }

    /// Asked of each that is found: a call must not cost more than a refusal of it.
    fn bounded(&self) -> Result<(), &'static str> {
        let number = self.paths.len().max(1).saturating_mul(self.places.len().max(1));
        if number > MOST { Err(TOO_MANY) } else { Ok(()) }
    }

    fn place(&mut self, place: (String, String)) -> Result<(), &'static str> {
        self.places.insert(place);
        self.bounded()
    }

    fn url(&mut self, text: &str) -> Result<(), &'static str> {
        if text.len() > LONGEST_URL {
            return Err("is longer than a URL can be");
        }
        let read = without_breaks(text).replace(' ', "%20");
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
        self.place(place?)
    }

    /// With its port, if it has one.
    fn host(&mut self, text: &str) -> Result<(), &'static str> {
        let (_, host) = canonical_url(&format!("http://{}/", trimmed(text))).map_err(|_| "is no host")?;
        self.place((String::new(), host))
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

/// The host of `user@host:path` and `host:path`, as ssh and git have it.
fn of_ssh(text: &str) -> Option<String> {
    let (authority, _) = text.split_once(':')?;
    let user_and_host = authority.split_once('@');
    let host = user_and_host.map_or(authority, |(_, host)| host).to_ascii_lowercase();
    // A name alone would be a scheme.
    let is_host = user_and_host.is_some() || host.contains('.');
    (is_host && is_one_host(&host)).then_some(host)
}

/// What relative paths beside them, and in what is beside them, may be below: paths from `/` on, and names of folders. Somebody may take
/// all of them for one.
fn bases<'a>(members: impl Iterator<Item = (&'a Value, &'a Said)>, directory: &str) -> Vec<String> {
    let texts = members.filter_map(|(value, said)| {
        let text = trimmed(value.as_str()?);
        Some((text, said.of(text)?))
    });
    let paths = texts.filter(|(text, kind)| {
        let is_base = text.starts_with('/') || *kind == Kind::Files && !text.is_empty();
        kind.is_path() && is_base && !has_scheme(text)
    });
    // One that is too long is refused, and more of them than can be decided about, too.
    let made = paths.map(|(text, _)| kept(text)).filter(|path| path.len() <= LONGEST_PATH);
    let made = made.map(|path| below(directory, &path));
    made.collect::<BTreeSet<_>>().into_iter().take(MOST + 1).collect()
}

/// Whether a text reads as what the names around it say, although its own does not: it may be something else, as what is in a file.
fn reads_as(kind: Kind, text: &str, is_in_file: bool) -> bool {
    let text = trimmed(text);
    let is_path = || {
        let begins = ["/", "./", "../", "~"].iter().any(|start| text.starts_with(start));
        // Lines of a text stay lines, whatever a path is made of them.
        let is_one = |path: String| path.len() <= LONGEST_PATH && !path.contains('\n');
        begins && is_one(kept(text))
    };
    let is_prose = is_in_file && kind.is_path() && text.contains(char::is_whitespace);
    has_scheme(text) && !is_prose || kind.is_path() && is_path()
}

/// Whether somebody who reads JSON where a text stands (the SDK for Python does) takes it for another value.
fn is_json(text: &str) -> bool {
    let text = trimmed(text);
    let may_be = text.starts_with(['[', '{']) || matches!(text, "null" | "true" | "false");
    may_be && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Without what Rust, Python, JavaScript or the URL Standard takes away around a text.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|one: char| one.is_whitespace() || one <= ' ' || one == '\u{feff}')
}

/// As those read it that follow the URL Standard of WHATWG.
fn without_breaks(text: &str) -> Cow<'_, str> {
    let text = trimmed(text);
    let breaks = ['\t', '\n', '\r'];
    if text.contains(breaks) { Cow::Owned(text.replace(breaks, "")) } else { Cow::Borrowed(text) }
}

/// Whether it begins as a URL does: a letter and a slash alone would be a path of a folder `c:`.
fn has_scheme(text: &str) -> bool {
    let text = without_breaks(text);
    let scheme = text.split_once(':').filter(|(_, rest)| rest.starts_with("//")).map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let begins =
        |special: &&str| text.get(..special.len()).is_some_and(|start| start.eq_ignore_ascii_case(special));
    SPECIAL.iter().any(begins) || scheme.is_some_and(is_scheme)
}
