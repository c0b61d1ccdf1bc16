//! What is said to `agentrc tools`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `agentrc tools`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc tools schema ./tools/lint --write")]
pub struct Tools {
    /// Which.
    #[command(subcommand)]
    pub command: ToolsCommand,
}

/// Commands of `agentrc tools`.
#[derive(Debug, Subcommand)]
pub enum ToolsCommand {
    /// Ask a program for its own description and schema, in a sandbox that has nothing but the program
    Schema(ToolsSchema),
}

/// `agentrc tools schema`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc tools schema ./tools/lint\n  agentrc tools schema ./tools/lint --write\n\nThe program is executed as `lint --agentrc-schema`, with no network and no file but the base system's and its own, for at most\n10 seconds, and prints what `lint.schema.json` holds. Exit status: 0; 1 when it prints something else; 125 refused\n(the program was not executed). docs/broker.md"
)]
pub struct ToolsSchema {
    /// The program
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// Write `PROGRAM.schema.json` beside it, where a `TOOL` line looks for it
    #[arg(long)]
    pub write: bool,
    /// Replace the file that is there
    #[arg(long, requires = "write")]
    pub force: bool,
}
