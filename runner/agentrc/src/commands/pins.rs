//! `agentrc pins`: what tools were said to be at their first use, and forgetting it.

use std::fmt::Write as _;

use agentfile::compile::Validate;
use agentrc_audit::line::Digest;
use agentrc_host::StateDir;
use agentrc_host::pins::{FolderPins, Forgotten, Pinned};
use serde_json::{Value, json};

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
    let which = match (&arguments.server, &arguments.tool) {
        (_, Some(tool)) => Forgotten::Tool(tool),
        (Some(server), None) => Forgotten::Server(server),
        (None, None) => Forgotten::All,
    };
    let number = state.unpin(&folder, which)?;
    let shown = terminal::path(&folder);
    if number == 0 {
        let of = match which {
            Forgotten::All => String::new(),
            Forgotten::Server(name) => format!("the server `{}` in ", escape(name)),
            Forgotten::Tool(name) => format!("the tool `{}` in ", escape(name)),
        };
        return Err(Refusal::new(format!("nothing is pinned for {of}`{shown}`"))
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
    let mut pinned = Pinned::default();
    let mut missing = Vec::new();
    for server in compiled.plan.servers_asked() {
        for (tool, _, _) in compiled.plan.tools_of(server.name).filter(|(_, _, permitted)| *permitted) {
            match known.servers.get(server.name).and_then(|tools| tools.get(tool)) {
                Some(definition) => {
                    pinned
                        .servers
                        .entry(server.name.to_owned())
                        .or_default()
                        .insert(tool.to_owned(), definition.clone());
                }
                None => missing.push(format!("{}.{tool}", server.name)),
            }
        }
    }
    for told in compiled.plan.told() {
        match known.tools.get(&told.source) {
            Some(definition) => {
                pinned.tools.insert(told.source, definition.clone());
            }
            None => missing.push(told.name),
        }
    }
    let folder = source.folder();
    // What a lockfile says was looked at by somebody; it is not replaced by what this user has seen. Another Agentfile of the folder
    // may have its tools there.
    if let Some((locked, _)) = lockfile::read(folder)?
        && !pinned.join(locked)
    {
        let what =
            format!("`{}` is there, and is not what is pinned", terminal::path(&folder.join(lockfile::NAME)));
        return Err(Refusal::new(what)
            .help("remove it, run the Agentfile once, look at `agentrc pins`, and write it again")
            .into());
    }
    if !missing.is_empty() {
        return Err(Refusal::new(format!("nothing is pinned for {}", escape(&missing.join(", "))))
            .help("run the Agentfile once: what its tools say is pinned then")
            .into());
    }
    lockfile::write(folder, &pinned)?;
    let shown = terminal::path(&folder.join(lockfile::NAME));
    terminal::print(&format!("wrote {} to {shown}\n", pinned.number()))?;
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
        for (source, definition) in &folder.tools {
            let name = definition.get("name").and_then(Value::as_str).unwrap_or(source);
            entry(&mut out, name, &format!("  {}", escape(source)), definition);
        }
        for (server, tools) in &folder.servers {
            for (tool, definition) in tools {
                entry(&mut out, &format!("{server}.{tool}"), "", definition);
            }
        }
    }
    out
}

/// One tool: its digest, and the first line of what it says of itself.
fn entry(out: &mut String, name: &str, source: &str, definition: &Value) {
    let digest = Digest::of(definition.to_string().as_bytes());
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  {}  sha256:{digest}{source}", escape(name));
    let description = definition.get("description").and_then(Value::as_str);
    if let Some(line) = description.and_then(|text| text.lines().next()) {
        let _ = writeln!(out, "    {}", escape(line));
    }
}
