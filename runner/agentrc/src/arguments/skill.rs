//! What is said to `agentrc skill`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `agentrc skill`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  agentrc skill run ./skills/review -- --verbose")]
pub struct Skill {
    /// Which.
    #[command(subcommand)]
    pub command: SkillCommand,
}

/// Commands of `agentrc skill`.
#[derive(Debug, Subcommand)]
pub enum SkillCommand {
    /// Run one script of a skill in a sandbox that has nothing but the skill and a private folder
    Run(SkillRun),
}

/// `agentrc skill run`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  agentrc skill run ./skills/review --junit report.xml -- --verbose\n  agentrc skill run ./skills/fetch --boundaries ci.boundaries --json report.json\n\nThe script has no network, and no file but the base system's, the skill's and those of an empty folder to work in.\nExit status: the script's own; 128+N when signal N ended it; 125 refused (the script was not executed);\n126 not executable; 127 not found; 137 also when the log or a report is not whole. docs/skills.md"
)]
pub struct SkillRun {
    /// The folder of the skill, with its SKILL.md
    #[arg(value_name = "SKILL")]
    pub skill: PathBuf,
    /// The script, as a path in the skill [default: the only executable file in `scripts`]
    #[arg(long, value_name = "PATH")]
    pub script: Option<String>,
    /// Lines of an Agentfile that give more (URL, BIND, LIMIT …); their `./` is the folder that holds the skill's
    #[arg(long, value_name = "FILE")]
    pub boundaries: Option<PathBuf>,
    /// Consent to what the boundaries ask of this host beyond the folder that holds the skill's
    #[arg(long)]
    pub grant: bool,
    /// Seconds that the script may take [default: 600, or what the boundaries say]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub timeout: Option<u64>,
    /// Write a report in JSON; `-` is standard output, and the script's output then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report in JUnit's XML; `-` as for --json
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Keep the run and its log, as `agentrc run` does, for `audit`, `why` and `diff`
    #[arg(long)]
    pub keep: bool,
    /// Execute nothing: show the Agentfile that is made, and its plan
    #[arg(long, conflicts_with_all = ["json", "junit", "keep"])]
    pub plan: bool,
    /// Given to the script
    #[arg(last = true, value_name = "ARGUMENT")]
    pub arguments: Vec<OsString>,
}
