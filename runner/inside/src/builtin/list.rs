//! `file_list`: what is in a folder, and in those beneath.

use rustix::fs::OFlags;
use serde_json::{Map, Value, json};

use super::open::{describe, open};
use super::walk::{Next, walk};
use super::{Arguments, size};

pub(super) fn list(arguments: &Arguments) -> Result<Value, String> {
    let path = arguments.text("path")?;
    let depth = size(arguments.number("depth", 1..=8, 1)?);
    let limit = size(arguments.number("limit", 1..=10_000, 1000)?);
    let folder = open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut entries = Vec::new();
    let walked = walk(&folder, depth, &mut |found| {
        if entries.len() == limit {
            return Next::Stop;
        }
        let mut entry = named(found.path);
        entry.insert("kind".to_owned(), found.kind.into());
        entry.insert("size".to_owned(), found.size.into());
        entries.push(Value::Object(entry));
        Next::On
    });
    let walked = walked.map_err(|errno| describe(path, errno))?;
    let mut result = json!({ "path": path, "entries": entries, "truncated": walked.more });
    unreadable(&mut result, walked.unreadable);
    Ok(result)
}

/// `path` as text, and that it is not quite what is shown, if so.
pub(super) fn named(path: &[u8]) -> Map<String, Value> {
    let shown = String::from_utf8_lossy(path);
    let lossy = matches!(shown, std::borrow::Cow::Owned(_));
    let mut named = Map::new();
    named.insert("path".to_owned(), Value::String(shown.into_owned()));
    if lossy {
        named.insert("lossy".to_owned(), Value::Bool(true));
    }
    named
}

/// Says how much could not be looked at, if anything: what is left out is not left out in silence.
pub(super) fn unreadable(result: &mut Value, count: u64) {
    if let Some(members) = result.as_object_mut().filter(|_| count > 0) {
        members.insert("unreadable".to_owned(), count.into());
    }
}
