//! Findings to words for people ([`text`]) and programs ([`json`]): what the command line prints after any stage.
//!
//! The source is somebody else's, and may be hostile: no control character of it, or of a message that quotes it, reaches
//! the terminal as it is, and the cost is linear in the source and the findings, whatever the length of a line.

mod json;
mod mask;
mod snippet;

use std::borrow::Cow;

use crate::characters;
use crate::diag::{Diagnostic, Severity};
use crate::lex;
use crate::place::Places;
use crate::span::Span;

pub use json::json;

/// Most characters of one message, and of one word in it, that are shown: a message quotes words of the file, and a word
/// may be a megabyte.
const MESSAGE: usize = 2000;
const WORD: usize = 100;

/// Select graphic rendition (ECMA-48) of each role.
#[derive(Debug, Clone, Copy)]
enum Style {
    Error,
    Warning,
    Note,
    Gutter,
    Bold,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Error => "\x1b[1;31m",
            Self::Warning => "\x1b[1;33m",
            Self::Note => "\x1b[1;36m",
            Self::Gutter => "\x1b[1;34m",
            Self::Bold => "\x1b[1m",
        }
    }
}

/// `text` with every [`characters::is_unseen`] character written as `\u{…}`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if characters::is_unseen(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// All findings as text, in the order of the source.
#[must_use]
pub fn text(file: &str, source: &[u8], findings: &[Diagnostic], colour: bool) -> String {
    let (sanitised, _) = lex::text(source);
    let places = Places::new(file, &sanitised);
    let masked = mask::mask(&sanitised, findings);
    let mut out = Page { places: &places, source, text: &masked, colour, out: String::new() };
    for finding in in_order(findings) {
        out.finding(finding);
    }
    out.out
}

/// How many of each there are, in words: `2 errors, 1 warning`. Empty when there are none.
#[must_use]
pub fn summary(findings: &[Diagnostic]) -> String {
    let counted = |severity: Severity, word: &str| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        (count > 0).then(|| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
    };
    let parts = [counted(Severity::Error, "error"), counted(Severity::Warning, "warning")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// In the order of the source, errors before warnings of one place.
fn in_order(findings: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| (finding.span.start, finding.severity));
    sorted
}

/// At most `most` characters of `text`, and an ellipsis for its middle.
fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    // Most texts are short, and their bytes need no counting.
    if text.len() <= most || text.chars().count() <= most {
        return Cow::Borrowed(text);
    }
    let half = most / 2;
    let head = text.char_indices().nth(half).map_or(text.len(), |(at, _)| at);
    let tail = text.char_indices().rev().nth(half.saturating_sub(1)).map_or(0, |(at, _)| at);
    Cow::Owned(format!("{}…{}", text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default()))
}

/// What is being written.
struct Page<'a> {
    places: &'a Places<'a>,
    source: &'a [u8],
    /// The sanitised source as it may be shown.
    text: &'a str,
    colour: bool,
    out: String,
}

impl Page<'_> {
    fn plain(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn styled(&mut self, style: Style, text: &str) {
        if self.colour {
            self.out.push_str(style.code());
        }
        self.out.push_str(text);
        if self.colour {
            self.out.push_str("\x1b[0m");
        }
    }

    fn finding(&mut self, finding: &Diagnostic) {
        let (word, style) = match finding.severity {
            Severity::Error => ("error", Style::Error),
            Severity::Warning => ("warning", Style::Warning),
        };
        if !self.out.is_empty() {
            self.plain("\n");
        }
        self.heading(&format!("{word}[{}]", finding.code), style, &finding.message);
        // One gutter for all snippets of a finding, as wide as its largest line number.
        let spans = std::iter::once(finding.span).chain(finding.related.iter().map(|(span, _)| *span));
        let line = spans.map(|span| self.places.line(span.start)).max().unwrap_or(1);
        let gutter = line.to_string().len();
        self.snippet(gutter, finding.span, '^', style);
        let fix = finding.fix.as_ref().map(|_| "`agentrc check --fix` makes this edit");
        if finding.help.is_some() || fix.is_some() {
            self.gutter(gutter, "|");
            self.plain("\n");
        }
        for (word, words) in [("help", finding.help.as_deref()), ("fix", fix)] {
            let Some(words) = words else { continue };
            self.gutter(gutter, "=");
            self.plain(" ");
            self.styled(Style::Bold, word);
            self.plain(": ");
            self.words(words, gutter + word.len() + 5);
        }
        for (span, words) in &finding.related {
            self.heading("note", Style::Note, words);
            self.snippet(gutter, *span, '-', Style::Note);
        }
    }

    fn heading(&mut self, word: &str, style: Style, message: &str) {
        self.styled(style, word);
        self.plain(": ");
        self.words(message, word.len() + 2);
    }

    /// A message: escaped, shortened in the middle, its further lines indented so that none can pass for a heading.
    fn words(&mut self, words: &str, indent: usize) {
        let shortened: String = words
            .trim_end_matches('\n')
            .split_inclusive([' ', '\n'])
            .map(|word| shorten(word, WORD))
            .collect();
        let shortened = shorten(&shortened, MESSAGE);
        for (index, line) in shortened.split('\n').enumerate() {
            if index > 0 {
                self.plain(&" ".repeat(indent));
            }
            self.plain(&escape(line));
            self.plain("\n");
        }
    }

    fn gutter(&mut self, width: usize, mark: &str) {
        self.styled(Style::Gutter, &format!("{:width$} {mark}", ""));
    }

    fn snippet(&mut self, gutter: usize, span: Span, mark: char, style: Style) {
        let line = self.places.line(span.start);
        let column = self.places.column(span.start);
        self.styled(Style::Gutter, &format!("{:gutter$}-->", ""));
        let file = escape(self.places.file());
        self.plain(&format!(" {file}:{line}:{column}\n"));
        let found = snippet::cut(self.source, self.text, self.places.line_span(line), span);
        self.gutter(gutter, "|");
        self.plain("\n");
        self.styled(Style::Gutter, &format!("{line:gutter$} |"));
        if !found.line.is_empty() {
            self.plain(" ");
            self.plain(&found.line);
        }
        self.plain("\n");
        self.gutter(gutter, "|");
        self.plain(&" ".repeat(found.before + 1));
        self.styled(style, &mark.to_string().repeat(found.width));
        self.plain("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: usize, end: usize) -> Diagnostic {
        Diagnostic::error("E011", Span::new(start, end), "wrong")
    }

    #[test]
    fn a_finding_with_everything() {
        let source = b"AGENT a\nCMD x\nAGENT b\n";
        let finding = Diagnostic::error("E011", Span::new(14, 21), "a second `AGENT`")
            .help("remove one\nor the other")
            .related(Span::new(0, 7), "the first is here")
            .fix(Span::new(14, 22), "");
        let expected = "\
error[E011]: a second `AGENT`
 --> Agentfile:3:1
  |
3 | AGENT b
  | ^^^^^^^
  |
  = help: remove one
          or the other
  = fix: `agentrc check --fix` makes this edit
note: the first is here
 --> Agentfile:1:1
  |
1 | AGENT a
  | -------
";
        assert_eq!(text("Agentfile", source, &[finding], false), expected);
    }

    #[test]
    fn findings_come_in_the_order_of_the_source() {
        let shown = text("f", b"a\nb\n", &[at(2, 3), at(0, 1)], false);
        assert!(shown.find("f:1:1").unwrap() < shown.find("f:2:1").unwrap());
    }

    #[test]
    fn nothing_of_a_hostile_file_drives_the_terminal() {
        let source = "AGENT \x1b[2J\u{9b}1m\u{202e}x\r\x07\u{7f}\0".as_bytes();
        let finding = Diagnostic::error("E004", Span::new(6, 7), "what \x1b[31m is\rthis\u{202e}")
            .help("\x1b]0;owned\x07\nerror: forged")
            .related(Span::new(0, 5), "\u{9b}");
        let shown = text("Agent\x1bfile", source, std::slice::from_ref(&finding), false);
        assert!(
            shown.chars().all(|character| character == '\n' || !characters::is_unseen(character)),
            "{shown:?}"
        );
        assert!(!shown.contains("\nerror: forged"));
        let coloured = text("Agentfile", source, &[finding], true);
        assert!(coloured.replace("\x1b[0m", "").contains("\x1b[1;31m"));
    }

    #[test]
    fn spans_outside_the_source_do_no_harm() {
        for (start, end) in [(0, 0), (5, 900), (900, 901), (3, 1), (usize::MAX, usize::MAX), (7, 8)] {
            let shown = text("f", "AGENT é".as_bytes(), &[at(start, end)], false);
            assert!(shown.contains('^'), "{shown}");
        }
        assert!(text("f", b"", &[at(0, 0)], false).contains("f:1:1"));
    }

    #[test]
    fn the_summary_counts() {
        let warning = Diagnostic::warning("W001", Span::default(), "odd");
        assert_eq!(summary(&[]), "");
        assert_eq!(summary(&[at(0, 0), warning.clone(), at(0, 0)]), "2 errors, 1 warning");
        assert_eq!(summary(&[warning]), "1 warning");
    }

    #[test]
    fn a_long_message_is_shortened_in_the_middle() {
        let finding = Diagnostic::error("E005", Span::default(), format!("<{}>", "x".repeat(100_000)));
        let shown = text("f", b"", &[finding], false);
        assert!(shown.len() < 2000 && shown.contains("<xxx") && shown.contains("xxx>"));
    }

    #[test]
    fn many_findings_on_one_line_cost_as_much_as_on_many() {
        let steps = |count: usize| {
            let source = vec![b'\0'; count];
            let findings: Vec<_> = (0..count).map(|start| at(start, count)).collect();
            crate::work::of(|| {
                let shown = text("f", &source, &findings, false);
                assert!(shown.contains(&format!("f:1:{count}\n")));
            })
        };
        let (few, many) = (steps(2_000), steps(8_000));
        assert!(few > 0 && many < 5 * few, "{few} {many}");
    }
}
