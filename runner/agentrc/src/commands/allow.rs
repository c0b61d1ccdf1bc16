//! `agentrc allow`: consent, recorded for exactly this plan in exactly this folder.

use agentfile::compile::Validate;
use agentrc_host::StateDir;

use super::Outcome;
use crate::arguments::Allow;
use crate::refusal::Refusal;
use crate::source::{Compiled, Source};
use crate::terminal::Style;
use crate::{consent, exit, terminal};

/// Shows what is asked, asks, and records the answer.
///
/// # Errors
/// The Agentfile does not compile; nobody answers yes; the state directory cannot be written.
pub fn allow(arguments: &Allow) -> Outcome {
    let source = Source::open(&arguments.at.path)?;
    let Compiled { plan, digest } = source.compile(Validate::Always)?;
    if plan.grants.is_empty() {
        terminal::print("it asks for nothing beyond its own folder; no consent is needed\n")?;
        return Ok(exit::SUCCESS);
    }
    terminal::print(&consent::shown(&plan.agent, &plan.grants, Style::stdout()))?;
    if !arguments.yes {
        let answer = consent::ask("consent, until the plan changes?")
            .map_err(|error| Refusal::new(format!("cannot ask for consent: {error}")))?;
        match answer {
            Some(true) => {}
            Some(false) => return Err(Refusal::new("nothing was recorded").into()),
            None => {
                return Err(Refusal::new("there is no terminal to ask on")
                    .help("`--yes` consents to everything that is listed above")
                    .into());
            }
        }
    }
    let state = StateDir::of_this_user()?;
    let asked: Vec<String> = plan.grants.iter().map(|grant| grant.asks.clone()).collect();
    state.allow(source.folder(), source.name(), &digest, &asked)?;
    terminal::print(&format!("recorded for plan sha256:{digest}\n"))?;
    Ok(exit::SUCCESS)
}
