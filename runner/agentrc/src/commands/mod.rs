//! One file a command. Each takes what was said (`arguments`) and returns its exit code, or why it failed.

pub mod allow;
pub mod apply;
pub mod approvals;
pub mod audit;
pub mod check;
pub mod completions;
pub mod diff;
pub mod discard;
pub mod doctor;
pub mod fmt;
pub mod grants;
pub mod init;
pub mod man;
pub mod pins;
pub mod plan;
pub mod run;
pub mod runs;
pub mod serve;
pub mod skill;
pub mod support;
pub mod tools;
pub mod why;

use crate::arguments::Command;
use crate::consent;
use crate::refusal::{Failure, Refusal};

/// What a command returns: its exit code.
pub type Outcome = Result<u8, Failure>;

/// Asks a person whether to go on; a program that calls us has already decided.
fn sure(question: &str) -> Result<bool, Failure> {
    let answer = consent::ask(question);
    Ok(answer.map_err(|error| Refusal::new(format!("cannot ask: {error}")))?.unwrap_or(true))
}

/// What a viewer says first when `asked` did not name the run: which one it is, and when it started. A `run` that was refused
/// before its launch is none, so the latest may be an older one than somebody thinks of.
fn which(asked: &str, run: &str) -> Option<String> {
    let started = agentrc_host::runs::started(run).filter(|_| matches!(asked, "latest" | "last"))?;
    Some(format!(
        "the latest run is {run}, started {started}\n  (what was refused before its launch is no run: it said why on the terminal, and has no log)\n"
    ))
}

/// Carries out one command.
///
/// # Errors
/// Why it could not.
pub fn carry_out(command: &Command) -> Outcome {
    match command {
        Command::Init(arguments) => init::init(arguments),
        Command::Completions(arguments) => completions::completions(arguments),
        Command::Man(arguments) => man::man(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::ServeMcp(arguments) => serve::mcp(arguments),
        Command::ServeSkill(arguments) => serve::skill(arguments),
        Command::Skill(arguments) => skill::skill(arguments),
        Command::Tools(arguments) => tools::tools(arguments),
        Command::Allow(arguments) => allow::allow(arguments),
        Command::Grants(arguments) => grants::grants(arguments),
        Command::Approvals(arguments) => approvals::approvals(arguments),
        Command::Pins(arguments) => pins::pins(arguments),
        Command::Runs(arguments) => runs::runs(arguments),
        Command::Diff(arguments) => diff::diff(arguments),
        Command::Apply(arguments) => apply::apply(arguments),
        Command::Discard(arguments) => discard::discard(arguments),
        Command::Audit(arguments) => audit::audit(arguments),
        Command::Why(arguments) => why::why(arguments),
        Command::Doctor(arguments) => doctor::doctor(arguments),
        Command::Check(arguments) => check::check(arguments),
        Command::Fmt(arguments) => fmt::fmt(arguments),
        Command::Plan(arguments) => plan::plan(arguments),
        Command::Support(arguments) => support::support(arguments),
    }
}
