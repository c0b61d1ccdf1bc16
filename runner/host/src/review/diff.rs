//! How the content of one change differs, as text where it is text.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use agentrc_audit::folder::Folder;
use agentrc_audit::text::printable;
use similar::{Algorithm, TextDiff};

use super::Copy;
use super::change::{Change, Node, What};
use super::walk::{open_file, open_folder};
use crate::error::Error;

/// Longest file, in bytes, whose lines are compared.
pub const TEXT_LIMIT: u64 = 2 << 20;
/// The agent chooses both sides, and so the worst case: after this the rest is shown as replaced.
const TIME: Duration = Duration::from_millis(500);

/// How the content differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A unified diff. Header names are escaped; lines are the agent's own bytes.
    Text(String),
    /// One side is not text.
    Binary,
    /// One side is longer than [`TEXT_LIMIT`].
    TooLong,
    /// There is no content to compare (folders, links, devices, a change of mode); the change says it all.
    None,
}

pub(super) fn difference(copy: &Copy, change: &Change) -> Result<Difference, Error> {
    let files = |node: &Option<Node>| node.as_ref().is_none_or(|node| node.what == What::File);
    let none = change.before.is_none() && change.after.is_none();
    if none || !files(&change.before) || !files(&change.after) || change.unreadable {
        return Ok(Difference::None);
    }
    let (old, new) = (read(&copy.source, change, &change.before)?, read(&copy.upper, change, &change.after)?);
    let (Content::Text(old), Content::Text(new)) = (&old, &new) else {
        let long = matches!(old, Content::TooLong) || matches!(new, Content::TooLong);
        return Ok(if long { Difference::TooLong } else { Difference::Binary });
    };
    if old == new {
        return Ok(Difference::None);
    }
    let path = printable(change.path.as_os_str().as_bytes());
    let header = |side: &Option<Node>, letter| match side {
        Some(_) => format!("{letter}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(TIME).diff_lines(old, new);
    let mut unified = diff.unified_diff();
    unified.context_radius(3).header(&header(&change.before, 'a'), &header(&change.after, 'b'));
    Ok(Difference::Text(unified.to_string()))
}

enum Content {
    Text(String),
    Binary,
    TooLong,
}

fn read(root: &Folder, change: &Change, side: &Option<Node>) -> Result<Content, Error> {
    if side.is_none() {
        return Ok(Content::Text(String::new()));
    }
    let parent = open_folder(root, change.path.parent().unwrap_or(Path::new("")))?;
    let file = open_file(&parent, change.path.file_name().unwrap_or_default())?;
    let mut bytes = Vec::new();
    file.take(TEXT_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", &root.path_of(&change.path)))?;
    if bytes.len() as u64 > TEXT_LIMIT {
        return Ok(Content::TooLong);
    }
    // A NUL is what git takes for binary, too.
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Content::Text(text)),
        _ => Ok(Content::Binary),
    }
}
