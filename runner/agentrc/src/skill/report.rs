//! What is reported of a skill's run: one value, from which the JSON and the JUnit form are written. What happened is read
//! from the run's log, after the log was verified.

use std::fmt::Write as _;
use std::io::BufReader;

use agentrc_audit::event::{Denial, Event};
use agentrc_audit::line::{Body, Line};
use agentrc_audit::log::LOG_FILE;
use agentrc_audit::read::Lines;
use agentrc_audit::verify::Verdict as Verified;
use agentrc_host::StateDir;
use serde::Serialize;

use super::capture::{KEPT, Output};
use crate::commands::run::Ran;
use crate::host;
use crate::refusal::Refusal;

/// Version of the report. (docs/schema/skill-report.schema.json)
pub const FORMAT: u32 = 1;
/// Most denials and limits that a report lists; the rest is counted.
const LISTED: usize = 1000;

/// The outcome in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The script ended with 0.
    Passed,
    /// It ended with something else, or could not be executed.
    Failed,
    /// The supervisor killed it.
    Killed,
    /// It was not executed.
    Refused,
    /// It ran, and its record is not whole.
    Error,
}

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of agentrc.
    pub agentrc: &'static str,
    /// Name of the skill; what was asked for, when there is none.
    pub skill: String,
    /// The script, as a path in the skill.
    pub script: Option<String>,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// SHA-256 (hex) of the plan.
    pub plan_sha256: Option<String>,
    /// The outcome.
    pub verdict: Verdict,
    /// Exit code of `agentrc skill run`.
    pub exit_code: u8,
    /// Signal that ended the script.
    pub signal: Option<i32>,
    /// Wall time in milliseconds.
    pub wall_ms: Option<u64>,
    /// CPU time, user and system, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Peak resident set of the largest process, in KiB.
    pub peak_rss_kib: Option<u64>,
    /// Why it was refused, killed, not executed, or is not recorded.
    pub reasons: Vec<Reason>,
    /// What it tried and was denied, as far as it shows outside.
    pub denials: Vec<Denied>,
    /// Limits that it reached.
    pub limits: Vec<Reached>,
    /// How many denials and limits are not listed.
    pub omitted: u64,
    /// The log.
    pub audit: Option<Audit>,
    /// The beginning of its standard output.
    pub stdout: Option<Text>,
    /// The beginning of its standard error.
    pub stderr: Option<Text>,
}

/// Why something did not happen.
#[derive(Debug, Serialize)]
pub struct Reason {
    /// The step.
    pub step: Option<String>,
    /// `file:line:column` of what asked for it.
    pub origin: Option<String>,
    /// Why.
    pub reason: String,
    /// What to do.
    pub help: Option<String>,
}

/// A denied attempt.
#[derive(Debug, Serialize)]
pub struct Denied {
    /// Layer that denied.
    pub layer: String,
    /// What was tried.
    pub act: String,
    /// Program name, where known.
    pub program: Option<String>,
    /// What it got.
    pub verdict: String,
    /// Rule that decided; empty where nothing permits it.
    pub rule: String,
    /// How often.
    pub count: u64,
}

/// A limit that was reached.
#[derive(Debug, Serialize)]
pub struct Reached {
    /// Which.
    pub limit: String,
    /// What followed.
    pub outcome: String,
    /// How often.
    pub count: u64,
    /// Line that set it.
    pub origin: Option<String>,
}

/// The log of the run.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// Name of the run; it is still there when it was kept.
    pub run: String,
    /// Whether it was kept.
    pub kept: bool,
    /// How many events it has.
    pub events: u64,
    /// SHA-256 (hex) of its last line.
    pub head: String,
}

/// The beginning of an output.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Text {
    /// Its first 64 KiB, readable: see [`readable`].
    pub text: String,
    /// How many bytes it had in all.
    pub bytes: u64,
    /// Whether there was more than `text`.
    pub truncated: bool,
}

impl Report {
    /// A run of `skill` that was not executed, or not yet.
    #[must_use]
    pub fn new(skill: &str, arguments: Vec<String>, exit_code: u8) -> Self {
        Self {
            format: FORMAT,
            agentrc: env!("CARGO_PKG_VERSION"),
            skill: readable(skill.as_bytes()),
            script: None,
            arguments,
            plan_sha256: None,
            verdict: Verdict::Refused,
            exit_code,
            signal: None,
            wall_ms: None,
            cpu_ms: None,
            peak_rss_kib: None,
            reasons: Vec::new(),
            denials: Vec::new(),
            limits: Vec::new(),
            omitted: 0,
            audit: None,
            stdout: None,
            stderr: None,
        }
    }

    /// One more reason.
    pub fn because(&mut self, refusal: &Refusal) {
        let readable = |text: &String| readable(text.as_bytes());
        self.reasons.push(Reason {
            step: refusal.step.as_ref().map(readable),
            origin: refusal.origin.as_ref().map(readable),
            reason: readable(&refusal.reason),
            help: refusal.help.as_ref().map(readable),
        });
    }

    /// How the script ended.
    pub fn ended(&mut self, ran: &Ran) {
        let ended = &ran.ended;
        self.exit_code = ran.code;
        self.verdict = match (&ended.killed, ran.code) {
            (Some(_), _) => Verdict::Killed,
            (None, 0) => Verdict::Passed,
            (None, _) => Verdict::Failed,
        };
        self.signal = ended.signal;
        self.wall_ms = Some(millis(ended.wall));
        self.cpu_ms = Some(millis(ended.cpu));
        self.peak_rss_kib = Some(ended.peak_rss_kib);
        for (step, reason) in [("killed", &ended.killed), ("exec", &ended.exec_failed)] {
            if let Some(reason) = reason {
                self.because(&Refusal::new(reason).step(step));
            }
        }
    }

    /// What the run's log says.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn read_log(&mut self, state: &StateDir, run: &str, kept: bool) -> Result<(), Refusal> {
        let fail = |error: &dyn std::error::Error| host::refusal(error).step("audit-read");
        let key = state.public_key().map_err(|error| fail(&error))?;
        let verified = state.verify_run(run, &key).map_err(|error| fail(&error))?;
        if verified.verdict() != Verified::Intact {
            return Err(Refusal::new("the run's log is not what was written").step("audit-read"));
        }
        let folder = state.open_run(run).map_err(|error| fail(&error))?;
        let log = folder.folder().open_file(LOG_FILE).map_err(|error| fail(&error))?;
        for line in Lines::new(BufReader::new(log)) {
            self.take(line.map_err(|error| fail(&error))?);
        }
        let head = verified.head.to_string();
        self.audit = Some(Audit { run: run.to_owned(), kept, events: verified.events, head });
        Ok(())
    }

    fn take(&mut self, line: Line) {
        let readable = |text: String| readable(text.as_bytes());
        let full = self.denials.len() + self.limits.len() >= LISTED;
        match line.body {
            Body::Event(Event::Denial(_) | Event::Limit { .. }) if full => self.omitted += 1,
            Body::Event(Event::Denial(denial)) => {
                let Denial { layer, act, program, verdict, rule, count, .. } = denial;
                let (act, program, rule) = (readable(act), program.map(readable), readable(rule));
                self.denials.push(Denied { layer, act, program, verdict, rule, count });
            }
            Body::Event(Event::Limit { limit, outcome, count, origin }) => {
                self.limits.push(Reached { limit, outcome, count, origin: origin.map(readable) });
            }
            Body::Event(_) | Body::Checkpoint { .. } => {}
        }
    }

    /// What the script wrote.
    pub fn wrote(&mut self, [stdout, stderr]: &[Output; 2]) {
        self.stdout = Some(Text::of(stdout));
        self.stderr = Some(Text::of(stderr));
    }

    /// Says that the script ran and its record is not whole: whatever it returned, that is not a success.
    pub fn not_whole(&mut self, refusal: &Refusal, exit_code: u8) {
        self.verdict = Verdict::Error;
        self.exit_code = exit_code;
        self.because(refusal);
    }

    /// One line of JSON.
    ///
    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(|error| error.to_string())
    }
}

impl Text {
    fn of(output: &Output) -> Self {
        Self {
            text: readable(&output.beginning),
            bytes: output.bytes,
            truncated: output.bytes > output.beginning.len().min(KEPT) as u64,
        }
    }
}

/// Text of the script's, or of the skill's author's, for a report that a person may read in a terminal or a browser: line ends
/// and tabs stay; what could drive a terminal, hides text, or may not be in XML is written `\u{1b}`; a byte that is not UTF-8, `\xff`.
#[must_use]
pub fn readable(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in agentrc_audit::text::printable_text(chunk.valid()).chars() {
            match character {
                // Not characters, and no text of XML 1.0 (2.2, `Char`).
                '\u{fffe}' | '\u{ffff}' => {
                    let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
                }
                other => shown.push(other),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_become_text_that_xml_takes() {
        let shown = readable(
            b"a\tb\n\0\x1b[2J\r\x7f\xc2\x9b\xff\xef\xbf\xbe\xef\xbf\xbf\xe2\x80\xae\xed\xa0\x80<&\\",
        );
        assert_eq!(
            shown,
            "a\tb\n\\u{0}\\u{1b}[2J\\u{d}\\u{7f}\\u{9b}\\xff\\u{fffe}\\u{ffff}\\u{202e}\\xed\\xa0\\x80<&\\"
        );
    }

    #[test]
    fn an_output_says_how_much_of_it_is_there() {
        let whole = Output { beginning: b"abc".to_vec(), bytes: 3 };
        assert_eq!(Text::of(&whole), Text { text: "abc".to_owned(), bytes: 3, truncated: false });
        assert!(Text::of(&Output { bytes: 4, ..whole }).truncated);
    }
}
