//! What can go wrong with a memory. Each of these leaves it as it was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;

use crate::effect::Effect;

/// Longest text of somebody else's in a message, in characters.
const SHORT: usize = 300;

/// A step that failed, or was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The schema may not be used. `why` continues a sentence that begins with the file.
    #[error("the memory's schema {why}\n  help: {help}")]
    Schema {
        /// What is wrong with it.
        why: String,
        /// What to do.
        help: String,
    },
    /// The schema is not the one that was compiled into the plan.
    #[error(
        "the memory's schema has SHA-256 {found}, and the plan says {planned}: the file changed\n  help: start the run again"
    )]
    SchemaChanged {
        /// What it has.
        found: String,
        /// What it should have.
        planned: String,
    },
    /// A bound is higher than the store can hold.
    #[error("values of {0} bytes are more than a memory can hold\n  help: set at most {max} bytes", max = crate::limits::VALUE_BYTES_MAX)]
    Limits(u64),
    /// The agent or the memory has a name that is no file's name.
    #[error(
        "`{0}` is no name of an agent or a memory\n  help: a name has letters, digits, `.`, `_` and `-`, and starts with a letter or digit"
    )]
    Name(String),
    /// A folder or file of the state directory could not be used.
    #[error(transparent)]
    Kept(#[from] agentrc_audit::Error),
    /// A system call on a path of the state directory.
    #[error("cannot {step} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The database is not what this crate wrote. It is left as it is.
    #[error("the memory `{}` is damaged: {why}\n  help: put a copy of it back, or move it away to begin with an empty one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file is something else, or the memory of another agent. It is left as it is.
    #[error("`{}` is not this memory: {why}\n  help: move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// The database was written by another version of agentrc.
    #[error("the memory `{}` has format {found}, and this agentrc knows {known}\n  help: use the agentrc that wrote it, or move it away", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Another run held the memory for too long.
    #[error("another run was writing to the memory `{}` for {waited:?}: nothing was changed\n  help: try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// SQLite could not do it.
    #[error("cannot {step} the memory `{}`: {source}", path.display())]
    Sqlite {
        /// What was tried, as a verb.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The line says `mode:ro`.
    #[error("the memory `{0}` is read-only in this run\n  help: write `mode:rw` in its `MEMORY` line")]
    ReadOnly(String),
    /// The key cannot be used.
    #[error("`{key}` cannot be a key: {why}")]
    Key {
        /// The key, shortened and escaped.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// What is looked for cannot be used.
    #[error("this cannot be searched for: {0}")]
    Query(String),
    /// The name of the run or of the call cannot be kept.
    #[error("the name of the {0} is empty, too long, or has characters that cannot be seen")]
    Provenance(&'static str),
    /// The value does not fit the schema.
    #[error("the value does not fit the memory's schema: {0}")]
    Unfit(String),
    /// The value is too large, or nested too deep.
    #[error("the value is too large: {0}")]
    Value(String),
    /// There is no room.
    #[error("the memory `{memory}` is full: it may hold {what}")]
    Full {
        /// Its name.
        memory: String,
        /// Which bound.
        what: String,
    },
    /// There is nothing to delete.
    #[error("the memory has no value for `{0}`")]
    Absent(String),
    /// Content that came from a tool or the network changes nothing by itself.
    #[error("needs a confirmation: {0}")]
    NeedsConfirmation(Box<Effect>),
    /// What was confirmed is not what there is any more.
    #[error("the value of `{key}` changed since it was confirmed (then {}, now {}): nothing was changed", state(*confirmed), state(*now))]
    Stale {
        /// The key.
        key: String,
        /// The version that was shown.
        confirmed: Option<u64>,
        /// The version that there is.
        now: Option<u64>,
    },
    /// Something else was confirmed.
    #[error("what was confirmed is another change than this one of `{key}`: nothing was changed")]
    OtherEffect {
        /// The key that was to change.
        key: String,
    },
}

impl Error {
    /// For `map_err`: SQLite's answer to `step` on the database at `path`, for which `waited` was the longest wait.
    pub(crate) fn sqlite(
        step: &'static str,
        path: &Path,
        waited: Duration,
    ) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| {
            let path = path.to_owned();
            match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path, waited },
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Self::Damaged { path, why: source.to_string() }
                }
                // A column that has another type than we wrote.
                None => Self::Damaged { path, why: source.to_string() },
                Some(_) => Self::Sqlite { step, path, source },
            }
        }
    }

    /// For `map_err`: a system call on `path` that failed.
    pub(crate) fn io<E: Into<std::io::Error>>(step: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { step, path: path.to_owned(), source: source.into() }
    }
}

/// The beginning of a text of somebody else's.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn state(version: Option<u64>) -> String {
    version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"))
}
