//! How much a store may hold, how long one waits for it, and who may write.

use std::time::Duration;

use crate::error::Error;

/// Most results of one call.
pub const PAGE_ITEMS: usize = 100;
/// Bytes of values after which a page of results ends; it has at least one.
pub const PAGE_BYTES: usize = 1 << 20;
/// What [`Limits::value_bytes`] may be at most.
pub const VALUE_BYTES_MAX: u64 = 16 << 20;
/// How deep a value may be nested: validation and deletion recurse.
pub const VALUE_DEPTH: usize = 64;
/// Longest key, in bytes.
pub(crate) const KEY_BYTES: usize = 256;
/// What a version counts for beside its texts: rows, indexes, entries of the search index. Without it, millions of empty
/// versions would cost nothing.
pub(crate) const VERSION_BYTES: u64 = 256;

/// Whether the run may write: `mode:ro` or `mode:rw` of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `mode:ro`
    ReadOnly,
    /// `mode:rw`
    ReadWrite,
}

impl Mode {
    /// The mode of a plan's entry.
    #[must_use]
    pub fn of(writable: bool) -> Self {
        if writable { Self::ReadWrite } else { Self::ReadOnly }
    }
}

/// Bounds of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest value, in bytes of its JSON; at most [`VALUE_BYTES_MAX`].
    pub value_bytes: u64,
    /// Most keys that have a value at one time.
    pub values: u64,
    /// Most bytes of all versions together, old ones and deletions too: keys, values, provenance, and 256 for each.
    pub total_bytes: u64,
    /// How long another run's write is waited for.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { value_bytes: 64 << 10, values: 10_000, total_bytes: 64 << 20, wait: Duration::from_secs(5) }
    }
}

impl Limits {
    pub(crate) fn check(self) -> Result<Self, Error> {
        if self.value_bytes > VALUE_BYTES_MAX {
            return Err(Error::Limits(self.value_bytes));
        }
        Ok(self)
    }

    /// The wait in whole milliseconds, as SQLite takes it.
    pub(crate) fn wait(self) -> Duration {
        self.wait.min(Duration::from_millis(i32::MAX.unsigned_abs().into()))
    }
}
