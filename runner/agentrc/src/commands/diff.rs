//! `agentrc diff`: what a run changed in its private copies. Every name and every line of it is the agent's.

use std::fmt::Write as _;

use agentrc_audit::text::{printable, printable_text};
use agentrc_host::StateDir;
use agentrc_host::review::{Change, ChangeKind, Difference, Node, Review, What};

use super::Outcome;
use crate::arguments::Diff;
use crate::terminal::{Style, Tone};
use crate::{exit, host, terminal};

/// Prints the changes, a name and then its lines.
///
/// # Errors
/// There is no such run, or its copies cannot be read.
pub fn diff(arguments: &Diff) -> Outcome {
    let state = StateDir::of_this_user()?;
    let review = Review::open(&state, &host::run_named(&state, &arguments.run.name)?)?;
    let changes = review.changes()?;
    let style = Style::stdout();
    if changes.is_empty() {
        terminal::print("no changes\n")?;
    }
    // One write a change: a hostile run can make the whole as large as the disk.
    for change in &changes {
        let mut out = headline(change, style);
        if !arguments.names {
            out.push_str(&body(&review.difference(change)?, style));
        }
        terminal::print(&out)?;
    }
    Ok(exit::SUCCESS)
}

/// The letter, the name, what it became, and what keeps it from being applied.
pub(super) fn headline(change: &Change, style: Style) -> String {
    let (letter, tone) = match change.kind {
        ChangeKind::Added => ("A", Tone::Good),
        ChangeKind::Modified => ("M", Tone::Warn),
        ChangeKind::Mode => ("m", Tone::Warn),
        ChangeKind::Retyped => ("T", Tone::Warn),
        ChangeKind::Removed => ("D", Tone::Bad),
    };
    let mut out = format!("{} {}", style.paint(tone, letter), change.shown_path());
    // Writing to a String cannot fail.
    let _ = match (&change.before, &change.after) {
        (Some(before), Some(after)) if change.kind == ChangeKind::Mode => {
            writeln!(out, "  mode {:04o} -> {:04o}", before.mode, after.mode)
        }
        (Some(before), Some(after)) if change.kind == ChangeKind::Retyped => {
            writeln!(out, "  {} -> {}", kind(before), kind(after))
        }
        (None, Some(after)) if after.what != What::File => writeln!(out, "  {}", kind(after)),
        _ => writeln!(out),
    };
    for obstacle in change.obstacles() {
        let _ = writeln!(
            out,
            "    {} {}",
            style.paint(Tone::Bad, "cannot be applied:"),
            printable_text(&obstacle)
        );
    }
    out
}

fn kind(node: &Node) -> String {
    match &node.what {
        What::File => "file".to_owned(),
        What::Folder => "folder".to_owned(),
        What::Symlink(text) => {
            format!("link to {}", printable(std::os::unix::ffi::OsStrExt::as_bytes(text.as_os_str())))
        }
        What::Special(what) => (*what).to_owned(),
    }
}

fn body(difference: &Difference, style: Style) -> String {
    let text = match difference {
        Difference::None => return String::new(),
        Difference::Binary => return "    binary content differs\n".to_owned(),
        Difference::TooLong => return "    too long to compare\n".to_owned(),
        Difference::Text(text) => text,
    };
    let mut out = String::new();
    for line in text.lines() {
        let shown = printable_text(line);
        let tone = match line.as_bytes().first() {
            Some(b'+') => Some(Tone::Good),
            Some(b'-') => Some(Tone::Bad),
            Some(b'@') => Some(Tone::Faint),
            _ => None,
        };
        out.push_str(&tone.map_or_else(|| shown.clone(), |tone| style.paint(tone, &shown)));
        out.push('\n');
    }
    out
}
