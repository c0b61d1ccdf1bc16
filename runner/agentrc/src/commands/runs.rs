//! `agentrc runs`: what ran here, how it ended, what waits for review.

use std::fmt::Write as _;

use agentrc_host::StateDir;
use agentrc_host::runs::{Listed, RunState};
use serde_json::json;

use super::Outcome;
use crate::arguments::Runs;
use crate::terminal::{Style, Tone, escape};
use crate::{exit, host, terminal};

/// Lists runs, newest first, or removes one.
///
/// # Errors
/// The state directory cannot be read; the run goes on.
pub fn runs(arguments: &Runs) -> Outcome {
    let state = StateDir::of_this_user()?;
    if let Some(asked) = &arguments.remove {
        let run = host::run_named(&state, asked)?;
        state.remove_run(&run)?;
        terminal::print(&format!("removed {run}\n"))?;
        return Ok(exit::SUCCESS);
    }
    let mut listed = state.runs()?;
    listed.reverse();
    terminal::print(&if arguments.json { as_json(&listed) } else { as_text(&listed, Style::stdout()) })?;
    Ok(exit::SUCCESS)
}

fn as_text(listed: &[Listed], style: Style) -> String {
    let mut out = String::new();
    if listed.is_empty() {
        out.push_str("no runs yet\n");
    }
    for run in listed {
        let state = match &run.state {
            Ok(RunState::Running) => style.paint(Tone::Good, "running"),
            Ok(RunState::Ended { exit_code }) => format!("ended {exit_code}"),
            Ok(RunState::Refused { step }) => style.paint(Tone::Bad, &format!("refused at {}", escape(step))),
            Ok(RunState::Interrupted) => style.paint(Tone::Warn, "interrupted"),
            Err(error) => style.paint(Tone::Bad, &escape(&error.to_string())),
        };
        let what = match &run.record {
            Ok(Some(record)) => {
                let copies = match record.copies.len() {
                    0 => String::new(),
                    1 => ", 1 copy".to_owned(),
                    number => format!(", {number} copies"),
                };
                let of = record.serves.as_ref().map_or_else(String::new, |run| match &record.skill {
                    Some(skill) => format!(", the skill {} of {}", escape(skill), escape(run)),
                    None => format!(", a server of {}", escape(run)),
                });
                let agentfile = terminal::path(record.agentfile.as_ref());
                format!("{}  {agentfile}{copies}{of}", escape(&record.agent))
            }
            Ok(None) => "ended before it was recorded".to_owned(),
            Err(error) => escape(&error.to_string()),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {state:<16}  {what}", run.id);
    }
    out
}

fn as_json(listed: &[Listed]) -> String {
    let runs: Vec<_> = listed
        .iter()
        .map(|run| {
            let mut value = json!({"run": run.id});
            let (state, detail) = match &run.state {
                Ok(RunState::Running) => ("running", json!(null)),
                Ok(RunState::Ended { exit_code }) => ("ended", json!(exit_code)),
                Ok(RunState::Refused { step }) => ("refused", json!(step)),
                Ok(RunState::Interrupted) => ("interrupted", json!(null)),
                Err(error) => ("unknown", json!(error.to_string())),
            };
            let record = match &run.record {
                Ok(record) => json!(record),
                Err(error) => json!({"error": error.to_string()}),
            };
            if let Some(object) = value.as_object_mut() {
                object.insert("state".to_owned(), json!(state));
                object.insert("detail".to_owned(), detail);
                object.insert("record".to_owned(), record);
            }
            value
        })
        .collect();
    format!("{}\n", json!({"runs": runs}))
}
