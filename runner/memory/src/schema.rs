//! What the values of a store must be.

use agentfile::memory::{Declared, Dialect, PATTERN_BYTES, judge};
use agentfile::schema::Work;
use agentrc_audit::line::Digest;
use agentrc_audit::text::printable_text;
use jsonschema::{Draft, PatternOptions, Registry, Validator};
use serde_json::{Value, json};

use crate::error::{Error, short};

/// By this name the validator knows the document; nothing is fetched from anywhere.
const DOCUMENT: &str = "urn:agentrc:memory";

/// The schema of a `MEMORY` line, ready to judge values.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    work: Work,
    sha256: String,
    kind: String,
}

impl Schema {
    /// The type `kind` in the schema `bytes`. What this refuses, the compiler refuses as `E076`: both ask
    /// [`agentfile::memory::judge`].
    ///
    /// # Errors
    /// [`Error::Schema`].
    pub fn compile(bytes: &[u8], kind: &str) -> Result<Self, Error> {
        let wrong = |why: &str, help: &str| Error::Schema {
            why: printable_text(&short(why)),
            help: printable_text(&short(help)),
        };
        let declared = judge(bytes, kind).map_err(|fault| wrong(&fault.what, &fault.help))?;
        let work = declared.work;
        let validator = validator(declared).map_err(|why| {
            let why = format!("is refused by the validator: {why}");
            wrong(&why, "report this: the compiler should have said it")
        })?;
        Ok(Self { validator, work, sha256: Digest::of(bytes).to_string(), kind: kind.to_owned() })
    }

    /// As [`Schema::compile`], of a file that has `sha256` (hex) in the plan.
    ///
    /// # Errors
    /// [`Error::SchemaChanged`] when it is not that file any more; [`Error::Schema`].
    pub fn planned(bytes: &[u8], kind: &str, sha256: &str) -> Result<Self, Error> {
        let found = Digest::of(bytes).to_string();
        if found != sha256 {
            return Err(Error::SchemaChanged { found, planned: sha256.to_owned() });
        }
        Self::compile(bytes, kind)
    }

    /// Why `value` does not fit, and where; `None` when it does. Nothing of the value itself is in the text.
    #[must_use]
    pub fn unfit(&self, value: &Value) -> Option<String> {
        self.work.unfit(value, || self.validator.is_valid(value), || self.explained(value), "the value")
    }

    fn explained(&self, value: &Value) -> Option<String> {
        let error = self.validator.validate(value).err()?;
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "the value".to_owned() } else { format!("`{place}`") };
        Some(printable_text(&short(&format!("{place}: {}", error.masked()))))
    }

    /// SHA-256 (hex) of the file.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The name of the type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

/// A validator that asks nobody, matches in linear time, and checks formats.
fn validator(declared: Declared) -> Result<Validator, String> {
    let Declared { mut document, dialect, pointer, .. } = declared;
    // Where it is published is no concern of ours, and would be what references are relative to.
    if let Some(members) = document.as_object_mut() {
        members.remove("$id");
    }
    let draft = match dialect {
        Dialect::Draft07 => Draft::Draft7,
        Dialect::Draft202012 => Draft::Draft202012,
    };
    let resource = draft.create_resource(document);
    let registry = Registry::new()
        .draft(draft)
        .add(DOCUMENT, resource)
        .and_then(|registry| registry.prepare())
        .map_err(|error| error.to_string())?;
    jsonschema::options()
        .with_draft(draft)
        .with_registry(&registry)
        .offline()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
        .build(&json!({ "$ref": format!("{DOCUMENT}#{pointer}") }))
        .map_err(|error| error.masked().to_string())
}
