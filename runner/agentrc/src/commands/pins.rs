//! `agentrc pins`: what the tools of MCP servers were said to be at their first use, and forgetting it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use agentfile::compile::Validate;
use agentrc_audit::line::Digest;
use agentrc_host::StateDir;
use agentrc_host::pins::{FolderPins, Pinned};
use serde_json::json;

use super::Outcome;
use super::grants::folder_of;
use crate::arguments::Pins;
use crate::refusal::{Failure, Refusal};
use crate::source::Source;
use crate::terminal::escape;
use crate::{exit, lockfile, terminal};

/// Lists pins, forgets those of one folder, or writes them to its lockfile.
///
/// # Errors
/// The state directory; a path that does not exist; there is nothing to forget.
pub fn pins(arguments: &Pins) -> Outcome {
    let state = StateDir::of_this_user()?;
    if let Some(path) = &arguments.lock {
        return lock(&state, path);
    }
    let Some(path) = &arguments.forget else {
        let all = state.pins()?;
        terminal::print(&if arguments.json {
            format!("{}\n", json!({ "pins": all }))
        } else {
            as_text(&all)
        })?;
        return Ok(exit::SUCCESS);
    };
    let folder = folder_of(path)?;
    let number = state.unpin(&folder, arguments.server.as_deref())?;
    let shown = terminal::path(&folder);
    if number == 0 {
        return Err(Refusal::new(format!("nothing is pinned for `{shown}`"))
            .help("`agentrc pins` lists all")
            .into());
    }
    terminal::print(&format!("forgot {number} for {shown}\n"))?;
    Ok(exit::SUCCESS)
}

/// Writes the pins of all tools that the Agentfile may have used.
fn lock(state: &StateDir, path: &std::path::Path) -> Outcome {
    let source = Source::open(path)?;
    let compiled = source.compile(Validate::WhenWritten).map_err(Failure::into_refused)?;
    let known = state.pinned(source.folder())?;
    let mut pinned = Pinned::new();
    let mut missing = Vec::new();
    for server in compiled.plan.servers_asked() {
        for (tool, _, _) in compiled.plan.tools_of(server.name).filter(|(_, _, permitted)| *permitted) {
            match known.get(server.name).and_then(|tools| tools.get(tool)) {
                Some(definition) => {
                    pinned
                        .entry(server.name.to_owned())
                        .or_default()
                        .insert(tool.to_owned(), definition.clone());
                }
                None => missing.push(format!("{}.{tool}", server.name)),
            }
        }
    }
    let folder = source.folder();
    // What a lockfile says was looked at by somebody; it is not replaced by what this user has seen.
    if let Some((locked, _)) = lockfile::read(folder)?
        && locked != pinned
    {
        let what =
            format!("`{}` is there, and is not what is pinned", terminal::path(&folder.join(lockfile::NAME)));
        return Err(Refusal::new(what)
            .help("remove it, run the Agentfile once, look at `agentrc pins`, and write it again")
            .into());
    }
    if !missing.is_empty() {
        return Err(Refusal::new(format!("nothing is pinned for {}", escape(&missing.join(", "))))
            .help("run the Agentfile once: what a tool is, its server says then")
            .into());
    }
    lockfile::write(folder, &pinned)?;
    let number: usize = pinned.values().map(BTreeMap::len).sum();
    terminal::print(&format!("wrote {number} to {}\n", terminal::path(&folder.join(lockfile::NAME))))?;
    Ok(exit::SUCCESS)
}

fn as_text(all: &[FolderPins]) -> String {
    let mut out = String::new();
    if all.is_empty() {
        out.push_str("no pins\n");
    }
    for folder in all {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", escape(&folder.folder));
        for (server, tools) in &folder.servers {
            for (tool, definition) in tools {
                let digest = Digest::of(definition.to_string().as_bytes());
                let _ = writeln!(out, "  {}.{}  sha256:{digest}", escape(server), escape(tool));
                let description = definition.get("description").and_then(serde_json::Value::as_str);
                if let Some(line) = description.and_then(|text| text.lines().next()) {
                    let _ = writeln!(out, "    {}", escape(line));
                }
            }
        }
    }
    out
}
