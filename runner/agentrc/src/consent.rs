//! Consent to what an Agentfile asks of the host beyond its own folder: shown word for word, asked for on a terminal, never
//! assumed.

use std::io::{self, IsTerminal};
use std::path::Path;

use agentfile::plan::Grant;
use rustix::termios::{QueueSelector, tcflush};

use crate::refusal::Refusal;
use crate::terminal::{self, Style, Tone, escape};

/// The step's name in refusals.
pub const STEP: &str = "consent";

/// What is asked, a line each.
#[must_use]
pub fn shown(agent: &str, grants: &[Grant], style: Style) -> String {
    let mut text = format!(
        "{} asks this host, beyond its own folder, to:\n",
        style.paint(Tone::Strong, &format!("agent `{}`", escape(agent)))
    );
    for grant in grants {
        let place = style.paint(Tone::Faint, &format!("[{}]", escape(&grant.origin.to_string())));
        text.push_str(&format!("  {}  {place}\n", escape(&grant.asks)));
    }
    text
}

/// Whether there is a person to ask.
#[must_use]
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal. `None`: there is none.
///
/// # Errors
/// The terminal cannot be read.
pub fn ask(question: &str) -> io::Result<Option<bool>> {
    if !can_ask() {
        return Ok(None);
    }
    // What was typed or pasted before the question was shown is no answer to it.
    tcflush(rustix::stdio::stdin(), QueueSelector::IFlush)?;
    terminal::complain(&format!("{question} [y/N] "));
    let mut answer = Vec::new();
    // Byte by byte: what follows the line is the agent's input.
    let mut byte = [0; 1];
    while rustix::io::read(rustix::stdio::stdin(), &mut byte)? == 1 && byte != *b"\n" && answer.len() < 16 {
        answer.extend(byte);
    }
    let answer = answer.to_ascii_lowercase();
    Ok(Some(matches!(answer.trim_ascii(), b"y" | b"yes")))
}

/// The refusal of a run for which nobody consented: one reason for each thing that is asked, and the exact command.
#[must_use]
pub fn missing(grants: &[Grant], agentfile: &Path) -> Vec<Refusal> {
    let path = quoted(&terminal::path(agentfile));
    grants
        .iter()
        .map(|grant| {
            Refusal::new(format!("it asks to {}, and nobody consented", escape(&grant.asks)))
                .step(STEP)
                .at(&grant.origin)
                .help(format!(
                    "agentrc allow {path}        (remembered for exactly this plan)\n\
                     agentrc run --grant {path}  (this run only)"
                ))
        })
        .collect()
}

/// For a shell: as it is when that is safe, else in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte));
    if plain && !text.is_empty() { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ask_is_a_reason_with_its_line_and_both_commands() {
        let plan = crate::sample::plan();
        let reasons = missing(&plan.grants, Path::new("/a b/Agentfile"));
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].origin.as_deref(), Some("Agentfile:4:1"));
        let help = reasons[0].help.as_deref().unwrap();
        assert!(
            help.contains("agentrc allow '/a b/Agentfile'") && help.contains("run --grant '/a b/Agentfile'")
        );
    }

    #[test]
    fn what_is_asked_cannot_drive_the_terminal() {
        let mut plan = crate::sample::plan();
        "read `\u{1b}[2K\rnothing`".clone_into(&mut plan.grants[0].asks);
        assert!(!shown("a", &plan.grants, Style::plain()).contains(['\u{1b}', '\r']));
    }
}
