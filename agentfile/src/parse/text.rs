//! Characters that a line may not have: what stands in an Agentfile must be what its reader sees.

use super::Parser;
use crate::characters::{Fault, fault};
use crate::diag::Diagnostic;
use crate::directive;
use crate::lex::{Line, Words};
use crate::span::Span;

impl<'a> Parser<'a> {
    /// Whether `text`, which starts at `start`, has no character that may not be in it. From `prose` on it grants
    /// nothing, and may have those that only look like nothing.
    pub(super) fn readable(&mut self, text: &str, start: usize, prose: usize) -> bool {
        if text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return true;
        }
        let before = self.findings.len();
        for (at, character) in text.char_indices() {
            let Some(fault) = fault(character).filter(|fault| *fault != Fault::Blank || at < prose) else {
                continue;
            };
            let span = Span::new(start + at, start + at + character.len_utf8());
            let (what, help, replacement) = match fault {
                Fault::Control => ("a control character", "remove it", None),
                Fault::Hidden => ("a character that hides or turns text", "remove it", None),
                Fault::Blank if character.is_whitespace() => {
                    ("this looks like a space and is none", "write a space, if one is meant", Some(" "))
                }
                Fault::Blank => ("an invisible character", "remove it", Some("")),
            };
            let message = format!("{what} ({})", character.escape_unicode());
            // A run of one character is one mistake.
            if let Some(last) = self.findings.get_mut(before..).and_then(<[Diagnostic]>::last_mut)
                && last.span.end == span.start
                && last.message == message
            {
                last.span.end = span.end;
                if let Some(fix) = &mut last.fix {
                    fix.span.end = span.end;
                }
                continue;
            }
            let finding = Diagnostic::error("E004", span, message).help(help);
            self.findings.push(match replacement {
                Some(replacement) => finding.fix(span, replacement),
                None => finding,
            });
        }
        self.findings.len() == before
    }

    /// Goes past the block that an unreadable line would open, so that its lines are not taken for directives.
    pub(super) fn after_unreadable(&mut self, line: Line<'a>, rest: &mut impl Iterator<Item = Line<'a>>) {
        let seen: String = line
            .text
            .chars()
            .map(|character| if character.is_whitespace() { ' ' } else { character })
            .filter(|character| fault(*character).is_none())
            .collect();
        let words: Vec<_> = Words::new(Line { text: &seen, start: 0, next: seen.len() }).flatten().collect();
        if let [keyword] = words.as_slice()
            && directive::find(&keyword.text).is_some_and(|entry| entry.opens_block(0))
        {
            self.skip_block(line, rest);
        }
    }
}
