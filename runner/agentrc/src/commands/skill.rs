//! `agentrc skill run`: one script of a skill in CI, with no agent. It decides nothing: it writes an Agentfile, has it
//! compiled and executed as `run` does, and reports.

use agentfile::compile::Validate;
use agentfile::diag::Severity;
use agentfile::plan::digest;

use super::Outcome;
use super::run::{Job, Ran, execute};
use crate::arguments::{Skill, SkillCommand, SkillRun};
use crate::refusal::{Failure, Refusal};
use crate::skill::capture::Capture;
use crate::skill::destination::Destination;
use crate::skill::junit::junit;
use crate::skill::report::{Report, readable};
use crate::skill::scratch::Scratch;
use crate::skill::script::{self, STEP};
use crate::source::{Compiled, Source};
use crate::terminal::Style;
use crate::{exit, terminal, view};

/// Carries out the one command there is.
///
/// # Errors
/// A refusal: the script was not executed.
pub fn skill(arguments: &Skill) -> Outcome {
    let SkillCommand::Run(arguments) = &arguments.command;
    if arguments.plan { show(arguments) } else { run(arguments) }.map_err(Failure::into_refused)
}

/// Shows the Agentfile that is made, and its plan.
fn show(arguments: &SkillRun) -> Outcome {
    let (source, _) = made(arguments)?;
    let Compiled { plan, digest } = compile(&source)?;
    let text = String::from_utf8_lossy(source.bytes());
    let lines: String = text.lines().map(|line| format!("  {}\n", terminal::escape(line))).collect();
    terminal::print(&format!(
        "{}:\n{lines}\n{}",
        source.shown(),
        view::plan(&plan, &digest, Style::stdout())
    ))?;
    Ok(exit::SUCCESS)
}

fn run(arguments: &SkillRun) -> Outcome {
    let destinations = Destinations::open(arguments)?;
    let words = arguments.arguments.iter().map(|word| readable(word.as_encoded_bytes())).collect();
    let name = arguments.skill.file_name().unwrap_or(arguments.skill.as_os_str());
    let mut report = Report::new(&name.to_string_lossy(), words, exit::REFUSED);
    let outcome = attempt(arguments, &destinations, &mut report).map_err(Failure::into_refused);
    if let Err(Failure::Refused { reasons, .. }) = &outcome {
        reasons.iter().for_each(|reason| report.because(reason));
    }
    match destinations.write(&report) {
        Ok(()) => outcome,
        // What is not reported has not gone well, whatever the script says; a refusal says more than that.
        Err(reason) => {
            terminal::complain(&format!(
                "agentrc: the report was not written: {}\n",
                terminal::escape(&reason)
            ));
            outcome.map(|_| exit::KILLED)
        }
    }
}

/// Runs it, and fills the report.
fn attempt(arguments: &SkillRun, destinations: &Destinations, report: &mut Report) -> Outcome {
    let (source, script) = made(arguments)?;
    report.script = Some(script);
    let compiled = compile(&source)?;
    report.plan_sha256 = Some(compiled.digest.clone());
    consented(&compiled, arguments)?;
    let mut capture = Capture::start(destinations.stdout())?;
    let (scratch, state) = if arguments.keep {
        (None, None)
    } else {
        let (scratch, state) = Scratch::make()?;
        (Some(scratch), Some(state))
    };
    let job = Job {
        serves: None,
        skill: None,
        source: &source,
        state,
        arguments: &arguments.arguments,
        grant: true,
        quiet: !arguments.keep,
        // Nobody waits for it in CI.
        approve_none: true,
        capture: Some(&mut capture),
    };
    let ran = execute(job, &compiled);
    capture.restore();
    let ran = ran?;
    report.ended(&ran);
    let mut problems = record(&ran, arguments.keep, report);
    match capture.finish() {
        Ok(output) => report.wrote(&output),
        Err(reason) => {
            problems
                .push(Refusal::new(format!("the script's output is not whole: {reason}")).step("capture"));
        }
    }
    let Ran { state, .. } = ran;
    drop(state);
    if let Some(reason) = scratch.and_then(|scratch| scratch.remove().err()) {
        problems.push(Refusal::new(format!("something of the run is left behind: {reason}")).step("remove"));
    }
    for problem in &problems {
        terminal::complain(&format!("agentrc: {}\n", terminal::escape(&problem.reason)));
        report.not_whole(problem, exit::KILLED);
    }
    Ok(report.exit_code)
}

/// Reads the log into the report; what is wrong with it.
fn record(ran: &Ran, kept: bool, report: &mut Report) -> Vec<Refusal> {
    report.read_log(&ran.state, &ran.run, kept).err().into_iter().collect()
}

/// The Agentfile that is made, and the script that it runs.
fn made(arguments: &SkillRun) -> Result<(Source, String), Refusal> {
    let skill = script::Skill::open(&arguments.skill)?;
    let script = skill.script(arguments.script.as_deref())?;
    let source = skill.agentfile(&script, arguments.boundaries.as_deref(), arguments.timeout)?;
    Ok((source, script))
}

/// The plan, or every error as a reason: a report holds reasons, where `run` prints the lines of a text that somebody wrote.
fn compile(source: &Source) -> Result<Compiled, Failure> {
    let compiled = source.check(Validate::WhenWritten);
    let Some(plan) = compiled.plan else {
        let (text, _) = agentfile::lex::text(source.bytes());
        let places = agentfile::place::Places::new(source.name(), &text);
        let errors = compiled.diagnostics.iter().filter(|finding| finding.severity == Severity::Error);
        let reasons = errors.map(|finding| Refusal {
            step: Some("compile".to_owned()),
            origin: Some(places.place(finding.span).origin.to_string()),
            reason: format!("{}: {}", finding.code, finding.message),
            help: finding.help.clone(),
        });
        return Err(Failure::Refused { reasons: reasons.collect(), code: exit::REFUSED });
    };
    let digest = digest::digest(&plan)
        .map_err(|error| Refusal::new(format!("the plan has no canonical form: {error}")).step("compile"))?;
    Ok(Compiled { plan, digest })
}

/// What reaches beyond the folder that holds the skill's is consented to on the command line, or not at all: nobody is asked
/// in CI, and nothing is remembered.
fn consented(compiled: &Compiled, arguments: &SkillRun) -> Result<(), Failure> {
    let grants = &compiled.plan.grants;
    if grants.is_empty() || arguments.grant {
        return Ok(());
    }
    let reasons = grants.iter().map(|grant| {
        Refusal::new(format!("the boundaries ask to {}, and nobody consented", grant.asks))
            .step(crate::consent::STEP)
            .at(&grant.origin)
            .help("say --grant to consent to it for this run")
    });
    Err(Failure::Refused { reasons: reasons.collect(), code: exit::REFUSED })
}

/// Where the reports go.
struct Destinations {
    json: Option<Destination>,
    junit: Option<Destination>,
}

impl Destinations {
    fn open(arguments: &SkillRun) -> Result<Self, Refusal> {
        let open = |path: &Option<std::path::PathBuf>| path.as_deref().map(Destination::open).transpose();
        let found = Self { json: open(&arguments.json)?, junit: open(&arguments.junit)? };
        let both = [&found.json, &found.junit].into_iter().flatten().filter(|to| to.is_stdout()).count();
        if both > 1 || (arguments.json.is_some() && arguments.json == arguments.junit) {
            return Err(Refusal::new("both reports would go to one place")
                .step(STEP)
                .help("name a file for one of them"));
        }
        Ok(found)
    }

    /// Whether a report goes to standard output.
    fn stdout(&self) -> bool {
        [&self.json, &self.junit].into_iter().flatten().any(Destination::is_stdout)
    }

    fn write(&self, report: &Report) -> Result<(), String> {
        if let Some(json) = &self.json {
            json.write(&report.json()?)?;
        }
        if let Some(to) = &self.junit {
            to.write(&junit(report))?;
        }
        Ok(())
    }
}
