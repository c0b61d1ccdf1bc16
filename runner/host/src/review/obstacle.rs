//! What keeps a change from being applied: what is never done, and what is done only when a person insists.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::Copy;
use super::change::{Change, ChangeKind, Node, What};
use crate::record::Clock;

/// Why a change is never applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is, holds or lies beneath a protected path.
    #[error("`{0}` is protected: what the host would run or trust is never written")]
    Protected(String),
    /// A device, FIFO or socket.
    #[error("it is a {0}, which is never made on the host")]
    Special(&'static str),
    /// A file with set-user-ID, set-group-ID or sticky bit; a folder with set-user-ID.
    #[error("it has the mode {0:04o}, and set-ID bits are never put on the host's files")]
    SetId(u32),
    /// What is replaced belongs to somebody else.
    #[error("it belongs to user {0}, and would not any more")]
    Owner(u32),
    /// What is replaced belongs to a group that we cannot give it.
    #[error("it belongs to group {0}, and would not any more")]
    Group(u32),
    /// It cannot be read in the copy.
    #[error("it cannot be read in the copy (mode {0:04o})")]
    Unreadable(u32),
    /// The folder that it is in is refused.
    #[error("the folder it is in cannot be made")]
    Parent,
}

/// Why a change is applied only with `--force`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The source's side changed after the run began.
    #[error("the source changed after the run began (`--force` overwrites it)")]
    Changed,
}

/// Fills in the refusals and conflicts.
pub(super) fn find(copy: &Copy, changes: &mut [Change]) {
    let mut refused_folder: Option<std::path::PathBuf> = None;
    for change in changes {
        let beneath = refused_folder.as_ref().is_some_and(|folder| change.path.starts_with(folder));
        change.conflict = conflict(change, copy.clock);
        change.refusal = refusal(copy, change).or(beneath.then_some(Refusal::Parent));
        // Changes are sorted so that what is in a folder follows it.
        if !beneath {
            let folder =
                change.refusal.is_some() && change.is_folder_after() && change.kind != ChangeKind::Mode;
            refused_folder = folder.then(|| change.path.clone());
        }
    }
}

/// Whether applying would undo what somebody else did since. A folder's own ctime moves with everything made in it, so what is
/// in it is looked at instead. What the source has no more is made again: nothing is lost by that.
fn conflict(change: &Change, began: Clock) -> Option<Conflict> {
    let before = change.before.as_ref().filter(|before| before.what != What::Folder)?;
    (before.identity.changed > began).then_some(Conflict::Changed)
}

fn refusal(copy: &Copy, change: &Change) -> Option<Refusal> {
    if let Some(protected) = copy.copied.protected.iter().find(|path| touches(change, Path::new(path))) {
        return Some(Refusal::Protected(protected.clone()));
    }
    let after = change.after.as_ref()?;
    let set_id = if after.what == What::Folder { 0o4000 } else { 0o7000 };
    match after.what {
        What::Special(what) => return Some(Refusal::Special(what)),
        What::File | What::Folder if after.mode & set_id != 0 => return Some(Refusal::SetId(after.mode)),
        _ if change.unreadable => return Some(Refusal::Unreadable(after.mode)),
        _ => {}
    }
    change.before.as_ref().and_then(ownership)
}

/// Whether what replaces `before`, made by us, can belong to whom it belonged to.
fn ownership(before: &Node) -> Option<Refusal> {
    let (me, root) = (rustix::process::geteuid(), rustix::process::geteuid().is_root());
    let group = before.identity.group;
    if root {
        None
    } else if before.identity.owner != me.as_raw() {
        Some(Refusal::Owner(before.identity.owner))
    } else {
        let mine = rustix::process::getgroups().unwrap_or_default();
        let member =
            rustix::process::getegid().as_raw() == group || mine.iter().any(|gid| gid.as_raw() == group);
        (!member).then_some(Refusal::Group(group))
    }
}

/// Whether a change writes a protected path: the path itself, what is beneath it, or a parent that stops being a folder
/// or never was one. Letters are compared without case, as some file systems do.
fn touches(change: &Change, protected: &Path) -> bool {
    let same = |a: std::path::Component<'_>, b: std::path::Component<'_>| {
        a.as_os_str().as_bytes().eq_ignore_ascii_case(b.as_os_str().as_bytes())
    };
    let common = change.path.components().zip(protected.components()).all(|(a, b)| same(a, b));
    let (here, there) = (change.path.components().count(), protected.components().count());
    common && (here >= there || !change.is_folder_after())
}

#[cfg(test)]
mod tests {
    use super::super::change::Identity;
    use super::*;

    fn change(path: &str, after: Option<What>) -> Change {
        let identity = Identity {
            device: 0,
            inode: 0,
            changed: Clock { seconds: 0, nanoseconds: 0 },
            owner: 0,
            group: 0,
        };
        Change {
            layer: "copy-0".into(),
            target: "/w".into(),
            path: path.into(),
            kind: ChangeKind::Added,
            before: None,
            after: after.map(|what| Node { what, mode: 0o644, size: 0, identity }),
            refusal: None,
            conflict: None,
            unreadable: false,
        }
    }

    #[test]
    fn protected_paths_hold_what_is_beneath_and_what_would_replace_their_parents() {
        let hooks = Path::new(".git/hooks");
        for (path, after, touched) in [
            (".git/hooks", Some(What::Folder), true),
            (".git/hooks/pre-commit", Some(What::File), true),
            (".GIT/Hooks/pre-commit", Some(What::File), true),
            (".git", None, true),
            (".git", Some(What::File), true),
            (".git", Some(What::Symlink("x".into())), true),
            ("", None, true),
            (".git", Some(What::Folder), false),
            (".git/HEAD", Some(What::File), false),
            (".git/hooks2", Some(What::File), false),
            ("a/.git/hooks", Some(What::File), false),
        ] {
            assert_eq!(touches(&change(path, after.clone()), hooks), touched, "{path} {after:?}");
        }
    }
}
