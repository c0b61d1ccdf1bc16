//! What servers execute, where the agent could write it: a server has rights that the agent has not, so that the agent must not be
//! the one who says what it does.

use super::sources::below;
use crate::boundary::{Boundaries, Content, McpServer, Share};
use crate::plan::{Access, HostPath, Mount, MountSource, Protected};
use crate::syntax::BindMode;

/// Holds them read-only in the agent's writable binds.
pub(super) fn hold(boundaries: &Boundaries, mounts: &mut super::mounts::Table) {
    for server in &boundaries.mcp {
        for program in server.plan.iter().flat_map(|plan| plan.executed()) {
            for mount in mounts.values_mut().filter(|mount| mount.access == Access::ReadWrite) {
                hold_in(mount, program, server);
            }
        }
    }
}

fn hold_in(mount: &mut Mount, program: &HostPath, server: &McpServer) {
    // A copy is the agent's own.
    let MountSource::Bind { source, protected } = &mut mount.source else { return };
    let Some(path) = below(source, program).filter(|path| !path.is_empty()) else { return };
    if let Err(at) = protected.binary_search_by(|entry| entry.path.as_str().cmp(path)) {
        let origin = server.place.origin.clone();
        let held = Protected { path: path.to_owned(), directory: false, content: String::new(), origin };
        protected.insert(at, held);
    }
}

/// The writable bind that is what a server executes, or a part of it, and so cannot be held.
pub(crate) fn written<'a>(boundaries: &'a Boundaries, server: &McpServer) -> Option<&'a Share> {
    let plan = server.plan.as_deref()?;
    boundaries.shares.iter().find(|share| match &share.content {
        Content::Bind { source, mode: BindMode::ReadWrite, .. } => {
            plan.executed().any(|program| below(program, source).is_some())
        }
        _ => false,
    })
}
