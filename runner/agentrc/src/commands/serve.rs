//! `agentrc serve-mcp` and `agentrc serve-skill`: one MCP server of a run, and one call of a skill's script, as a run of its own. The
//! supervisor of the agent's run starts it; nothing is decided here that was not decided there, and consented to: the plan is the
//! agent's plan, or nothing is run.

use agentfile::compile::Validate;
use agentfile::plan::{BrokerEntry, Plan};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::Outcome;
use super::run::{Job, execute};
use crate::arguments::Serve;
use crate::refusal::{Failure, Refusal};
use crate::source::{Compiled, Source};

const STEP: &str = "serve";
const CHANGED: &str = "unchanged";

/// Which part of the agent's plan is run.
#[derive(Clone, Copy)]
enum Part {
    Server,
    Skill,
}

/// Runs the server until it ends, or the agent's run does.
///
/// # Errors
/// A refusal: it was not executed.
pub fn mcp(arguments: &Serve) -> Outcome {
    serve(arguments, Part::Server)
}

/// Runs a script of the skill, the one that standard input says, until it ends, or the agent's run does.
///
/// # Errors
/// A refusal: it was not executed.
pub fn skill(arguments: &Serve) -> Outcome {
    serve(arguments, Part::Skill)
}

/// What the agent, which reads the script's standard error, is told of a refusal. Its reasons name what is where on the host; where the
/// run had begun, they are in its log.
fn told(failure: Failure) -> Failure {
    let Failure::Refused { reasons, code } = failure else { return failure };
    let step = reasons.into_iter().find_map(|reason| reason.step).unwrap_or_else(|| STEP.to_owned());
    let refusal = if step == CHANGED {
        changed()
    } else {
        Refusal::new("the script was not executed: its sandbox could not be made").step(step).help(
            "where the call's run had begun, whoever runs the agent finds why in its log (`agentrc runs`)",
        )
    };
    Failure::Refused { reasons: vec![refusal], code }
}

fn changed() -> Refusal {
    let reason = "the Agentfile, or what it names, changed after the run began";
    Refusal::new(reason).step(CHANGED).help("run it again")
}

fn serve(arguments: &Serve, part: Part) -> Outcome {
    let Serve { agentfile, name, plan_sha256, supervisor, run } = arguments;
    tied_to(*supervisor).map_err(|reason| Failure::refused(Refusal::new(reason).step(STEP)))?;
    let tell = |failure: Failure| match part {
        Part::Server => failure,
        Part::Skill => told(failure),
    };
    // It was read and compiled when the run began.
    let source = Source::open(agentfile).map_err(|refusal| tell(Failure::refused(refusal.step(CHANGED))))?;
    let compiled = match part {
        Part::Server => source.compile(Validate::WhenWritten),
        Part::Skill => source
            .check(Validate::WhenWritten)
            .plan
            .ok_or_else(changed)
            .and_then(Compiled::of)
            .map_err(Failure::from),
    };
    let ran = compiled.and_then(|compiled| {
        let compiled = of(part, name, plan_sha256, compiled)?;
        let job = Job {
            source: &source,
            serves: Some(run),
            skill: matches!(part, Part::Skill).then_some(name),
            state: None,
            arguments: &[],
            // By whoever consented to the agent's plan, of which this is a part.
            grant: true,
            quiet: true,
            approve_none: true,
            capture: None,
        };
        execute(job, &compiled)
    });
    ran.map(|ran| ran.code).map_err(|failure| tell(failure.into_refused()))
}

/// The part's plan, if the agent's is still the one that was consented to.
fn of(part: Part, name: &str, plan_sha256: &str, compiled: Compiled) -> Result<Compiled, Refusal> {
    if compiled.digest != plan_sha256 {
        return Err(changed());
    }
    let plan = compiled.plan.broker.into_iter().find_map(|entry| plan(entry, part, name));
    let plan = plan.ok_or_else(|| {
        Refusal::new(format!("the plan has no `{name}` that is a run of its own")).step(STEP)
    })?;
    Compiled::of(plan)
}

/// The plan of `entry`, if it is that part.
fn plan(entry: BrokerEntry, part: Part, wanted: &str) -> Option<Plan> {
    match (entry, part) {
        (BrokerEntry::Mcp { name, plan: Some(plan), .. }, Part::Server) if name == wanted => Some(*plan),
        (BrokerEntry::Skill { definition: Some(skill), permitted: true, .. }, Part::Skill)
            if skill.name == wanted =>
        {
            skill.plan.map(|plan| *plan)
        }
        _ => None,
    }
}

/// Ends with the supervisor, however that ends.
fn tied_to(supervisor: i32) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|errno| errno.to_string())?;
    // It may have ended before this process was tied to it.
    if getppid().map(Pid::as_raw_nonzero).is_some_and(|parent| parent.get() == supervisor) {
        Ok(())
    } else {
        Err("it is not the supervisor of a run that starts this".to_owned())
    }
}
