//! `TOOLSET`: a list of tools under one name, which becomes those tools here. What it stands for is thus in the plan, and a
//! toolset that grows is another plan.

use super::Check;
use crate::Kind;
use crate::boundary::Reference;
use crate::directive::near;
use crate::parse::reference;
use crate::place::{Place, Places};
use crate::syntax::Word;
use crate::tool::TOOLSETS;
use crate::toolset::{self, FILE_BYTES};

impl Check<'_> {
    pub(super) fn toolset(&mut self, word: &Word, place: Place) {
        if !self.once_named("toolset", &word.text, word.span) {
            return;
        }
        match word.text.split_once(':') {
            Some(("utcp", name)) => self.builtin_toolset(name, word, &place),
            Some(("local", path)) => self.packaged_toolset(path, word, &place),
            _ => self.out.toolsets.push(Reference { reference: word.text.clone(), place }),
        }
    }

    fn builtin_toolset(&mut self, name: &str, word: &Word, place: &Place) {
        let Some((_, tools)) = TOOLSETS.iter().find(|(known, _)| *known == name) else {
            let names = || TOOLSETS.iter().map(|(name, _)| *name);
            let help = match near(name, names()) {
                Some(near) => format!("did you mean `utcp:{near}`?"),
                None => {
                    let all: Vec<_> = names().map(|name| format!("`utcp:{name}`")).collect();
                    format!("built in are {}", all.join(", "))
                }
            };
            self.error("E084", word.span, format!("there is no built-in toolset `{name}`"), help);
            return;
        };
        for tool in *tools {
            self.member(&format!("utcp:{tool}"), word.text.clone(), word, place);
        }
    }

    fn packaged_toolset(&mut self, path: &str, word: &Word, place: &Place) {
        let span = word.span;
        let Some(path) = self.locate(&Word { text: path.to_owned(), span }, Some(Kind::File)) else { return };
        let Some(bytes) = self.content(&path, span) else { return };
        if bytes.len() > FILE_BYTES {
            self.error(
                "E084",
                span,
                format!("`{path}` is larger than 64 KiB"),
                "make several toolsets of it",
            );
            return;
        }
        let Ok(text) = String::from_utf8(bytes) else {
            self.error("E084", span, format!("`{path}` is not UTF-8"), "save it as UTF-8");
            return;
        };
        let places = Places::new(&path, &text);
        match toolset::read(&text) {
            Ok(tools) => {
                for (at, tool) in tools {
                    let by = format!("local:./{}", places.origin(at));
                    let before = self.diagnostics.len();
                    self.member(&tool, by, word, place);
                    // What is said of it is about the file's line, too.
                    for found in self.diagnostics.iter_mut().skip(before) {
                        found.message = format!("{}: {}", places.origin(at), found.message);
                    }
                }
            }
            Err((at, fault)) => {
                self.error("E084", span, format!("{}: {}", places.origin(at), fault.what), fault.help);
            }
        }
    }

    /// One tool of the toolset at `word`.
    fn member(&mut self, tool: &str, by: String, word: &Word, place: &Place) {
        let written = Word { text: tool.to_owned(), span: word.span };
        match reference::tool(&written) {
            Ok(tool) => self.declare_tool(&tool, Some(by), place.clone()),
            Err(fault) => self.diagnostics.push(fault),
        }
    }
}
