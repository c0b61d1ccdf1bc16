//! What the operator of a host has for every package: MCP servers, and what stands for the namespaces of tools that only a framework
//! inside an agent could serve (docs/configuration.md). A package says what it wants by name; what that is here, the host says.

/// A table of the host's servers.
#[derive(Debug, Clone)]
pub struct ServerTable {
    /// Its path, as people find it.
    pub path: String,
    /// Its bytes, in the form of a package's `mcp.json`.
    pub bytes: Vec<u8>,
}

/// What a namespace is on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// What serves its tools.
    pub to: Serves,
    /// Where the host says so: `file:line:column`.
    pub place: String,
}

/// What serves the tools of a namespace that is none of agentrc's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serves {
    /// What is built in, and the package's manuals: `NAME` is `utcp:NAME`.
    BuiltIn,
    /// An MCP server: `NAME` is `mcp:SERVER.NAME`.
    Server(String),
}

/// The namespaces that are agentrc's own, of which no host says anything.
pub const NAMESPACES: [&str; 3] = ["utcp", "mcp", "local"];
