//! What the operator of a host has for every package: MCP servers, and namespaces of tools that only a framework inside an agent could
//! serve otherwise (docs/configuration.md). A package says what it wants by name; what that is here, the host says.

use crate::parse::reference::is_name;

/// A table of the host's servers.
#[derive(Debug, Clone)]
pub struct ServerTable {
    /// Its path, as people find it.
    pub path: String,
    /// Its bytes, in the form of a package's `mcp.json`.
    pub bytes: Vec<u8>,
}

/// The namespaces that are agentrc's own, of which no host says anything.
pub const NAMESPACES: [&str; 3] = ["utcp", "mcp", "local"];

/// Whether `name` is a namespace that a `TOOL` line can have, and none of agentrc's own.
#[must_use]
pub fn is_frameworks(name: &str) -> bool {
    is_name(name) && !NAMESPACES.contains(&name)
}
