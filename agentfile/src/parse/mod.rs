//! Stage 1: lines and words to [`Agentfile`]. Each line is parsed on its own, so a mistake in one never hides the next; all
//! findings of a file come back together.

mod block;
pub(crate) mod command;
pub(crate) mod cred;
pub(crate) mod reference;
mod statement;
mod text;
pub(crate) mod url;
mod value;

pub use url::{host_name, is_one_host};

use crate::diag::Diagnostic;
use crate::directive::{self, Shape};
use crate::lex::{self, Line, Words, lines};
use crate::span::Span;
use crate::syntax::{Agentfile, Statement, Word};

/// Syntax lines that this reader knows.
const SYNTAXES: &[&str] = &["agentrc.agentfile/v0.1"];

/// Parses a whole file. The tree holds what could be understood; with any error among the findings it is incomplete.
#[must_use]
pub fn parse(source: &[u8]) -> (Agentfile, Vec<Diagnostic>) {
    let (text, findings) = lex::text(source);
    let mut parser =
        Parser { text: &text, file: Agentfile::default(), findings, newer: Vec::new(), last_end: None };
    parser.run();
    (parser.file, parser.findings)
}

struct Parser<'a> {
    text: &'a str,
    file: Agentfile,
    findings: Vec<Diagnostic>,
    /// Lines of the newer dialect.
    newer: Vec<Span>,
    /// Where the last line that ends a block ends, once it has been looked for.
    last_end: Option<usize>,
}

impl<'a> Parser<'a> {
    fn run(&mut self) {
        let mut rest = lines(self.text);
        let mut first = true;
        while let Some(line) = rest.next() {
            self.line(line, first, &mut rest);
            first = false;
        }
        self.dialect();
    }

    /// One line, and the block that it opens.
    fn line(&mut self, line: Line<'a>, first: bool, rest: &mut (impl Iterator<Item = Line<'a>> + Clone)) {
        if let Some(comment) = line.text.trim_start_matches([' ', '\t']).strip_prefix('#') {
            self.readable(line.text, line.start, 0);
            self.comment(first, line, comment);
            return;
        }
        let mut words = Words::new(line);
        let Some(Ok(keyword)) = words.next() else { return };
        let entry = directive::find(&keyword.text);
        words.quotes = entry.is_some_and(|entry| entry.shape == Shape::Command);
        let (mut arguments, mut bad) = (Vec::new(), Vec::new());
        for word in &mut words {
            match word {
                Ok(word) => arguments.push(word),
                Err(quote) => bad.push(quote),
            }
        }
        let comment = words.comment().map_or(line.text.len(), |at| at - line.start);
        if !self.readable(line.text, line.start, comment) {
            self.after_unreadable(line, rest);
            return;
        }
        let Some(entry) = entry else {
            self.unknown(line, &keyword, &arguments, rest);
            return;
        };
        let before = self.findings.len();
        if entry.shape == Shape::Command {
            command::judge(self.text, line, entry, &arguments, &bad, &mut self.findings);
        } else {
            let mut stray: Vec<_> = arguments.iter().filter_map(command::stray_quote).collect();
            // What stands in a `CRED` may be a value, and is not repeated in an edit either.
            stray.iter_mut().filter(|_| entry.keyword == "CRED").for_each(|finding| finding.fix = None);
            self.findings.append(&mut stray);
        }
        let refused = self.findings.get(before..).unwrap_or_default();
        if refused.iter().any(|finding| finding.severity == crate::diag::Severity::Error) {
            return;
        }
        let opens = entry.opens_block(arguments.len());
        if opens && !arguments.is_empty() {
            self.newer.push(keyword.span);
            return;
        }
        let end = arguments.last().map_or(keyword.span, |word| word.span);
        let found = if opens {
            self.block(entry, &keyword, line, rest)
        } else {
            statement::body(entry, &keyword, &arguments, &mut self.findings).map(|body| (body, end))
        };
        if let Some((body, end)) = found {
            let span = keyword.span.to(end);
            self.file.statements.push(Statement { span, keyword: keyword.span, body });
        }
    }

    /// `# syntax=…` counts on the first line only, as in a Dockerfile.
    fn comment(&mut self, first: bool, line: Line<'_>, comment: &str) {
        let Some(value) = comment.trim_start().strip_prefix("syntax=") else { return };
        let value = value.trim();
        let end = line.start + line.text.trim_end().len();
        let word = Word { text: value.to_owned(), span: Span::new(end - value.len(), end) };
        if !first {
            let finding =
                Diagnostic::warning("W001", word.span, "a syntax line counts only as the first line");
            self.findings.push(finding.help("move it to line 1, or remove it"));
            return;
        }
        if !SYNTAXES.contains(&value) {
            let finding = Diagnostic::error("E010", word.span, format!("syntax `{value}` is not known here"));
            self.findings.push(finding.help(format!("this agentrc reads `{}`", SYNTAXES.join("`, `"))));
        }
        self.file.syntax = Some(word);
    }

    /// A line that starts with no directive.
    fn unknown(
        &mut self,
        line: Line<'a>,
        keyword: &Word,
        arguments: &[Word],
        rest: &mut impl Iterator<Item = Line<'a>>,
    ) {
        // Dockerfiles have a `COPY` too; the newer dialect's puts tools into place.
        let newer = directive::NEWER.contains(&keyword.text.as_str())
            && (keyword.text != "COPY" || arguments.iter().any(|word| word.text.contains("/mnt/tools")));
        if newer {
            self.newer.push(keyword.span);
            return;
        }
        if keyword.text == "END" {
            let finding = Diagnostic::error("E007", keyword.span, "`END` without a block");
            self.findings.push(finding.help("`POLICY` and `SOP` start a block; remove this line otherwise"));
            return;
        }
        // Not repeated where it is no word: it might be `KEY=value`, and messages end in logs.
        let message = if directive::is_word(&keyword.text) {
            format!("there is no directive `{}`", keyword.text)
        } else {
            "this is no directive".to_owned()
        };
        let finding = Diagnostic::error("E005", keyword.span, message);
        let near = directive::nearest(&keyword.text);
        self.findings.push(match near {
            Some(near) if near.eq_ignore_ascii_case(&keyword.text) => {
                finding.help(format!("directives are upper case: `{near}`")).fix(keyword.span, near)
            }
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("docs/agentfile.md lists them all"),
        });
        // The lines of a block whose opening line is misspelt are no directives, and need no errors of their own.
        if near.and_then(directive::find).is_some_and(|near| near.opens_block(arguments.len()))
            && arguments.is_empty()
        {
            self.skip_block(line, rest);
        }
    }

    /// A file of the newer drafts is refused as such, once; a mixture is refused line by line.
    fn dialect(&mut self) {
        let Some(first) = self.newer.first() else { return };
        if self.file.statements.is_empty() {
            self.findings.push(
                Diagnostic::error("E006", *first, "this file is written in the newer dialect (draft 5 or 6)")
                    .help("this agentrc reads draft 4: `IDENTITY` is `AGENT`, `CAPABILITY` is `TOOL` with `ALLOW`, one-line `POLICY` is a `POLICY … END` block"),
            );
            return;
        }
        for span in std::mem::take(&mut self.newer) {
            self.findings.push(
                Diagnostic::error(
                    "E006",
                    span,
                    "this line is of the newer dialect (draft 5 or 6), the file of draft 4",
                )
                .help("write the whole file in draft 4: a boundary that is read in two ways is no boundary"),
            );
        }
    }
}
