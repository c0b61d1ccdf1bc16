//! `AGENT`, `FROM`, `CMD`, `HEALTHCHECK`, and the hints: who runs, on what, doing what.

use super::Check;
use crate::Kind;
use crate::base::PROJECTION;
use crate::boundary::{Command, HealthCheck, Hint};
use crate::diag::Diagnostic;
use crate::place::Place;
use crate::plan::Base;
use crate::span::Span;
use crate::syntax::{HintKind, Word};

/// Longest DNS label (RFC 1035, section 2.3.4).
const LABEL_MAX: usize = 63;

/// Whether `name` is a DNS label in lower case.
pub(super) fn is_label(name: &str) -> bool {
    name.len() <= LABEL_MAX
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The nearest DNS label to `text`; `agent` when nothing of it can stay.
pub(super) fn to_label(text: &str) -> String {
    let mut label = String::new();
    for character in text.chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            label.push(character);
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
        if label.len() == LABEL_MAX {
            break;
        }
    }
    let label = label.trim_end_matches('-');
    if label.is_empty() { "agent".to_owned() } else { label.to_owned() }
}

impl Check<'_> {
    pub(super) fn agent(&mut self, name: &Word, keyword: Span) {
        if !self.once("AGENT", keyword) {
            return;
        }
        if is_label(&name.text) {
            self.out.agent.clone_from(&name.text);
        } else {
            let label = to_label(&name.text);
            self.diagnostics.push(
                Diagnostic::error("E041", name.span, format!("`{}` is not a DNS label", name.text))
                    .help(format!(
                        "lower-case letters, digits and inner hyphens, at most {LABEL_MAX}: `{label}`"
                    ))
                    .fix(name.span, label.clone()),
            );
            self.out.agent = label;
        }
    }

    pub(super) fn from(&mut self, reference: &Word, place: Place) {
        if !self.once("FROM", place.span) {
            return;
        }
        self.out.base = if reference.text == "scratch" {
            Base::Scratch { origin: place.origin }
        } else {
            Base::Reference { reference: reference.text.clone(), origin: place.origin }
        };
    }

    pub(super) fn cmd(&mut self, argv: &[Word], place: Place) {
        if self.once("CMD", place.span) {
            let argv = self.argv(argv);
            self.out.command = Some(Command { argv, place });
        }
    }

    pub(super) fn health_check(&mut self, seconds: [u64; 2], retries: u32, argv: &[Word], place: Place) {
        if !self.once("HEALTHCHECK", place.span) {
            return;
        }
        let [interval_seconds, timeout_seconds] = seconds;
        if interval_seconds == 0 || timeout_seconds == 0 || retries == 0 {
            self.error(
                "E054",
                place.span,
                "a health check's interval, timeout and retries are at least 1",
                "write `HEALTHCHECK --interval=30s --timeout=5s CMD …`",
            );
        }
        let argv = self.argv(argv);
        self.out.health_check = Some(HealthCheck { interval_seconds, timeout_seconds, retries, argv, place });
    }

    /// Words of a command, with packaged files rewritten to where they are shown.
    fn argv(&mut self, words: &[Word]) -> Vec<String> {
        let mut argv = Vec::with_capacity(words.len());
        for (position, word) in words.iter().enumerate() {
            argv.push(self.argument(word, position == 0));
        }
        argv
    }

    fn argument(&mut self, word: &Word, is_program: bool) -> String {
        if word.text.starts_with("./") && word.text.len() > 2 {
            return match self.project(word, None) {
                Some(path) => format!("{PROJECTION}/{path}"),
                None => word.text.clone(),
            };
        }
        // `python agent.py`: a bare word that names a file of the folder is that file.
        let may_be_file = !is_program
            && !word.text.starts_with(['/', '-', '.', '~'])
            && crate::path::packaged(&word.text).is_ok();
        if may_be_file && self.package.kind(&word.text) == Kind::File {
            self.diagnostics.push(
                Diagnostic::warning(
                    "W012",
                    word.span,
                    format!("`{0}` is taken for the file `./{0}` beside the Agentfile", word.text),
                )
                .help("write it with `./`, or rename the file if the bare word is meant")
                .fix(word.span, format!("./{}", word.text)),
            );
            let dotted = Word { text: format!("./{}", word.text), span: word.span };
            if let Some(path) = self.project(&dotted, None) {
                return format!("{PROJECTION}/{path}");
            }
        }
        word.text.clone()
    }

    pub(super) fn hint(&mut self, kind: HintKind, arguments: &[Word], place: Place) {
        let words: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
        let span = arguments.first().map_or(place.span, |word| word.span);
        let (directive, honoured, help) = match kind {
            HintKind::Isolation => (
                "ISOLATION",
                matches!(*words, ["local"]),
                "this runner isolates on this machine: `ISOLATION local`",
            ),
            HintKind::Plugin => (
                "PLUGIN",
                !words.is_empty()
                    && words.iter().all(|word| matches!(*word, "network" | "filesystem" | "secrets")),
                "this runner has `network`, `filesystem` and `secrets`",
            ),
            HintKind::Image => ("IMAGE", false, "name the root filesystem with `FROM`"),
            HintKind::Backend => ("BACKEND", false, "this runner runs on this machine only; remove the line"),
            HintKind::Shell => {
                ("SHELL", false, "name the program in `CMD`; this runner has no framework adapters")
            }
            HintKind::Optimizer => ("OPTIMIZER", false, "this runner has no optimizers; remove the line"),
        };
        if honoured {
            let arguments = words.iter().map(|word| (*word).to_owned()).collect();
            self.out.hints.push(Hint { kind, arguments, place });
        } else {
            self.error("E057", span, format!("`{directive} {}` is unsupported", words.join(" ")), help);
        }
    }

    pub(super) fn finish_identity(&mut self) {
        if self.out.agent.is_empty() {
            let inferred = to_label(self.package.folder_name());
            self.warn(
                "W010",
                Span::default(),
                format!("no `AGENT` line: the agent is named `{inferred}` after its folder"),
                format!("write `AGENT {inferred}`; a package needs it"),
            );
            self.out.agent = inferred;
        }
        if self.out.command.is_none() {
            self.warn(
                "W011",
                Span::default(),
                "no `CMD` line: there is nothing to run",
                "write `CMD program arguments…`",
            );
        }
    }
}
