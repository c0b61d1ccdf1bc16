//! `agentrc discard`: a run's private copies, removed. The log stays.

use agentrc_host::StateDir;

use super::Outcome;
use crate::arguments::Discard;
use crate::{exit, terminal};

/// Removes the copies of one run.
///
/// # Errors
/// There is no such run, it goes on, or something cannot be removed.
pub fn discard(arguments: &Discard) -> Outcome {
    let state = StateDir::of_this_user()?;
    let run = state.resolve_run(&arguments.run.name)?;
    let removed = agentrc_host::review::discard(&state, &run)?;
    terminal::print(&match removed.len() {
        0 => format!("{run} has no copies\n"),
        1 => format!("discarded the copy of {run}\n"),
        number => format!("discarded {number} copies of {run}\n"),
    })?;
    Ok(exit::SUCCESS)
}
