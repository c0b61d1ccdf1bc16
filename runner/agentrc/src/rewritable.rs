//! What MCP servers execute and the agent may write. The compiler holds it where both are written in the same way; what is one file by
//! two paths is only known on the host.

use std::path::{Path, PathBuf};

use agentfile::plan::servers::Reached;
use agentfile::plan::{Access, HostPath, MountSource, Plan};

use crate::refusal::Refusal;

/// The step's name in refusals.
const STEP: &str = "servers";

/// Refuses each server of which the agent could rewrite what it executes, as `E097` does: that lies in a writable bind of the agent's, where
/// nothing holds it, or has one in it.
#[must_use]
pub(crate) fn executed(plan: &Plan, folder: &Path, home: Option<&Path>) -> Vec<Refusal> {
    // What is not there is for those to refuse that need it.
    let real = |written: &HostPath| on_host(written, folder, home)?.canonicalize().ok();
    let mut found = Vec::new();
    for server in plan.servers_asked() {
        let Reached::Started(own) = server.reached else { continue };
        for program in own.executed().filter_map(real) {
            for mount in plan.mounts.iter().filter(|mount| mount.access == Access::ReadWrite) {
                let MountSource::Bind { source, protected } = &mount.source else { continue };
                let Some(source) = real(source) else { continue };
                let rest = program.strip_prefix(&source).ok();
                let is_held = |rest: &Path| protected.iter().any(|held| rest.starts_with(&held.path));
                if rest.map_or(!source.starts_with(&program), is_held) {
                    continue;
                }
                let (name, target, origin) = (server.name, &mount.target, &mount.origin);
                let reason = format!(
                    "the agent could rewrite what `{name}` executes, `{}`: `{target}` ({origin}) is writable",
                    program.display()
                );
                let help = "bind it `ro` or `copy`, or bind a folder that does not hold it";
                found.push(Refusal::new(reason).step(STEP).at(server.origin).help(help));
            }
        }
    }
    found
}

/// Where `written` is on this host.
pub(crate) fn on_host(written: &HostPath, folder: &Path, home: Option<&Path>) -> Option<PathBuf> {
    Some(match written {
        HostPath::Project(rest) | HostPath::Outside(rest) => folder.join(rest),
        HostPath::Home(rest) => home?.join(rest),
        HostPath::Absolute(path) => PathBuf::from(path),
    })
}
