//! What is said to `agentrc approvals`.

use clap::{Args, Subcommand};

/// `agentrc approvals`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  agentrc approvals\n  agentrc approvals show 3k9mz0ta\n  agentrc approvals approve 3k9mz0ta --for-run --count 5\n\nWhat the agent said is shown escaped. An approval waives the click and never the policy: the call is decided again\nafter it. docs/approvals.md"
)]
pub struct Approvals {
    /// Which; `list` when there is none.
    #[command(subcommand)]
    pub command: Option<ApprovalsCommand>,
    /// How they are listed.
    #[command(flatten)]
    pub list: ApprovalsList,
}

/// Commands of `agentrc approvals`.
#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// List the tickets of all runs that wait for a person
    List(ApprovalsList),
    /// Show all of a ticket: every argument in full, and who asks for the approval
    Show(ApprovalsShow),
    /// Let the call that waits go on, if the policies still permit it
    Approve(Approve),
    /// Refuse the call that waits
    Deny(TicketName),
}

/// `agentrc approvals list`
#[derive(Debug, Args)]
pub struct ApprovalsList {
    /// Also those that were decided
    #[arg(long)]
    pub all: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// A ticket.
#[derive(Debug, Args)]
pub struct TicketName {
    /// Name of the ticket, as `agentrc approvals` lists it
    #[arg(value_name = "TICKET")]
    pub ticket: String,
}

/// `agentrc approvals show`
#[derive(Debug, Args)]
pub struct ApprovalsShow {
    /// Which.
    #[command(flatten)]
    pub ticket: TicketName,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// `agentrc approvals approve`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc approvals approve 3k9mz0ta\n  agentrc approvals approve 3k9mz0ta --for-run --count 5"
)]
pub struct Approve {
    /// Which.
    #[command(flatten)]
    pub ticket: TicketName,
    /// Also further calls of this run, of the same tool with exactly the same arguments
    #[arg(long)]
    pub for_run: bool,
    /// How many calls in all, this one included
    #[arg(long, value_name = "N", requires = "for_run", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
}
