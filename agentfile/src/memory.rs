//! What the schema of a `MEMORY` may be: the one judgement, which `E076` and the store behind the broker both make.
//!
//! A schema is a package's data that a validator outside the sandbox will execute. It is JSON Schema 2020-12 or draft-07, of
//! which we take what can be judged without running anything: keywords that we know (an unknown one would be ignored
//! where it was meant to bind), references within the document, patterns that match in linear time, bounded size, and
//! no schema that asks for itself again without going into the value.

mod graph;
mod keyword;
mod pattern;
mod walk;

use serde_json::Value;

pub use pattern::PATTERN_BYTES;

/// Longest schema, in bytes.
pub const SCHEMA_BYTES: usize = 1 << 20;

/// The JSON Schema that a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `http://json-schema.org/draft-07/schema#`
    Draft07,
    /// `https://json-schema.org/draft/2020-12/schema`, also when the document names none.
    Draft202012,
}

impl Dialect {
    /// What `$schema` may say.
    const NAMES: [(&'static str, Self); 4] = [
        ("https://json-schema.org/draft/2020-12/schema", Self::Draft202012),
        ("https://json-schema.org/draft/2020-12/schema#", Self::Draft202012),
        ("http://json-schema.org/draft-07/schema", Self::Draft07),
        ("http://json-schema.org/draft-07/schema#", Self::Draft07),
    ];

    fn of(document: &Value) -> Result<Self, Fault> {
        let Some(named) = document.get("$schema") else { return Ok(Self::Draft202012) };
        Self::NAMES.iter().find(|(name, _)| named == name).map(|(_, dialect)| *dialect).ok_or_else(|| {
            Fault::file(
                format!("is written in `{named}`, which is not supported"),
                format!("write \"$schema\": \"{}\", or draft-07's", Self::NAMES[0].0),
            )
        })
    }
}

/// A schema that may be used, and the type in it that a `MEMORY` line names.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The whole document.
    pub document: Value,
    /// What it is written in.
    pub dialect: Dialect,
    /// JSON pointer (RFC 6901) to the type: empty for the document itself.
    pub pointer: String,
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
    let document: Value = serde_json::from_slice(bytes).map_err(|error| {
        Fault::file(format!("is not JSON: {error}"), "a memory's schema is a JSON Schema")
    })?;
    if !document.is_object() {
        return Err(Fault::file("is not a JSON object", "a memory's schema is a JSON Schema"));
    }
    let pointer = locate(&document, kind)?;
    let dialect = Dialect::of(&document)?;
    let graph = walk::walk(&document, dialect)?;
    graph.check()?;
    Ok(Declared { document, dialect, pointer })
}

/// Where the type `kind` is.
fn locate(document: &Value, kind: &str) -> Result<String, Fault> {
    let mut found = Vec::new();
    if document.get("title").and_then(Value::as_str) == Some(kind) {
        found.push(String::new());
    }
    for key in ["$defs", "definitions"] {
        if document.get(key).and_then(Value::as_object).is_some_and(|types| types.contains_key(kind)) {
            found.push(format!("/{key}/{}", walk::escaped(kind)));
        }
    }
    match found.as_slice() {
        [] => Err(Fault::kind(
            format!("has no type `{kind}`"),
            "name the schema's `title`, or one of its `$defs`",
        )),
        [pointer] if !walk::is_fragment(pointer) => Err(Fault::kind(
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
