//! The binary: command line, supervisor wiring, viewers. The only crate that knows all the others; it decides nothing
//! about what an agent may do.
//!
//! ```text
//! arguments ─▶ commands/* ─▶ package (files of the Agentfile's folder) ─▶ agentfile::compile ─▶ Plan
//!                    run:  Plan ─▶ unenforced? ─▶ grants ─▶ state directory ─▶ jail::launch (audit log) ─▶ exit
//! ```
#![forbid(unsafe_code)]

pub mod arguments;
mod beside;
pub mod broker;
pub mod commands;
pub mod consent;
pub mod credentials;
pub mod denial;
pub mod events;
pub mod exit;
pub mod fault;
pub mod filter;
pub mod gateway;
pub mod health;
pub mod host;
pub mod inside;
pub mod lockfile;
pub mod package;
pub mod policies;
pub mod python;
pub mod recorder;
pub mod refusal;
pub mod remedy;
mod rewritable;
#[cfg(test)]
mod sample;
pub mod servers;
pub mod skill;
pub mod socket;
pub mod source;
pub mod terminal;
pub mod view;

use std::process::ExitCode;

use arguments::Arguments;
use terminal::Style;

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    agentrc_jail::fail_beyond_file_size_limit();
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    exit::code(commands::carry_out(&arguments.command).unwrap_or_else(|failure| {
        terminal::complain(&failure.render(Style::stderr()));
        failure.code()
    }))
}

/// Help and version go to standard output with 0; a wrong command line is 2, but 125 for `run` and `skill run`, whose 2 is
/// the program's.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return exit::code(terminal::print(&text).map_or(exit::FAILURE, |()| exit::SUCCESS));
    }
    terminal::complain(&text);
    let words: Vec<_> = std::env::args_os().skip(1).take(2).collect();
    let run = match words.as_slice() {
        [command, ..] if command == "run" => true,
        [command, run] => command == "skill" && run == "run",
        _ => false,
    };
    exit::code(if run { exit::REFUSED } else { exit::USAGE })
}
