//! `agentrc serve-mcp` and `agentrc serve-skill`: one MCP server of a run, and one call of a skill's script, as a run of its own. The
//! supervisor of the agent's run starts it; nothing is decided here that was not decided there, and consented to: the plan is the
//! agent's plan, or nothing is run.

use agentfile::compile::Validate;
use agentfile::plan::{BrokerEntry, Plan, digest};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::Outcome;
use super::run::{Job, execute};
use crate::arguments::Serve;
use crate::refusal::{Failure, Refusal};
use crate::source::{Compiled, Source};

const STEP: &str = "serve";

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

fn serve(arguments: &Serve, part: Part) -> Outcome {
    let Serve { agentfile, name, plan_sha256, supervisor, run } = arguments;
    tied_to(*supervisor).map_err(|reason| Failure::refused(Refusal::new(reason).step(STEP)))?;
    let source = Source::open(agentfile).map_err(Failure::refused)?;
    let ran = source.compile(Validate::WhenWritten).and_then(|compiled| {
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
    ran.map(|ran| ran.code).map_err(Failure::into_refused)
}

/// The part's plan, if the agent's is still the one that was consented to.
fn of(part: Part, name: &str, plan_sha256: &str, compiled: Compiled) -> Result<Compiled, Refusal> {
    let refused = |reason: String| Refusal::new(reason).step(STEP);
    if compiled.digest != plan_sha256 {
        let reason = "the Agentfile, or what it names, changed after the run began";
        return Err(refused(reason.to_owned()).help("run it again"));
    }
    let plan = compiled.plan.broker.into_iter().find_map(|entry| plan(entry, part, name));
    let plan = plan.ok_or_else(|| refused(format!("the plan has no `{name}` that is a run of its own")))?;
    let digest = digest::digest(&plan)
        .map_err(|error| refused(format!("the plan of `{name}` has no canonical form: {error}")))?;
    Ok(Compiled { plan, digest })
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
