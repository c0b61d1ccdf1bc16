//! What the user reads when something does not happen: what failed, where it was declared, why, what to do. Every
//! command's failures come through this one renderer.

use std::fmt::Write as _;

use crate::exit;
use crate::terminal::{Style, Tone, escape};

/// One reason why something did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The step that refused, by its stable name; `None` when there is only one.
    pub step: Option<String>,
    /// `file:line:column` of what asked for it.
    pub origin: Option<String>,
    /// Why, as a clause in lower case with names in backticks.
    pub reason: String,
    /// What to do about it. Lines after the first are shown beneath it, such as a command to copy.
    pub help: Option<String>,
}

impl Refusal {
    /// A refusal without a place.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { step: None, origin: None, reason: reason.into(), help: None }
    }

    /// The same with the step that refused.
    #[must_use]
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.step = Some(step.into());
        self
    }

    /// The same with the place that asked for it.
    #[must_use]
    pub fn at(mut self, origin: impl ToString) -> Self {
        self.origin = Some(origin.to_string());
        self
    }

    /// The same with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn render(&self, style: Style, word: &str, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}: {}", style.paint(Tone::Bad, word), lines(&self.reason, "  "));
        if let Some(origin) = &self.origin {
            let _ = writeln!(out, "  {} {}", style.paint(Tone::Faint, "-->"), escape(origin));
        }
        if let Some(step) = &self.step {
            let _ = writeln!(out, "  {} {}", style.paint(Tone::Faint, "step:"), escape(step));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  {} {}", style.paint(Tone::Good, "help:"), lines(help, "        "));
        }
    }
}

impl From<&agentrc_jail::Refusal> for Refusal {
    fn from(refusal: &agentrc_jail::Refusal) -> Self {
        Self {
            step: Some(refusal.step.name().to_owned()),
            origin: refusal.origin.as_ref().map(ToString::to_string),
            reason: refusal.reason.clone(),
            help: refusal.help.clone(),
        }
    }
}

/// Escapes each line and indents all but the first.
fn lines(text: &str, indent: &str) -> String {
    text.trim_end().split('\n').map(escape_words).collect::<Vec<_>>().join(&format!("\n{indent}"))
}

/// As [`escape`], but a backslash stays: reasons and helps are our own words, with shell commands in them.
fn escape_words(text: &str) -> String {
    agentrc_audit::text::printable_text(text)
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// `run` refused before the agent's command was executed.
    #[error("the run was refused")]
    Refused {
        /// Every reason, at least one.
        reasons: Vec<Refusal>,
        /// 125, 126 or 127.
        code: u8,
    },
    /// A command other than `run` could not do what it is for.
    #[error("{}", .0.reason)]
    Failed(Box<Refusal>),
    /// The command has already said, in its output, why its exit code is not 0.
    #[error("the output says why")]
    Said(u8),
    /// Standard output could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(Box::new(refusal))
    }
}

impl Failure {
    /// Refuses a run with one reason.
    #[must_use]
    pub fn refused(reason: Refusal) -> Self {
        Self::Refused { reasons: vec![reason], code: exit::REFUSED }
    }

    /// As a refusal to run, whatever it was: `run` has no failure of another kind.
    #[must_use]
    pub fn into_refused(self) -> Self {
        match self {
            Self::Failed(reason) => Self::refused(*reason),
            Self::Said(_) => Self::Said(exit::REFUSED),
            Self::Output(error) => Self::refused(
                Refusal::new(format!("cannot write to standard output: {error}")).step("output"),
            ),
            refused @ Self::Refused { .. } => refused,
        }
    }

    /// The same with places shown as the user named the file `name` (`shown`), to be found from where the user is.
    #[must_use]
    pub fn shown_as(mut self, name: &str, shown: &str) -> Self {
        if let Self::Refused { reasons, .. } = &mut self {
            for origin in reasons.iter_mut().filter_map(|reason| reason.origin.as_mut()) {
                if let Some(place) = origin.strip_prefix(name).filter(|place| place.starts_with(':')) {
                    *origin = format!("{shown}{place}");
                }
            }
        }
        self
    }

    /// The exit code of the process.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Refused { code, .. } | Self::Said(code) => *code,
            Self::Failed(_) | Self::Output(_) => exit::FAILURE,
        }
    }

    /// What is written to standard error.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        match self {
            Self::Refused { reasons, .. } => {
                for reason in reasons {
                    reason.render(style, "refused", &mut out);
                }
                out.push_str("agentrc: the command was not executed\n");
            }
            Self::Failed(reason) => reason.render(style, "error", &mut out),
            Self::Said(_) => {}
            Self::Output(error) => Refusal::new(format!("cannot write to standard output: {error}"))
                .render(style, "error", &mut out),
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_place_step_and_way_out() {
        let refusal = Refusal::new("`URL` is not yet enforced here")
            .at("Agentfile:3:1")
            .step("admit")
            .help("remove it");
        let failure = Failure::refused(refusal);
        assert_eq!(failure.code(), 125);
        assert_eq!(
            failure.render(Style::plain()),
            "refused: `URL` is not yet enforced here\n  --> Agentfile:3:1\n  step: admit\n  help: remove it\n\
             agentrc: the command was not executed\n"
        );
    }

    #[test]
    fn an_untrusted_name_in_a_reason_is_escaped() {
        let failure = Failure::from(Refusal::new("cannot open `\u{1b}[2J`").at("x\u{7}:1:1"));
        assert!(!failure.render(Style::plain()).contains(['\u{1b}', '\u{7}']));
        assert_eq!(failure.code(), 1);
    }
}
