//! What is said to `agentrc pins`.

use std::path::PathBuf;

use clap::Args;

/// `agentrc pins`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc pins\n  agentrc pins --forget ./Agentfile --server files\n  agentrc pins --forget ./Agentfile --tool function.score\n  agentrc pins --lock ./Agentfile"
)]
pub struct Pins {
    /// Forget what is pinned for the Agentfile in this folder (or this Agentfile): its next run is a first use
    #[arg(long, value_name = "PATH")]
    pub forget: Option<PathBuf>,
    /// Of this server only
    #[arg(long, value_name = "NAME", requires = "forget", conflicts_with = "tool")]
    pub server: Option<String>,
    /// Of this tool only, by the name that the list has: `lint`, `function.score`, `skill.review`, `files.read`
    #[arg(long, value_name = "NAME", requires = "forget")]
    pub tool: Option<String>,
    /// Write what is pinned for this Agentfile to `agentrc.lock` beside it, which then holds for all who have the package
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "./Agentfile", conflicts_with = "forget")]
    pub lock: Option<PathBuf>,
    /// For programs
    #[arg(long, conflicts_with_all = ["forget", "lock"])]
    pub json: bool,
}
