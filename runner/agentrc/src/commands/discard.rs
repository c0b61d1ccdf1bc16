//! `agentrc discard`: a run's private copies, removed. The log stays.

use agentrc_host::StateDir;
use agentrc_host::review::Review;

use super::{Outcome, sure};
use crate::arguments::Discard;
use crate::refusal::Refusal;
use crate::{exit, host, terminal};

/// Removes the copies of one run.
///
/// # Errors
/// There is no such run, it goes on, or something cannot be removed.
pub fn discard(arguments: &Discard) -> Outcome {
    let state = StateDir::of_this_user()?;
    let run = host::run_named(&state, &arguments.run.name)?;
    if state.open_run(&run)?.record_now()?.is_none_or(|record| record.copies.is_empty()) {
        terminal::print(&format!("{run} has no copies\n"))?;
        return Ok(exit::SUCCESS);
    }
    // A copy in which nothing changed is no loss. One that cannot be read may be.
    let unchanged = Review::open(&state, &run).and_then(|review| review.changes());
    let loses_nothing = unchanged.is_ok_and(|changes| changes.is_empty());
    if !arguments.yes && !loses_nothing && !sure(&format!("throw away what {run} changed?"))? {
        return Err(Refusal::new("nothing was discarded").into());
    }
    let removed = agentrc_host::review::discard(&state, &run)?;
    terminal::print(&match removed.len() {
        0 => format!("{run} has no copies\n"),
        1 => format!("discarded the copy of {run}\n"),
        number => format!("discarded {number} copies of {run}\n"),
    })?;
    Ok(exit::SUCCESS)
}
