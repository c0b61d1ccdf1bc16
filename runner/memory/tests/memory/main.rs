//! Stores on a real disk: what they keep, refuse and survive.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod confirm;
mod damage;
mod files;
mod search;
mod together;
mod versions;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use agentrc_audit::folder::Folder;
use agentrc_memory::{Error, Limits, Mode, Name, Provenance, Schema, Store, Trust};
use serde_json::{Value, json};

/// A note has a text, and may have tags.
const NOTE: &str = r#"{"$defs": {"Note": {"type": "object", "required": ["text"], "additionalProperties": false,
    "properties": {"text": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}}}}}"#;

/// A state directory, gone after the test.
struct State {
    dir: tempfile::TempDir,
    limits: Limits,
}

impl State {
    fn new() -> Self {
        // As the state directory is.
        let private = Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        Self { dir, limits: Limits::default() }
    }

    fn with(limits: Limits) -> Self {
        Self { limits, ..Self::new() }
    }

    fn try_open(&self, agent: &str, memory: &str, mode: Mode, schema: &str) -> Result<Store, Error> {
        let folder = Folder::open(self.dir.path()).unwrap();
        let schema = Schema::compile(schema.as_bytes(), "Note").unwrap();
        Store::open(&folder, Name { agent, memory, mode }, schema, self.limits)
    }

    fn reopen(&self) -> Result<Store, Error> {
        self.try_open("coder", "notes", Mode::ReadWrite, NOTE)
    }

    fn store(&self) -> Store {
        self.reopen().unwrap()
    }

    /// A file of the store `notes` of `coder`.
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("memory/coder/notes").join(name)
    }

    fn database(&self) -> PathBuf {
        self.file("memory.db")
    }
}

fn from(trust: Trust) -> Provenance {
    Provenance { run: "run-1".to_owned(), call: "call-1".to_owned(), trust }
}

fn trusted() -> Provenance {
    from(Trust::Trusted)
}

fn note(text: &str) -> Value {
    json!({ "text": text })
}

/// Writes a trusted note.
fn put(store: &mut Store, key: &str, text: &str) -> u64 {
    store.write(key, &note(text), &trusted(), None).unwrap()
}

/// The text of the note under `key`.
fn text(store: &Store, key: &str) -> Option<String> {
    let version = store.read(key).unwrap()?;
    Some(version.value?["text"].as_str()?.to_owned())
}
