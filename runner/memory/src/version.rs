//! What a store answers with.

use serde_json::Value;

use crate::provenance::{Provenance, Trust};

/// One version of what is kept under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The key.
    pub key: String,
    /// 1 for the first of a key, and one more each time, deletions included.
    pub version: u64,
    /// The value; `None` when this version is a deletion.
    pub value: Option<Value>,
    /// Where it came from.
    pub provenance: Provenance,
    /// Who confirmed it, when that was needed or given.
    pub approval: Option<String>,
    /// SHA-256 (hex) of the schema that it was checked against when it was written.
    pub schema_sha256: String,
    /// The type in that schema.
    pub schema_type: String,
    /// Why it does not fit the schema of today; `None` when it does, and for a deletion.
    pub unfit: Option<String>,
}

/// A key that has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Its version.
    pub version: u64,
    /// What that came from.
    pub trust: Trust,
}

/// Some of the results, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The results.
    pub items: Vec<T>,
    /// Whether there are more behind the last of them.
    pub more: bool,
}

impl<T> Page<T> {
    pub(crate) fn empty() -> Self {
        Self { items: Vec::new(), more: false }
    }
}
