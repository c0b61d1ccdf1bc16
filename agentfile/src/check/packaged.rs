//! Files beside the Agentfile that a line names: they must exist, and are shown read-only under `/agentrc/src`.
//! Nothing else of that folder is.

use super::Check;
use crate::Kind;
use crate::base::PROJECTION;
use crate::boundary::{Procedure, Projection};
use crate::characters::{Fault, fault};
use crate::place::Place;
use crate::span::Span;
use crate::syntax::Word;

/// Largest file that becomes part of the plan itself.
pub(super) const CONTENT_MAX: usize = 1 << 20;

/// What an `SOP` block may not have either.
fn is_hostile(character: char) -> bool {
    matches!(fault(character), Some(Fault::Control | Fault::Hidden))
}

impl Check<'_> {
    /// Makes the file (or, when `wanted` says so, folder) at `word` visible; returns its path relative to the
    /// Agentfile's folder.
    pub(super) fn project(&mut self, word: &Word, wanted: Option<Kind>) -> Option<String> {
        let path = self.locate(word, wanted)?;
        self.show(&path, word.span);
        Some(path)
    }

    /// Shows `path`, which was located, under `/agentrc/src`.
    pub(super) fn show(&mut self, path: &str, span: Span) {
        if self.projected.insert(path.to_owned()) {
            let place = self.places.place(span);
            let target = format!("{PROJECTION}/{path}");
            self.out.projections.push(Projection { target, path: path.to_owned(), place });
        }
    }

    /// Finds the file (or folder) at `word`; returns its path relative to the Agentfile's folder.
    pub(super) fn locate(&mut self, word: &Word, wanted: Option<Kind>) -> Option<String> {
        let path = match crate::path::packaged(&word.text) {
            Ok(path) => path,
            Err(fault) => {
                self.error(
                    "E048",
                    word.span,
                    format!("`{}` {fault}", word.text),
                    "name a file below the Agentfile's folder, such as `./agent.py`",
                );
                return None;
            }
        };
        let found = self.package.kind(&path);
        match (found, wanted) {
            (Kind::Missing, _) => {
                self.error(
                    "E048",
                    word.span,
                    format!("there is no `{}` beside the Agentfile", word.text),
                    "only files of the Agentfile's folder are shown to the agent by name; a path inside a BIND is \
                     written absolute, such as `/workspace/run.sh`",
                );
                return None;
            }
            (Kind::Other, _) => {
                self.error(
                    "E048",
                    word.span,
                    format!("`{}` is neither a file nor a folder", word.text),
                    "sockets, pipes, devices, and links that lead nowhere or out of the folder, are not shown to the agent; \
                     name a file or a folder",
                );
                return None;
            }
            (Kind::Directory, Some(Kind::File)) => {
                self.error("E048", word.span, format!("`{}` is a folder", word.text), "name a file");
                return None;
            }
            (Kind::File, Some(Kind::Directory)) => {
                self.error("E048", word.span, format!("`{}` is a file", word.text), "name a folder");
                return None;
            }
            _ => {}
        }
        Some(path)
    }

    /// The bytes of a packaged file, which become part of the plan.
    pub(super) fn content(&mut self, path: &str, span: Span) -> Option<Vec<u8>> {
        match self.package.read(path) {
            Ok(bytes) if bytes.len() <= CONTENT_MAX => Some(bytes),
            Ok(_) => {
                self.error("E049", span, format!("`{path}` is larger than 1 MiB"), "shorten it");
                None
            }
            Err(error) => {
                self.error("E049", span, format!("`{path}` cannot be read: {error}"), "make it readable");
                None
            }
        }
    }

    pub(super) fn sop_file(&mut self, word: &Word, place: Place) {
        if !word.text.starts_with("./") {
            self.error(
                "E048",
                word.span,
                format!("`{}` is not a file beside the Agentfile", word.text),
                "write `SOP ./file.md`; procedures from a registry are not supported",
            );
            return;
        }
        let Some(path) = self.project(word, Some(Kind::File)) else { return };
        let Some(bytes) = self.content(&path, word.span) else { return };
        match String::from_utf8(bytes) {
            Ok(text) => match text.lines().position(|line| line.chars().any(is_hostile)) {
                None => self.sop_text(&text, place),
                Some(line) => self.error(
                    "E049",
                    word.span,
                    format!(
                        "`{path}` has a character on line {} that hides text or drives a terminal",
                        line + 1
                    ),
                    "remove control characters and those that turn the writing direction",
                ),
            },
            Err(_) => self.error("E049", word.span, format!("`{path}` is not UTF-8"), "save it as UTF-8"),
        }
    }

    /// Several procedures are one after the other, in the order of the text.
    pub(super) fn sop_text(&mut self, text: &str, place: Place) {
        match &mut self.out.procedure {
            Some(procedure) => {
                if !procedure.text.ends_with('\n') {
                    procedure.text.push('\n');
                }
                procedure.text.push('\n');
                procedure.text.push_str(text);
            }
            None => self.out.procedure = Some(Procedure { text: text.to_owned(), place }),
        }
    }
}
