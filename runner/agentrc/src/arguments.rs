//! The command line as it was said; what each command makes of it is in `commands/`. From these types come the parser,
//! the help, the completions and the man pages.

mod approvals;
mod audit;
mod pins;
mod serve;
mod skill;
mod tools;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use approvals::{Approvals, ApprovalsCommand, ApprovalsList, ApprovalsShow, Approve, TicketName};
pub use audit::{Audit, AuditCommand, AuditList, Show, Verify};
pub use pins::Pins;
pub use serve::Serve;
pub use skill::{Skill, SkillCommand, SkillRun};
pub use tools::{Tools, ToolsCommand, ToolsSchema};

/// Run an AI agent inside exactly what its Agentfile declares, or not at all.
#[derive(Debug, Parser)]
#[command(
    name = "agentrc",
    version,
    about,
    propagate_version = true,
    after_help = "\
Example:
  agentrc init && agentrc check && agentrc run

Exit codes: of `run` and `skill run`, the program's own, 128+N for signal N, 125 refused, 126 not executable,
127 not found; of everything else 0, 1 (failed, or found what it looks for), 2 (wrong command line).
NO_COLOR is honoured. Documentation: docs/agentfile.md, docs/security-model.md"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// `run` alone.
#[derive(Debug, Parser)]
struct JustRun {
    #[command(flatten)]
    run: Run,
}

impl Arguments {
    /// What was said. A `run` is first read as just that, because to make the parser of every command takes longer
    /// (0.15 ms) than to parse; whatever that does not understand, help included, is for the whole parser.
    ///
    /// # Errors
    /// A wrong command line, or one that asks for help or the version.
    pub fn read(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.collect();
        if let [_, command, ..] = words.as_slice()
            && command == "run"
            && let Ok(JustRun { run }) = JustRun::try_parse_from(words.iter().skip(1))
        {
            return Ok(Self { command: Command::Run(run) });
        }
        Self::try_parse_from(words)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented Agentfile to start from
    Init(Init),
    /// Check an Agentfile: every error and warning with its place and a way out
    Check(Check),
    /// Rewrite an Agentfile in the canonical layout
    Fmt(Fmt),
    /// Show what will be enforced, each rule with the line it comes from
    Plan(Plan),
    /// Run the agent: compile, arm every layer, prove each, execute
    Run(Run),
    /// An MCP server of a run, in a sandbox of its own: for `run`, not for people
    #[command(hide = true)]
    ServeMcp(Serve),
    /// A call of a skill's script of a run, in a sandbox of its own: for `run`, not for people
    #[command(hide = true)]
    ServeSkill(Serve),
    /// Run a skill's script from CI, with no agent
    Skill(Skill),
    /// Work with the tools of a package
    Tools(Tools),
    /// Consent to what an Agentfile asks of this host beyond its own folder
    Allow(Allow),
    /// List or revoke consents
    Grants(Grants),
    /// List what runs wait for, and approve or deny it
    Approvals(Approvals),
    /// List what tools said of themselves at their first use, forget it, or write it to a lockfile
    Pins(Pins),
    /// List runs, newest first
    Runs(Runs),
    /// Show what a run changed in its private copies
    Diff(Diff),
    /// Copy a run's changes to the host's files
    Apply(Apply),
    /// Throw a run's changes away
    Discard(Discard),
    /// Read and verify audit logs
    Audit(Audit),
    /// Explain what a run was denied, with the rule that decided and the line to change
    Why(Why),
    /// Probe what this machine can enforce, and say how to fix what is missing
    Doctor(Doctor),
    /// Print the runner support statement: which directives are enforced, by which layers
    Support(Support),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Write the man pages to a folder
    Man(Man),
}

/// Where an Agentfile is.
#[derive(Debug, Args)]
pub struct Location {
    /// An Agentfile, or the folder that holds one
    #[arg(value_name = "PATH", default_value = "Agentfile", hide_default_value = true)]
    pub path: PathBuf,
}

/// `agentrc init`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc init my-agent")]
pub struct Init {
    /// The folder; made if it does not exist
    #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub folder: PathBuf,
    /// Overwrite an Agentfile that exists
    #[arg(long)]
    pub force: bool,
}

/// `agentrc check`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc check --format json ./Agentfile\n  agentrc check --explain E012\n\nExit status: 0 no errors (warnings do not count), 1 errors."
)]
pub struct Check {
    /// Where.
    #[command(flatten)]
    pub at: Location,
    /// Apply the suggested edits, such as idioms of published examples that are not Cedar, then check again
    #[arg(long)]
    pub fix: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Explain a code, such as `E012`, instead of checking a file
    #[arg(long, value_name = "CODE", conflicts_with_all = ["path", "fix"])]
    pub explain: Option<String>,
}

/// Output format of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Source lines with carets.
    Text,
    /// One JSON object.
    Json,
}

/// `agentrc fmt`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  agentrc fmt --check ./Agentfile\n\nExit status: 0 formatted; with --check, 1 when it would change."
)]
pub struct Fmt {
    /// Where.
    #[command(flatten)]
    pub at: Location,
    /// Change nothing; say whether it would
    #[arg(long)]
    pub check: bool,
}

/// `agentrc plan`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc plan ./Agentfile\n  agentrc plan --json > plan.json\n  agentrc plan --diff plan.json\n\nWith --diff: `+` marks what gives the agent more than OTHER (a limit that is gone, too), `-` what does not;\n[OTHER: file:line:column] is a line of OTHER. Exit status 0 the same, 1 different."
)]
pub struct Plan {
    /// Where.
    #[command(flatten)]
    pub at: Location,
    /// Print the canonical JSON and a newline; the SHA-256 of the JSON without that newline is the plan digest
    #[arg(long)]
    pub json: bool,
    /// Say in words what changes from OTHER (an Agentfile, its folder, or a plan in JSON) to this plan
    #[arg(long, value_name = "OTHER", conflicts_with = "json")]
    pub diff: Option<PathBuf>,
}

/// `agentrc run`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc run\n  agentrc run ./reviewer -- --verbose\n  agentrc run --grant ./Agentfile     (in CI: consent for this run only)\n\nExit status: the program's own; 128+N when signal N ended it; 125 refused (the program was not executed);\n126 not executable; 127 not found."
)]
pub struct Run {
    /// Where.
    #[command(flatten)]
    pub at: Location,
    /// Consent, for this run only, to everything that the Agentfile asks of this host beyond its own folder
    #[arg(long)]
    pub grant: bool,
    /// Say nothing but refusals
    #[arg(long, short)]
    pub quiet: bool,
    /// Deny at once what a person would have to approve: for CI
    #[arg(long)]
    pub approve_none: bool,
    /// Appended to the argument vector of CMD
    #[arg(last = true, value_name = "ARGUMENT")]
    pub arguments: Vec<OsString>,
}

/// `agentrc allow`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  agentrc allow ./Agentfile\n\nThe consent holds for exactly this plan digest in exactly this folder. Any change of the plan ends it."
)]
pub struct Allow {
    /// Where.
    #[command(flatten)]
    pub at: Location,
    /// Do not ask: what is wanted is printed and consented to
    #[arg(long, short)]
    pub yes: bool,
}

/// `agentrc grants`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  agentrc grants\n  agentrc grants --revoke ./Agentfile")]
pub struct Grants {
    /// Withdraw the consents for the Agentfile in this folder (or this Agentfile)
    #[arg(long, value_name = "PATH")]
    pub revoke: Option<PathBuf>,
    /// For programs
    #[arg(long, conflicts_with = "revoke")]
    pub json: bool,
}

/// `agentrc runs`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  agentrc runs\n  agentrc runs --remove 20260102-030405-1a2b")]
pub struct Runs {
    /// Remove a run, its log and its copies; the ledger keeps that it was there
    #[arg(long, value_name = "RUN", conflicts_with = "json")]
    pub remove: Option<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// A run.
#[derive(Debug, Args)]
pub struct RunName {
    /// Name of the run, an unambiguous beginning of it, or `latest` (also `last`)
    #[arg(value_name = "RUN")]
    pub name: String,
}

/// A run to look at.
#[derive(Debug, Args)]
pub struct RunOrLatest {
    /// Name of the run, an unambiguous beginning of it, or `latest` (also `last`)
    #[arg(value_name = "RUN", default_value = "latest")]
    pub name: String,
}

/// `agentrc why`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc why latest")]
pub struct Why {
    /// Which run.
    #[command(flatten)]
    pub run: RunOrLatest,
}

/// `agentrc discard`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc discard latest")]
pub struct Discard {
    /// Which run.
    #[command(flatten)]
    pub run: RunName,
    /// Do not ask, on a terminal
    #[arg(long, short)]
    pub yes: bool,
}

/// `agentrc diff`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  agentrc diff latest\n\nNames and texts are the agent's: control characters are shown escaped."
)]
pub struct Diff {
    /// Which run.
    #[command(flatten)]
    pub run: RunName,
    /// Only the names of what changed, not the lines
    #[arg(long)]
    pub names: bool,
}

/// `agentrc apply`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc diff latest && agentrc apply latest\n  agentrc apply latest /workspace/src\n\nAll is checked before anything is written. Protected paths, devices and set-ID files are never applied."
)]
pub struct Apply {
    /// Which run.
    #[command(flatten)]
    pub run: RunName,
    /// Only these paths (as the agent saw them) and what is beneath them
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Also overwrite what changed on the host since the run began
    #[arg(long)]
    pub force: bool,
    /// Leave out what cannot be applied, instead of applying nothing
    #[arg(long)]
    pub skip: bool,
    /// Do not ask, on a terminal
    #[arg(long, short)]
    pub yes: bool,
}

/// `agentrc doctor`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  agentrc doctor\n\nExit status: 0 everything that a run needs is there, 1 something is missing."
)]
pub struct Doctor {
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// `agentrc support`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc support --json")]
pub struct Support {
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// `agentrc completions`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  agentrc completions bash > ~/.local/share/bash-completion/completions/agentrc"
)]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `agentrc man`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc man ~/.local/share/man/man1")]
pub struct Man {
    /// Folder for the pages; made if it does not exist
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
