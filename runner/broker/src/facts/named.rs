//! The facts of a call whose tool does not say which of its arguments are facts: by the names that people give to paths, URLs and hosts,
//! wherever they are in the arguments, alone or in a list. Everything that is so named is decided about.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Seen, below, canonical_url, kept, resource};

/// Most decisions of one call: a path, beside a URL or a host.
const MOST: usize = 256;

/// What an argument of some name is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Path,
    Url,
    Host,
}

/// What the last word of a name says, in lower case.
const LAST: [(&str, Kind); 18] = [
    ("path", Kind::Path),
    ("paths", Kind::Path),
    ("filepath", Kind::Path),
    ("file", Kind::Path),
    ("files", Kind::Path),
    ("filename", Kind::Path),
    ("filenames", Kind::Path),
    ("dir", Kind::Path),
    ("dirs", Kind::Path),
    ("directory", Kind::Path),
    ("directories", Kind::Path),
    ("folder", Kind::Path),
    ("url", Kind::Url),
    ("urls", Kind::Url),
    ("uri", Kind::Url),
    ("uris", Kind::Url),
    ("host", Kind::Host),
    ("hostname", Kind::Host),
];
/// The same of whole names, whose last words say many other things.
const WHOLE: [&str; 7] = ["source", "destination", "src", "dst", "dest", "cwd", "root"];
/// What is put into its one form for whoever is called; others must be in it.
const PUT: [&str; 2] = ["path", "url"];

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
    for (name, value) in arguments {
        found.look(name, value, directory, false)?;
    }
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

impl Found {
    /// Looks at what is called `name`, and at what is in it. What is deeper than the arguments themselves may be somebody's data: it is
    /// never put into another form.
    fn look(&mut self, name: &str, value: &mut Value, directory: &str, deeper: bool) -> Result<(), String> {
        match value {
            Value::Object(members) => {
                members.iter_mut().try_for_each(|(name, value)| self.look(name, value, directory, true))
            }
            Value::Array(items) => {
                items.iter_mut().try_for_each(|item| self.look(name, item, directory, true))
            }
            Value::String(text) => {
                let put = !deeper && PUT.contains(&name);
                let looked = match kind(name) {
                    Some(_) if text.is_empty() && name != "path" => Ok(()),
                    Some(Kind::Path) if !has_scheme(text) => self.path(put, text, directory),
                    Some(Kind::Path | Kind::Url) => self.url(put, text),
                    Some(Kind::Host) if has_scheme(text) => self.url(put, text),
                    Some(Kind::Host) => self.host(text),
                    None => Ok(()),
                };
                looked.map_err(|why| format!("`{name}` {why}"))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    /// What servers, and the libraries that they are made with, understand besides is refused.
    fn path(&mut self, put: bool, text: &mut String, directory: &str) -> Result<(), &'static str> {
        if text.contains('\0') {
            return Err("has a NUL");
        }
        if text.starts_with('~') {
            return Err("can be read in two ways: write the path from `/`");
        }
        let canonical = below(directory, text);
        if put {
            *text = kept(text);
        } else if text.split('/').any(|part| part == "..") {
            return Err("can be read in two ways: write the path without `..`");
        }
        self.paths.insert(canonical);
        Ok(())
    }

    fn url(&mut self, put: bool, text: &mut String) -> Result<(), &'static str> {
        let begins =
            |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if begins("file:") {
            return Err("can be read in two ways: write the path from `/`");
        }
        if put || begins("http:") || begins("https:") {
            let (url, host) = canonical_url(text)?;
            if put {
                text.clone_from(&url);
            }
            self.places.insert((url, host));
        } else if has_scheme(text) {
            resource(text)?;
            self.places.insert((text.clone(), String::new()));
        } else if let Ok(place) = canonical_url(&format!("https://{text}")) {
            // As those take it that add the scheme. What is nothing of the kind is left to whoever is called.
            self.places.insert(place);
        } else if resource(text).is_ok() {
            self.places.insert((text.clone(), String::new()));
        }
        Ok(())
    }

    /// With its port, if it has one.
    fn host(&mut self, text: &str) -> Result<(), &'static str> {
        let (_, host) = canonical_url(&format!("http://{text}/")).map_err(|_| "is no host")?;
        self.places.insert((String::new(), host));
        Ok(())
    }
}

/// What a name says: `file_path`, `filePath` and `file-path` say the same.
fn kind(name: &str) -> Option<Kind> {
    if WHOLE.contains(&name) {
        return Some(Kind::Path);
    }
    let start = name
        .char_indices()
        .rev()
        .find(|(_, one)| one.is_uppercase() || !one.is_alphanumeric())
        .map_or(0, |(at, one)| if one.is_uppercase() { at } else { at + one.len_utf8() });
    let last = name.get(start..)?.to_lowercase();
    // `PATH`, `URL`: no word of it is in lower case.
    let all = name.to_lowercase();
    let says = |word: &str| LAST.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
    says(&last).or_else(|| says(&all))
}

/// Whether it begins as a URL does: a letter and a slash alone would be a path of a folder `c:`.
fn has_scheme(text: &str) -> bool {
    let scheme = text.split_once(':').filter(|(_, rest)| rest.starts_with("//")).map(|(scheme, _)| scheme);
    let is_file = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"));
    is_file
        || scheme.is_some_and(|scheme| {
            scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        })
}
