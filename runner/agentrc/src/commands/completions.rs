//! `agentrc completions`: from the same types as the parser, so that they cannot disagree.

use clap::CommandFactory;

use super::Outcome;
use crate::arguments::{Arguments, Completions};
use crate::{exit, terminal};

/// Prints the script.
///
/// # Errors
/// Standard output.
pub fn completions(arguments: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "agentrc", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))?;
    Ok(exit::SUCCESS)
}
