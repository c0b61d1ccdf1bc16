//! What is said to `agentrc audit`.

use clap::{Args, Subcommand};

use super::RunOrLatest;

/// `agentrc audit`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc audit verify latest")]
pub struct Audit {
    /// Which.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// Commands of `agentrc audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List the logs of this host
    List(AuditList),
    /// Print the events of a run
    Show(Show),
    /// Find any edit, removal, reordering or truncation of a run's log, or of all of them
    Verify(Verify),
}

/// `agentrc audit show`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc audit show latest")]
pub struct Show {
    /// Which run.
    #[command(flatten)]
    pub run: RunOrLatest,
    /// The lines as they are stored
    #[arg(long)]
    pub json: bool,
}

/// `agentrc audit verify`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc audit verify\n  agentrc audit verify latest\n\nExit status: 0 intact, 1 not."
)]
pub struct Verify {
    /// Name of the run; all runs and the ledger when absent
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// `agentrc audit list`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc audit list")]
pub struct AuditList {
    /// For programs
    #[arg(long)]
    pub json: bool,
}
