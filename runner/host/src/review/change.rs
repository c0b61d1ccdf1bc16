//! One change: what a path was in the source, and what it is in the copy.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use agentrc_audit::text::printable;

use super::obstacle::{Conflict, Refusal};
use crate::record::Clock;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An ordinary file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link with this text.
    Symlink(OsString),
    /// A device, FIFO or socket, in words.
    Special(&'static str),
}

/// One side of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub what: What,
    /// Permission bits, such as 0o644; for folders without the set-group-ID bit, which they inherit.
    pub mode: u32,
    /// Size in bytes, of files.
    pub size: u64,
    pub(crate) identity: Identity,
}

/// What tells whether something is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) changed: Clock,
    pub(crate) owner: u32,
    pub(crate) group: u32,
}

/// How the two sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content differs (and perhaps its mode).
    Modified,
    /// Only its permission bits differ.
    Mode,
    /// It is something else now: a link in the place of a file.
    Retyped,
    /// It is gone. Everything in a removed folder is listed too.
    Removed,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Layer of the copy: `copy-0`.
    pub layer: String,
    /// Path inside the sandbox of the copy's root, for people.
    pub target: String,
    /// Relative to the copy's root; bytes, not text. Empty for the root itself.
    pub path: PathBuf,
    /// How it changed.
    pub kind: ChangeKind,
    /// The source's side; none for what was added.
    pub before: Option<Node>,
    /// The copy's side; none for what was removed.
    pub after: Option<Node>,
    /// What forbids applying it.
    pub refusal: Option<Refusal>,
    /// What makes applying it need `--force`.
    pub conflict: Option<Conflict>,
    /// Whether its content or marks could not be read.
    pub(crate) unreadable: bool,
}

impl Change {
    /// The path inside the sandbox, fit for a terminal.
    #[must_use]
    pub fn shown_path(&self) -> String {
        let path = std::path::Path::new(&self.target).join(&self.path);
        let shown = printable(path.as_os_str().as_bytes());
        if self.path.as_os_str().is_empty() { shown.trim_end_matches('/').to_owned() } else { shown }
    }

    /// In words why it cannot be applied: what forbids it, and what needs `--force`.
    #[must_use]
    pub fn obstacles(&self) -> Vec<String> {
        let refusal = self.refusal.as_ref().map(ToString::to_string);
        refusal.into_iter().chain(self.conflict.map(|conflict| conflict.to_string())).collect()
    }

    pub(crate) fn is_folder_after(&self) -> bool {
        matches!(self.after, Some(Node { what: What::Folder, .. }))
    }

    pub(crate) fn was_folder(&self) -> bool {
        matches!(self.before, Some(Node { what: What::Folder, .. }))
    }
}
