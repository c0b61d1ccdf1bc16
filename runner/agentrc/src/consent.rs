//! Consent to what an Agentfile asks of the host beyond its own folder: shown word for word, asked for on a terminal, never
//! assumed.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use agentfile::plan::{HostPath, MountSource, Origin, Plan};
use rustix::termios::{QueueSelector, tcflush};

use crate::refusal::Refusal;
use crate::terminal::{self, Style, Tone, escape};

/// The step's name in refusals.
pub const STEP: &str = "consent";

/// One thing that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// In words, with the place that a path leads to where that is another one: what a person consents to, and what is
    /// compared at the next run.
    pub words: String,
    /// The line that asks.
    pub origin: Origin,
}

/// Everything that a plan asks. A path that is, or leads through, a symbolic link is shown with where it leads now: a
/// link that is changed afterwards asks anew.
#[must_use]
pub fn asks(plan: &Plan, folder: &Path, home: Option<&Path>) -> Vec<Ask> {
    plan.grants
        .iter()
        .map(|grant| {
            let leads = plan.mounts.iter().filter(|mount| mount.origin == grant.origin).find_map(|mount| {
                let (MountSource::Bind { source, .. } | MountSource::Copy { source, .. }) = &mount.source
                else {
                    return None;
                };
                let written = absolute(source, folder, home)?;
                written.canonicalize().ok().filter(|real| *real != written)
            });
            let leads = leads.map(|real| format!(" (now `{}`)", real.display())).unwrap_or_default();
            Ask { words: format!("{}{leads}", grant.asks), origin: grant.origin.clone() }
        })
        .collect()
}

/// A host path without `./`, `~/`; symbolic links as they are. `None`: it is in a home that does not exist.
#[must_use]
pub fn absolute(path: &HostPath, folder: &Path, home: Option<&Path>) -> Option<PathBuf> {
    match path {
        HostPath::Project(rest) | HostPath::Outside(rest) => Some(folder.join(rest)),
        HostPath::Home(rest) => Some(home?.join(rest)),
        HostPath::Absolute(path) => Some(PathBuf::from(path)),
    }
}

/// What is asked, a line each.
#[must_use]
pub fn shown(agent: &str, asks: &[Ask], style: Style) -> String {
    let mut text = format!(
        "{} asks this host, beyond its own folder, to:\n",
        style.paint(Tone::Strong, &format!("agent `{}`", escape(agent)))
    );
    for ask in asks {
        let place = style.paint(Tone::Faint, &format!("[{}]", escape(&ask.origin.to_string())));
        text.push_str(&format!("  {}  {place}\n", escape(&ask.words)));
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
pub fn missing(asks: &[Ask], agentfile: &Path) -> Vec<Refusal> {
    let path = quoted(&terminal::path(agentfile));
    asks.iter()
        .map(|ask| {
            Refusal::new(format!("it asks to {}, and nobody consented", escape(&ask.words)))
                .step(STEP)
                .at(&ask.origin)
                .help(format!(
                    "agentrc allow {path}        (remembered for exactly this plan)\n\
                     agentrc run --grant {path}  (this run only)"
                ))
        })
        .collect()
}

/// For a shell: as it is when that is safe, else in single quotes.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte));
    if plain && !text.is_empty() { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ask_is_a_reason_with_its_line_and_both_commands() {
        let asks = asks(&crate::sample::plan(), Path::new("/p"), None);
        let reasons = missing(&asks, Path::new("/a b/Agentfile"));
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].origin.as_deref(), Some("Agentfile:4:1"));
        let help = reasons[0].help.as_deref().unwrap();
        assert!(
            help.contains("agentrc allow '/a b/Agentfile'") && help.contains("run --grant '/a b/Agentfile'")
        );
    }

    #[test]
    fn a_link_is_shown_with_where_it_leads() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir(home.join("real")).unwrap();
        std::os::unix::fs::symlink("real", home.join("data")).unwrap();
        let plan = crate::sample::plan();
        let linked = asks(&plan, Path::new("/p"), Some(&home));
        assert_eq!(linked[0].words, format!("read `~/data` (now `{}`)", home.join("real").display()));
        std::fs::remove_file(home.join("data")).unwrap();
        std::fs::create_dir(home.join("data")).unwrap();
        assert_eq!(asks(&plan, Path::new("/p"), Some(&home))[0].words, "read `~/data`");
    }

    #[test]
    fn what_is_asked_cannot_drive_the_terminal() {
        let mut plan = crate::sample::plan();
        "read `\u{1b}[2K\rnothing`".clone_into(&mut plan.grants[0].asks);
        let asks = asks(&plan, Path::new("/p"), None);
        assert!(!shown("a", &asks, Style::plain()).contains(['\u{1b}', '\r']));
    }
}
