//! `agentrc grants`: who may reach what, and its withdrawal.

use std::fmt::Write as _;
use std::path::Path;

use agentrc_host::StateDir;
use agentrc_host::grants::FolderGrants;
use serde_json::json;

use super::Outcome;
use crate::arguments::Grants;
use crate::refusal::Refusal;
use crate::terminal::escape;
use crate::{exit, terminal};

/// Lists consents, or withdraws those of one folder.
///
/// # Errors
/// The state directory; a path that does not exist.
pub fn grants(arguments: &Grants) -> Outcome {
    let state = StateDir::of_this_user()?;
    let Some(path) = &arguments.revoke else {
        let all = state.grants()?;
        terminal::print(&if arguments.json { as_json(&all) } else { as_text(&all) })?;
        return Ok(exit::SUCCESS);
    };
    let folder = folder_of(path)?;
    let number = state.revoke(&folder, None)?;
    let shown = terminal::path(&folder);
    if number == 0 {
        return Err(Refusal::new(format!("nothing is granted to `{shown}`"))
            .help("`agentrc grants` lists all")
            .into());
    }
    terminal::print(&format!("revoked {number} for {shown}\n"))?;
    Ok(exit::SUCCESS)
}

/// The folder that a path means: itself, or the one of the Agentfile. A folder that is gone can still be named by its
/// absolute path, so that its consents can be withdrawn.
pub(super) fn folder_of(path: &Path) -> Result<std::path::PathBuf, Refusal> {
    match path.canonicalize() {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(real) => Ok(real.parent().unwrap_or(Path::new("/")).to_owned()),
        Err(_) if path.is_absolute() => Ok(path.to_owned()),
        Err(error) => Err(Refusal::new(format!("cannot find `{}`: {error}", terminal::path(path)))
            .help("name a folder that is gone by its absolute path, as `agentrc grants` shows it")),
    }
}

fn as_text(all: &[FolderGrants]) -> String {
    let mut out = String::new();
    if all.is_empty() {
        out.push_str("no grants\n");
    }
    for folder in all {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", escape(&folder.folder));
        for grant in &folder.grants {
            let _ = writeln!(
                out,
                "  {}  plan sha256:{}  {}",
                escape(&grant.agentfile),
                escape(&grant.plan_sha256),
                escape(&grant.allowed)
            );
            for asked in &grant.asked {
                let _ = writeln!(out, "    {}", escape(asked));
            }
        }
    }
    out
}

fn as_json(all: &[FolderGrants]) -> String {
    format!("{}\n", json!({"grants": all}))
}
