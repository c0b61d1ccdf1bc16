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
    // `name agentrc-run`, not `run`: what man(1) is asked for.
    let page = clap_mangen::Man::new(command.clone().display_name(name)).title(name);
    let path = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(&path, text)?;
    written.push_str(&terminal::path(&path));
    written.push('\n');
    for inner in command.get_subcommands() {
        pages(folder, inner, &format!("{name}-{}", inner.get_name()), written)?;
    }
    Ok(())
}
