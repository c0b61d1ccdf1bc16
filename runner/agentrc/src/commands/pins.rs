//! `agentrc pins`: what the tools of MCP servers were said to be at their first use, and forgetting it.

use std::fmt::Write as _;

use agentrc_audit::line::Digest;
use agentrc_host::StateDir;
use agentrc_host::pins::FolderPins;
use serde_json::json;

use super::Outcome;
use super::grants::folder_of;
use crate::arguments::Pins;
use crate::refusal::Refusal;
use crate::terminal::escape;
use crate::{exit, terminal};

/// Lists pins, or forgets those of one folder.
///
/// # Errors
/// The state directory; a path that does not exist; there is nothing to forget.
pub fn pins(arguments: &Pins) -> Outcome {
    let state = StateDir::of_this_user()?;
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
