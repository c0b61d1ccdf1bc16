//! `agentrc apply`: a run's changes, carried out on the host's files.

use agentrc_host::StateDir;
use agentrc_host::review::{Choice, Review};

use super::Outcome;
use crate::arguments::Apply;
use crate::{exit, terminal};

/// Applies all changes, or those that were named.
///
/// # Errors
/// Something cannot be applied (then nothing was), or changed meanwhile.
pub fn apply(arguments: &Apply) -> Outcome {
    let state = StateDir::of_this_user()?;
    let run = state.resolve_run(&arguments.run.name)?;
    let choice = Choice { paths: arguments.paths.clone(), force: arguments.force, skip: arguments.skip };
    let applied = Review::open(&state, &run)?.apply(&choice)?;
    terminal::print(&format!(
        "{} written, {} removed; the copies are kept until agentrc discard {run}\n",
        applied.written, applied.removed
    ))?;
    Ok(exit::SUCCESS)
}
