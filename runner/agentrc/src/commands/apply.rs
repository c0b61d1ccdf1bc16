//! `agentrc apply`: a run's changes, carried out on the host's files.

use agentrc_host::StateDir;
use agentrc_host::review::{Choice, Review};

use super::{Outcome, sure};
use crate::arguments::Apply;
use crate::refusal::Refusal;
use crate::{exit, host, terminal};

/// Applies all changes, or those that were named.
///
/// # Errors
/// Something cannot be applied (then nothing was), or changed meanwhile.
pub fn apply(arguments: &Apply) -> Outcome {
    let state = StateDir::of_this_user()?;
    let run = host::run_named(&state, &arguments.run.name)?;
    let choice = Choice { paths: arguments.paths.clone(), force: arguments.force, skip: arguments.skip };
    let review = Review::open(&state, &run)?;
    let number = review.chosen(&choice)?.len();
    if number == 0 {
        terminal::print("0 written, 0 removed: there is nothing to apply\n")?;
        return Ok(exit::SUCCESS);
    }
    let changes = if number == 1 { "1 change".to_owned() } else { format!("{number} changes") };
    if !arguments.yes && !sure(&format!("write {changes} to the host's files?"))? {
        return Err(Refusal::new("nothing was applied").into());
    }
    let applied = review.apply(&choice)?;
    terminal::print(&format!(
        "{} written, {} removed; the copies are kept until agentrc discard {run}\n",
        applied.written, applied.removed
    ))?;
    Ok(exit::SUCCESS)
}
