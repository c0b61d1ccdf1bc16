//! What can go wrong with what is kept on the host.

use std::io;
use std::path::{Path, PathBuf};

use crate::review::Change;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the state directory: opening, checking, writing; the key, the ledger.
    #[error(transparent)]
    Kept(#[from] agentrc_audit::Error),
    /// Where the state directory belongs cannot be told.
    #[error("cannot tell where to keep state: {why}\n  help: {help}")]
    Locate {
        /// What is missing.
        why: String,
        /// What to do.
        help: String,
    },
    /// The folder that holds the state directory is not safe.
    #[error("`{}` {why}, so what is kept in it could be replaced\n  help: {help}", path.display())]
    Base {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do.
        help: String,
    },
    /// A configuration file cannot be taken for the operator's.
    #[error("the configuration `{}` {why}\n  help: {help}", path.display())]
    ConfigFile {
        /// The file, or its folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do.
        help: String,
    },
    /// What a configuration file says is not understood, or not the user's to say.
    #[error("{place}: {why}\n  help: {help}")]
    Config {
        /// Where.
        place: crate::config::Place,
        /// What is wrong.
        why: String,
        /// What to do.
        help: String,
    },
    /// A system call on a path.
    #[error("cannot {step} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A record of a run is damaged.
    #[error("`{}` is damaged: {why}\n  help: `agentrc runs --remove {run}` removes the run, its copies too", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The run.
        run: String,
        /// What is wrong.
        why: String,
    },
    /// A file of grants is damaged. It grants nothing, and is not taken for absent either.
    #[error("`{}` is damaged: {why}\n  help: remove it, and run `agentrc allow` again", path.display())]
    Grants {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file of pins cannot be used. What it pinned is not taken for new.
    #[error("`{}` cannot be used: {why}\n  help: remove it, if what its servers' tools say of themselves now is to be pinned", path.display())]
    Pins {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A folder whose grants are asked for is not absolute, or its name is not UTF-8.
    #[error("no grant can be recorded for `{}`: {why}", path.display())]
    GrantFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// No run has this name.
    #[error("no run is called `{0}`\n  help: `agentrc runs` lists them")]
    NoRun(String),
    /// A ticket, or what was decided about it, is damaged. It approves nothing.
    #[error("`{}` is damaged: {why}\n  help: deny what asked for it, or end its run", path.display())]
    Ticket {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No ticket has this name.
    #[error("there is no ticket `{0}`\n  help: `agentrc approvals` lists those that can be decided")]
    NoTicket(String),
    /// A ticket cannot be decided any more.
    #[error(
        "the ticket `{ticket}` cannot be decided: {why}\n  help: `agentrc approvals` lists those that can be"
    )]
    Closed {
        /// Its name.
        ticket: String,
        /// Why not.
        why: String,
    },
    /// Several runs begin so.
    #[error("`{asked}` is the beginning of {} runs: {}\n  help: say more of the name; `agentrc runs` lists them", runs.len(), some(runs))]
    AmbiguousRun {
        /// What was asked.
        asked: String,
        /// Which begin so, oldest first.
        runs: Vec<String>,
    },
    /// No free name for a run was found.
    #[error("cannot name the run: {0} names of this second are taken")]
    NoName(u32),
    /// The run goes on, or another command reviews it.
    #[error("the run `{0}` goes on, or another `agentrc` works on it\n  help: wait for it to end")]
    Busy(String),
    /// The run has no copy of this name.
    #[error("the run `{run}` has no copies called `{layer}`")]
    NoLayer {
        /// The run.
        run: String,
        /// The layer.
        layer: String,
    },
    /// The folder that was copied is not the same any more.
    #[error("`{}` is not the folder that the run copied: it was replaced\n  help: look at `agentrc diff`, and take over by hand what you want", .0.display())]
    SourceReplaced(PathBuf),
    /// The upper layer holds something that this version never asks overlayfs for.
    #[error("`{}` in the copy carries `{mark}`, which agentrc never asks for", path.display())]
    Mark {
        /// Path in the copy.
        path: PathBuf,
        /// Extended attribute.
        mark: &'static str,
    },
    /// Some changes must not, or not without `--force`, be applied. Nothing was written.
    #[error("nothing was applied: {} of the changes cannot be{}", .0.len(), list(.0))]
    Refused(Vec<Change>),
    /// The source changed between check and write.
    #[error("`{}` changed while it was applied; what came before it in the list is applied", .0.display())]
    Meanwhile(PathBuf),
}

impl Error {
    /// For `map_err`: a system call on `path` that failed.
    pub(crate) fn io<E: Into<io::Error>>(step: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { step, path: path.to_owned(), source: source.into() }
    }
}

/// The newest few names, and how many more there are.
fn some(runs: &[String]) -> String {
    const MOST: usize = 5;
    let mut words: Vec<_> = runs.iter().rev().take(MOST).map(|run| format!("`{run}`")).collect();
    if let more @ 1.. = runs.len().saturating_sub(MOST) {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

fn list(changes: &[Change]) -> String {
    let mut words = String::new();
    for change in changes {
        for why in change.obstacles() {
            words.push_str(&format!("\n  {}: {why}", change.shown_path()));
        }
    }
    words
}
