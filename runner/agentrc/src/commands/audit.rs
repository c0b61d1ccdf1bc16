//! `agentrc audit`: read and verify logs. Verification trusts nothing of the log, and takes its key from the state
//! directory only.

use std::fmt::Write as _;
use std::io::{BufReader, Read as _};

use agentrc_audit::ledger::LEDGER_FILE;
use agentrc_audit::log::LOG_FILE;
use agentrc_audit::read::Lines;
use agentrc_audit::verify::{Report, Verdict};
use agentrc_host::StateDir;
use agentrc_host::runs::RunState;
use serde_json::json;

use super::Outcome;
use crate::arguments::{Audit, AuditCommand, AuditList, Show, Verify};
use crate::refusal::Refusal;
use crate::terminal::{Style, Tone, escape};
use crate::{events, exit, host, terminal};

/// Longest log that `show --json` prints in one piece.
const RAW_LIMIT: u64 = 1 << 30;

/// Carries out one of the three.
///
/// # Errors
/// The state directory or a log cannot be read.
pub fn audit(arguments: &Audit) -> Outcome {
    let state = StateDir::of_this_user()?;
    match &arguments.command {
        AuditCommand::List(arguments) => list(&state, arguments),
        AuditCommand::Show(arguments) => show(&state, arguments),
        AuditCommand::Verify(arguments) => verify(&state, arguments),
    }
}

fn list(state: &StateDir, arguments: &AuditList) -> Outcome {
    let mut logs = Vec::new();
    for id in state.run_ids()? {
        let run = state.open_run(&id)?;
        let bytes = match run.folder().find_file(LOG_FILE)? {
            Some(log) => log.metadata().ok().map(|metadata| metadata.len()),
            None => None,
        };
        logs.push((id, run.folder().path_of(LOG_FILE), bytes));
    }
    logs.reverse();
    let text = if arguments.json {
        let logs: Vec<_> = logs
            .iter()
            .map(|(id, path, bytes)| json!({"run": id, "log": path.to_string_lossy(), "bytes": bytes}))
            .collect();
        format!("{}\n", json!({"logs": logs}))
    } else if logs.is_empty() {
        "no logs yet\n".to_owned()
    } else {
        logs.iter().fold(String::new(), |mut out, (id, path, bytes)| {
            let size = bytes.map_or_else(|| "missing".to_owned(), |bytes| format!("{bytes} B"));
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{id}  {size:>10}  {}", terminal::path(path));
            out
        })
    };
    terminal::print(&text)?;
    Ok(exit::SUCCESS)
}

fn show(state: &StateDir, arguments: &Show) -> Outcome {
    let run = state.open_run(&host::run_named(state, &arguments.run.name)?)?;
    let log = run.folder().open_file(LOG_FILE)?;
    warn_unless_intact(state, run.id());
    if arguments.json {
        let mut text = String::new();
        BufReader::new(log)
            .take(RAW_LIMIT)
            .read_to_string(&mut text)
            .map_err(|error| Refusal::new(format!("cannot read the log: {error}")))?;
        terminal::print(&text)?;
        return Ok(exit::SUCCESS);
    }
    let style = Style::stdout();
    if let Some(which) = super::which(&arguments.run.name, run.id()) {
        terminal::print(&format!("{which}\n"))?;
    }
    for line in Lines::new(BufReader::new(log)) {
        match line {
            Ok(line) => terminal::print(&events::render(&line, style))?,
            Err(error) => return Err(host::refusal(&error).into()),
        }
    }
    Ok(exit::SUCCESS)
}

fn verify(state: &StateDir, arguments: &Verify) -> Outcome {
    let key = state.public_key()?;
    let mut verified = Vec::new();
    if let Some(asked) = &arguments.run {
        let run = host::run_named(state, asked)?;
        let report = state.verify_run(&run, &key)?;
        verified.push(Verified::of_run(state, run, Ok(report)));
    } else if state.run_ids()?.is_empty() && state.folder().find_file(LEDGER_FILE)?.is_none() {
        // A ledger that is gone while runs are there is an error below.
        terminal::print(if arguments.json { "{\"intact\":true,\"logs\":[]}\n" } else { "no logs yet\n" })?;
        return Ok(exit::SUCCESS);
    } else {
        let whole = state.verify_all(&key)?;
        verified.push(Verified { name: "ledger".to_owned(), report: Ok(whole.ledger), running: false });
        verified.extend(
            whole
                .runs
                .into_iter()
                .map(|(run, report)| Verified::of_run(state, run, report.map_err(|error| error.to_string()))),
        );
    }
    let intact = verified.iter().all(Verified::is_intact);
    let text = if arguments.json {
        let logs: Vec<_> = verified.iter().map(Verified::as_json).collect();
        format!("{}\n", json!({"key_id": key.id(), "intact": intact, "logs": logs}))
    } else {
        let style = Style::stdout();
        verified.iter().map(|verified| verified.as_text(style)).collect()
    };
    terminal::print(&text)?;
    Ok(if intact { exit::SUCCESS } else { exit::FAILURE })
}

/// What a viewer says before it shows a log that is not what was written.
pub(super) fn warn_unless_intact(state: &StateDir, run: &str) {
    let report = state.public_key().and_then(|key| state.verify_run(run, &key));
    let verified = Verified::of_run(state, run.to_owned(), report.map_err(|error| error.to_string()));
    if !verified.is_intact() {
        let word = Style::stderr().paint(Tone::Bad, &format!("warning: this log is {}", verified.word()));
        terminal::complain(&format!("{word}: see agentrc audit verify {}\n", escape(run)));
    }
}

/// One log, verified.
struct Verified {
    name: String,
    report: Result<Report, String>,
    running: bool,
}

impl Verified {
    fn of_run(state: &StateDir, run: String, report: Result<Report, String>) -> Self {
        let running =
            state.open_run(&run).and_then(|run| run.state()).is_ok_and(|state| state == RunState::Running);
        Self { name: run, report, running }
    }

    /// A log without its final signature is what it should be only while its run goes on.
    fn is_intact(&self) -> bool {
        self.report.as_ref().is_ok_and(|report| match report.verdict() {
            Verdict::Intact => true,
            Verdict::Unfinished => self.running,
            Verdict::Tampered => false,
        })
    }

    fn word(&self) -> &'static str {
        match self.report.as_ref().map(Report::verdict) {
            Ok(Verdict::Intact) => "intact",
            Ok(Verdict::Unfinished) if self.running => "running",
            Ok(Verdict::Unfinished) => "unfinished",
            Ok(Verdict::Tampered) => "tampered",
            Err(_) => "unreadable",
        }
    }

    fn as_text(&self, style: Style) -> String {
        let tone = if self.is_intact() { Tone::Good } else { Tone::Bad };
        let mut out = format!("{}  {}", escape(&self.name), style.paint(tone, self.word()));
        let report = match &self.report {
            Ok(report) => report,
            Err(error) => return format!("{out}: {}\n", escape(error)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  {} lines, {} signatures, head sha256:{}",
            report.lines, report.checkpoints, report.head
        );
        if report.verdict() == Verdict::Unfinished && !report.finished && !self.running {
            let _ = writeln!(
                out,
                "  there is no final signature: the supervisor was killed, or the end was cut off; \
                 {} lines are not covered by a signature",
                report.unsigned
            );
        }
        for finding in &report.findings {
            let _ = writeln!(out, "  {}", escape(&finding.to_string()));
        }
        if report.more > 0 {
            let _ = writeln!(out, "  and {} more", report.more);
        }
        out
    }

    fn as_json(&self) -> serde_json::Value {
        match &self.report {
            Ok(report) => json!({
                "name": self.name,
                "verdict": self.word(),
                "lines": report.lines,
                "signatures": report.checkpoints,
                "unsigned": report.unsigned,
                "head": report.head.to_string(),
                "findings": report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "more": report.more,
            }),
            Err(error) => json!({"name": self.name, "verdict": self.word(), "error": error}),
        }
    }
}
