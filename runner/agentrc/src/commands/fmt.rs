//! `agentrc fmt`: the canonical layout of an Agentfile.

use agentfile::render;

use super::Outcome;
use super::init::replace;
use crate::arguments::Fmt;
use crate::refusal::{Failure, Refusal};
use crate::source::Source;
use crate::terminal::Style;
use crate::{exit, terminal};

/// Rewrites the file, or with `--check` says whether it would.
///
/// # Errors
/// The file has errors, or cannot be read or written.
pub fn fmt(arguments: &Fmt) -> Outcome {
    let source = Source::open(&arguments.at.path)?;
    let formatted = agentfile::fmt::format(source.bytes()).map_err(|findings| {
        let text = render::text(source.shown(), source.bytes(), &findings, Style::stderr().colour());
        terminal::complain(&text);
        Failure::from(Refusal::new(format!("`{}` has errors, and was not changed", source.shown())))
    })?;
    if formatted.as_bytes() == source.bytes() {
        return Ok(exit::SUCCESS);
    }
    if arguments.check {
        terminal::print(&format!("{} is not formatted\n", source.shown()))?;
        return Ok(exit::FAILURE);
    }
    replace(&source.path(), formatted.as_bytes())
        .map_err(|error| Refusal::new(format!("cannot write `{}`: {error}", source.shown())))?;
    terminal::print(&format!("formatted {}\n", source.shown()))?;
    Ok(exit::SUCCESS)
}
