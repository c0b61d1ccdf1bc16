//! The review of a run's copies: what the agent changed, as a list; a diff; and the list carried out on the source, or dropped.
//!
//! The upper layer is what a hostile program made, in every name and every byte. It is only ever read: looked up beneath
//! descriptors, no link followed, nothing but ordinary files opened. The source is the user's own, and other programs use it: a change is
//! written to it only when it is still the folder that was copied, and what would be overwritten is as it was when the
//! run began.

mod apply;
mod change;
mod diff;
mod obstacle;
mod walk;

use std::path::Path;

use agentrc_audit::folder::Folder;
use agentrc_audit::ledger::Entry;
use rustix::fs::{self, Mode, OFlags, ResolveFlags};

pub use apply::{Applied, Choice};
pub use change::{Change, ChangeKind, Node, What};
pub use diff::{Difference, TEXT_LIMIT};
pub use obstacle::{Conflict, Refusal};

use crate::error::Error;
use crate::record::{Clock, Copied};
use crate::runs::Run;
use crate::state::StateDir;
use crate::tree;

/// Folder of a layer that receives the changes (`upperdir=`).
const UPPER: &str = "upper";

/// The copies of one run, open for review.
pub struct Review<'a> {
    state: &'a StateDir,
    run: Run,
    copies: Vec<Copy>,
}

/// One copy: the writable layer and the folder it is a copy of.
pub(crate) struct Copy {
    copied: Copied,
    upper: Folder,
    source: Folder,
    clock: Clock,
}

impl<'a> Review<'a> {
    /// Opens the copies of `run` that were not discarded. The run may go on: then the list is that of this moment.
    ///
    /// # Errors
    /// The record is damaged; a source is gone or was replaced by another folder.
    pub fn open(state: &'a StateDir, id: &str) -> Result<Self, Error> {
        let run = state.open_run(id)?;
        let mut copies = Vec::new();
        if let Some(record) = run.record()? {
            for copied in &record.copies {
                if let Some(upper) = layer_folder(&run, &copied.layer)? {
                    copies.push(Copy {
                        source: open_source(copied)?,
                        copied: copied.clone(),
                        upper,
                        clock: record.clock,
                    });
                }
            }
        }
        Ok(Self { state, run, copies })
    }

    /// What the agent changed, in the order of copies and paths, each with what keeps it from being applied.
    ///
    /// # Errors
    /// Reading the layer or the source; a mark in the layer that agentrc never asks overlayfs for.
    pub fn changes(&self) -> Result<Vec<Change>, Error> {
        let mut all = Vec::new();
        for copy in &self.copies {
            let mut changes = walk::changes(copy)?;
            obstacle::find(copy, &mut changes);
            all.append(&mut changes);
        }
        Ok(all)
    }

    /// How the content of `change` differs. Text is the agent's own, not escaped: viewers do that.
    ///
    /// # Errors
    /// Reading either side.
    pub fn difference(&self, change: &Change) -> Result<Difference, Error> {
        diff::difference(self.copy(&change.layer)?, change)
    }

    /// What [`Review::apply`] would carry out now.
    ///
    /// # Errors
    /// As [`Review::changes`]; [`Error::Refused`].
    pub fn chosen(&self, choice: &Choice) -> Result<Vec<Change>, Error> {
        apply::choose(self.changes()?, choice)
    }

    /// Carries changes out on their sources.
    ///
    /// # Errors
    /// [`Error::Refused`] and every other check: nothing was written. [`Error::Meanwhile`] and system calls: what comes
    /// before it is applied, and applying again goes on from there.
    pub fn apply(&self, choice: &Choice) -> Result<Applied, Error> {
        self.run.lock()?;
        let changes = self.chosen(choice)?;
        for copy in &self.copies {
            apply::check_writable(copy, &changes)?;
        }
        let note = |action: &str| {
            let (run, action) = (self.run.id().to_owned(), action.to_owned());
            self.state.note(Entry::Review { run, action, changes: Some(changes.len() as u64) })
        };
        note("apply")?;
        let mut applied = Applied::default();
        for copy in &self.copies {
            apply::apply(copy, &changes, &mut applied)?;
        }
        note("applied")?;
        Ok(applied)
    }

    fn copy(&self, layer: &str) -> Result<&Copy, Error> {
        let missing = || Error::NoLayer { run: self.run.id().to_owned(), layer: layer.to_owned() };
        self.copies.iter().find(|copy| copy.copied.layer == layer).ok_or_else(missing)
    }
}

/// Removes the layers of a run, whatever is in them; which ones. Sources are not looked at: this works too when the review
/// does not.
///
/// # Errors
/// The run goes on; the record is damaged; a layer cannot be removed.
pub fn discard(state: &StateDir, id: &str) -> Result<Vec<String>, Error> {
    let run = state.open_run(id)?;
    run.lock()?;
    let changes =
        Review::open(state, id).and_then(|review| review.changes()).map(|changes| changes.len() as u64);
    state.note(Entry::Review { run: id.to_owned(), action: "discard".to_owned(), changes: changes.ok() })?;
    let copies = run.record()?.map(|record| record.copies).unwrap_or_default();
    let mut removed = Vec::new();
    for Copied { layer, .. } in copies {
        check_layer_name(&run, &layer)?;
        if tree::remove(run.folder(), &layer)? {
            removed.push(layer);
        }
    }
    Ok(removed)
}

/// The copies that are there: not those that were discarded, nor those of a launch that has not come to them.
///
/// # Errors
/// The record is damaged, or a layer cannot be opened.
pub(crate) fn kept(run: &Run, copies: Vec<Copied>) -> Result<Vec<Copied>, Error> {
    let mut kept = Vec::new();
    for copied in copies {
        if layer(run, &copied.layer)?.is_some() {
            kept.push(copied);
        }
    }
    Ok(kept)
}

/// The upper folder of a layer; none when it was discarded.
fn layer_folder(run: &Run, name: &str) -> Result<Option<Folder>, Error> {
    Ok(layer(run, name)?.map(|folder| folder.folder(Path::new(UPPER))).transpose()?)
}

/// The folder of a layer; none when it was discarded.
fn layer(run: &Run, layer: &str) -> Result<Option<Folder>, Error> {
    check_layer_name(run, layer)?;
    match run.folder().folder(Path::new(layer)) {
        Ok(folder) => Ok(Some(folder)),
        Err(agentrc_audit::Error::Open { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// A layer is a folder of the run itself.
fn check_layer_name(run: &Run, layer: &str) -> Result<(), Error> {
    let plain = !layer.is_empty() && layer.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain { Ok(()) } else { Err(run.damaged(format!("`{layer}` is not the name of a layer"))) }
}

fn open_source(copied: &Copied) -> Result<Folder, Error> {
    let path = copied.source.as_ref();
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let fd = fs::openat2(fs::CWD, path, flags, Mode::empty(), resolve).map_err(Error::io("open", path))?;
    let stat = fs::fstat(&fd).map_err(Error::io("look at", path))?;
    if (stat.st_dev, stat.st_ino) != (copied.device, copied.inode) {
        return Err(Error::SourceReplaced(path.to_owned()));
    }
    Ok(Folder::new(fd, path))
}
