//! What the supervisor of a run says to those processes of this program's that are parts of it.

use std::path::PathBuf;

use clap::Args;

/// `agentrc serve-mcp`, `agentrc serve-skill`
#[derive(Debug, Args)]
pub struct Serve {
    /// The agent's Agentfile
    pub agentfile: PathBuf,
    /// The server's, or the skill's, name
    pub name: String,
    /// SHA-256 (hex) of the agent's plan, which was consented to
    pub plan_sha256: String,
    /// Process id of the run's supervisor
    pub supervisor: i32,
    /// The run
    pub run: String,
}
