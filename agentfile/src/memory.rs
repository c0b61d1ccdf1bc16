//! What the schema of a `MEMORY` may be: the one judgement, which `E076` and the store behind the broker both make. It is
//! that of any schema (`schema`), and that the type which the line names is there.

use serde_json::Value;

use crate::schema::Work;
pub use crate::schema::{Dialect, PATTERN_BYTES, SCHEMA_BYTES};
use crate::{json, schema};

/// A schema that may be used, and the type in it that a `MEMORY` line names.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The whole document.
    pub document: Value,
    /// What it is written in.
    pub dialect: Dialect,
    /// JSON pointer (RFC 6901) to the type: empty for the document itself.
    pub pointer: String,
    /// What it takes to check a value of the type.
    pub work: Work,
}

/// Which word of the line a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The path of the schema.
    File,
    /// The name of the type.
    Type,
}

/// Why a schema may not be used. `what` continues a sentence that begins with the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which word of the line.
    pub about: About,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl Fault {
    fn file(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { about: About::File, what: what.into(), help: help.into() }
    }

    fn kind(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { about: About::Type, what: what.into(), help: help.into() }
    }
}

/// Judges the schema in `bytes`, and finds the type `kind` in it: its `title`, or one of its `$defs` or `definitions`.
///
/// # Errors
/// The first [`Fault`].
pub fn judge(bytes: &[u8], kind: &str) -> Result<Declared, Fault> {
    if bytes.len() > SCHEMA_BYTES {
        return Err(Fault::file("is larger than 1 MiB", "shorten it"));
    }
    let document = json::read(bytes).map_err(|error| {
        Fault::file(format!("is not JSON: {error}"), "a memory's schema is a JSON Schema")
    })?;
    if !document.is_object() {
        return Err(Fault::file("is not a JSON object", "a memory's schema is a JSON Schema"));
    }
    let pointer = locate(&document, kind)?;
    let judged = schema::judged(&document, &pointer);
    let (dialect, work) = judged.map_err(|fault| Fault::file(fault.what, fault.help))?;
    Ok(Declared { document, dialect, pointer, work })
}

/// Where the type `kind` is.
fn locate(document: &Value, kind: &str) -> Result<String, Fault> {
    let mut found = Vec::new();
    if document.get("title").and_then(Value::as_str) == Some(kind) {
        found.push(String::new());
    }
    for key in ["$defs", "definitions"] {
        if document.get(key).and_then(Value::as_object).is_some_and(|types| types.contains_key(kind)) {
            found.push(format!("/{key}/{}", schema::escaped(kind)));
        }
    }
    match found.as_slice() {
        [] => Err(Fault::kind(
            format!("has no type `{kind}`"),
            "name the schema's `title`, or one of its `$defs`",
        )),
        [pointer] if !schema::is_fragment(pointer) => Err(Fault::kind(
            format!("has a type `{kind}`, whose name no reference can be written to"),
            "use letters, digits, `.`, `_` and `-` in it",
        )),
        [pointer] => Ok(pointer.clone()),
        _ => Err(Fault::kind(
            format!("has more than one type `{kind}`"),
            "its `title`, `$defs` and `definitions` may say a name only once",
        )),
    }
}

#[cfg(test)]
mod tests;
