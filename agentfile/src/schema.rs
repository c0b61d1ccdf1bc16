//! What the JSON Schema of a package may be: the one judgement of what a `MEMORY` keeps (`memory`), of what a tool takes
//! (`tool`), and of both behind the broker.
//!
//! A schema is a package's data that a validator outside the sandbox will execute. It is JSON Schema 2020-12 or draft-07, of
//! which we take what can be judged without running anything: keywords that we know (an unknown one would be ignored
//! where it was meant to bind), references within the document, patterns that match in linear time, bounded size, and
//! no schema that asks for itself again without going into the value.

mod graph;
mod keyword;
mod pattern;
mod walk;
mod work;

use serde_json::Value;

#[cfg(test)]
pub(crate) use graph::SCHEMAS_MAX;
pub use pattern::PATTERN_BYTES;
pub(crate) use walk::{escaped, is_fragment};
pub use work::Work;

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
            Fault::new(
                format!("is written in `{named}`, which is not supported"),
                format!("write \"$schema\": \"{}\", or draft-07's", Self::NAMES[0].0),
            )
        })
    }
}

/// Why a schema may not be used. `what` continues a sentence that begins with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl Fault {
    pub(crate) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// Judges the schema `document`, and says what it is written in.
///
/// # Errors
/// The first [`Fault`].
pub fn judge(document: &Value) -> Result<Dialect, Fault> {
    judged(document, "").map(|(dialect, _)| dialect)
}

/// As [`judge`], and what it takes to check a value against the schema at `pointer` in it.
pub(crate) fn judged(document: &Value, pointer: &str) -> Result<(Dialect, Work), Fault> {
    let dialect = Dialect::of(document)?;
    let graph = walk::walk(document, dialect)?;
    let asked = graph.check()?;
    Ok((dialect, Work::new(&graph, asked, pointer)))
}
