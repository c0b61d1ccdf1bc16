//! `agentrc check`: every finding of the compiler, at once; or the explanation of one code.

use agentfile::compile::{Compiled, Validate};
use agentfile::diag::{Diagnostic, Severity};
use agentfile::{code, fix, render};
use serde_json::json;

use super::Outcome;
use super::init::replace;
use crate::arguments::{Check, Format};
use crate::refusal::Refusal;
use crate::source::Source;
use crate::terminal::Style;
use crate::{exit, terminal};

/// Rounds of edits: one edit may make room for another that it overlapped.
const ROUNDS: usize = 8;

/// Checks, with `--fix` after making the proposed edits. The exit code is 1 when there are errors.
///
/// # Errors
/// The file cannot be read or written; the code does not exist.
pub fn check(arguments: &Check) -> Outcome {
    if let Some(asked) = &arguments.explain {
        return explain(asked);
    }
    let mut source = Source::open(&arguments.at.path)?;
    let mut compiled = source.check(Validate::Always);
    let mut edits = 0;
    if arguments.fix {
        for _ in 0..ROUNDS {
            let proposed = fix::count(&compiled.diagnostics);
            let fixed = fix::apply(source.bytes(), &compiled.diagnostics);
            if proposed == 0 || fixed == source.bytes() {
                break;
            }
            replace(&source.path(), &fixed)
                .map_err(|error| Refusal::new(format!("cannot write `{}`: {error}", source.shown())))?;
            edits += proposed;
            source = Source::open(&arguments.at.path)?;
            compiled = source.check(Validate::Always);
        }
    }
    let failed = compiled.diagnostics.iter().any(|finding| finding.severity == Severity::Error);
    let text = match arguments.format {
        Format::Json => as_json(&source, &compiled),
        Format::Text => as_text(&source, &compiled.diagnostics, edits),
    };
    terminal::print(&text)?;
    Ok(if failed { exit::FAILURE } else { exit::SUCCESS })
}

fn as_text(source: &Source, findings: &[Diagnostic], edits: usize) -> String {
    let mut text = render::text(source.shown(), source.bytes(), findings, Style::stdout().colour());
    if !text.is_empty() {
        text.push('\n');
    }
    match edits {
        0 => {}
        1 => text.push_str("made 1 edit\n"),
        number => text.push_str(&format!("made {number} edits\n")),
    }
    let summary = render::summary(findings);
    let summary = if summary.is_empty() { "no errors".to_owned() } else { summary };
    text.push_str(&format!("{}: {summary}\n", source.shown()));
    text
}

/// `findings` as the library writes them, around them what a program asks next.
fn as_json(source: &Source, compiled: &Compiled) -> String {
    let findings = render::json(source.shown(), source.bytes(), &compiled.diagnostics);
    let digest = compiled.plan.as_ref().and_then(|plan| agentfile::plan::digest::digest(plan).ok());
    let head = json!({"file": source.shown(), "plan_sha256": digest}).to_string();
    // One object more around text that is JSON already, without reading it again.
    format!("{},\"findings\":{}}}\n", head.trim_end_matches('}'), findings.trim_end())
}

fn explain(asked: &str) -> Outcome {
    let Some(code) = code::find(asked) else {
        return Err(Refusal::new(format!("there is no code `{asked}`"))
            .help("codes are `E` or `W` and three digits, such as `E005`; docs/agentfile.md lists them")
            .into());
    };
    terminal::print(&format!("{}: {}\n\n{}\n", code.code, code.title, code.explanation))?;
    Ok(exit::SUCCESS)
}
