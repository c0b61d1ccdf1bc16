//! `agentrc man`: one page per command, from the same types as the parser.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;

use super::Outcome;
use crate::arguments::{Arguments, Man};
use crate::refusal::Refusal;
use crate::{exit, terminal};

/// Writes `agentrc.1`, `agentrc-run.1`, … and prints their names.
///
/// # Errors
/// A page that cannot be written.
pub fn man(arguments: &Man) -> Outcome {
    let folder = &arguments.folder;
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    let mut written = String::new();
    fs::create_dir_all(folder).and_then(|()| pages(folder, &root, "agentrc", &mut written)).map_err(
        |error| Refusal::new(format!("cannot write man pages to `{}`: {error}", terminal::path(folder))),
    )?;
    terminal::print(&written)?;
    Ok(exit::SUCCESS)
}

fn pages(folder: &Path, command: &clap::Command, name: &str, written: &mut String) -> io::Result<()> {
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?)?;
    written.push_str(&terminal::path(&path));
    written.push('\n');
    for inner in command.get_subcommands() {
        pages(folder, inner, &format!("{name}-{}", inner.get_name()), written)?;
    }
    Ok(())
}

/// The page of one command, with the usage line of its `--help`: clap_mangen's own synopsis drops `--` and `...`.
fn page(command: &clap::Command, name: &str) -> io::Result<String> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    // `name agentrc-run`, not `run`: what man(1) is asked for.
    let shown = command.clone().override_usage(usage).display_name(name);
    let mut bytes = Vec::new();
    clap_mangen::Man::new(shown).title(name).render(&mut bytes)?;
    let mut text = String::from_utf8(bytes).map_err(io::Error::other)?;
    for argument in command.get_positionals() {
        let many = matches!(argument.get_action(), clap::ArgAction::Append);
        if let (true, Some([value])) = (many, argument.get_value_names()) {
            text = text.replace(&format!("\n[\\fI{value}\\fR]\n"), &format!("\n[\\fI{value}\\fR]...\n"));
        }
    }
    Ok(text)
}
