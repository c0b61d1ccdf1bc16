//! Stage 1: lines and words to [`Agentfile`]. Each line is parsed on its own, so a mistake in one never hides the next; all
//! findings of a file come back together.

pub(crate) mod cred;
mod statement;
mod url;
mod value;

use crate::diag::Diagnostic;
use crate::directive::{self, Shape};
use crate::lex::{self, Line, Unclosed, Words, lines};
use crate::span::Span;
use crate::syntax::{Agentfile, Block, Body, Statement, Word};

/// Syntax lines that this reader knows.
const SYNTAXES: &[&str] = &["agentrc.agentfile/v0.1"];

/// Parses a whole file. The tree holds what could be understood; with any error among the findings it is incomplete.
#[must_use]
pub fn parse(source: &[u8]) -> (Agentfile, Vec<Diagnostic>) {
    let (text, findings) = lex::text(source);
    let mut parser = Parser { text: &text, file: Agentfile::default(), findings, newer: Vec::new() };
    parser.run();
    (parser.file, parser.findings)
}

struct Parser<'a> {
    text: &'a str,
    file: Agentfile,
    findings: Vec<Diagnostic>,
    /// Lines of the newer dialect.
    newer: Vec<Span>,
}

impl<'a> Parser<'a> {
    fn run(&mut self) {
        let mut lines = lines(self.text).enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            self.unseen(line.start, line.text);
            let trimmed = line.text.trim_start_matches([' ', '\t']);
            if let Some(comment) = trimmed.strip_prefix('#') {
                self.comment(index, line, comment);
                continue;
            }
            let mut words = Words::new(line);
            let Some(Ok(keyword)) = words.next() else { continue };
            let Some(entry) = directive::find(&keyword.text) else {
                self.unknown(&keyword);
                continue;
            };
            words.quotes = entry.shape == Shape::Command;
            let mut arguments = Vec::new();
            let mut unclosed = None;
            for word in words {
                match word {
                    Ok(word) => arguments.push(word),
                    Err(Unclosed(span)) => unclosed = Some(span),
                }
            }
            if let Some(span) = unclosed {
                let finding = Diagnostic::error("E009", span, "this double quote is never closed");
                self.findings
                    .push(finding.help("close it on the same line; write `\\\"` for a quote inside quotes"));
                continue;
            }
            let block = entry.opens_block(arguments.len());
            if block && !arguments.is_empty() {
                self.newer.push(keyword.span);
                continue;
            }
            let end = arguments.last().map_or(keyword.span, |word| word.span);
            let mut span = keyword.span.to(end);
            let body = if block {
                match self.block(line, &mut lines) {
                    Some((block, end)) => {
                        span = keyword.span.to(end);
                        Some(if keyword.text == "POLICY" {
                            for line in lex::lines(&block.text) {
                                self.unseen(block.span.start + line.start, line.text);
                            }
                            Body::Policy(block)
                        } else {
                            Body::SopBlock(block)
                        })
                    }
                    None => {
                        let finding = Diagnostic::error(
                            "E008",
                            keyword.span,
                            format!("this `{}` block has no `END`", keyword.text),
                        );
                        self.findings.push(finding.help("end it with a line that is only `END`"));
                        None
                    }
                }
            } else {
                statement::body(entry, &keyword, &arguments, &mut self.findings)
            };
            if let Some(body) = body {
                self.file.statements.push(Statement { span, keyword: keyword.span, body });
            }
        }
        self.dialect();
    }

    /// A block's text, and the span of its `END`.
    fn block(
        &self,
        opener: Line<'_>,
        lines: &mut impl Iterator<Item = (usize, Line<'a>)>,
    ) -> Option<(Block, Span)> {
        let start = opener.next;
        let end = lines.map(|(_, line)| line).find(Line::is_end)?;
        let text = self.text.get(start..end.start).unwrap_or_default().to_owned();
        Some((Block { text, span: Span::new(start, end.start) }, end.span()))
    }

    /// `# syntax=…` counts on the first line only, as in a Dockerfile.
    fn comment(&mut self, index: usize, line: Line<'_>, comment: &str) {
        let Some(value) = comment.trim_start().strip_prefix("syntax=") else { return };
        let value = value.trim();
        let end = line.start + line.text.trim_end().len();
        let word = Word { text: value.to_owned(), span: Span::new(end - value.len(), end) };
        if index > 0 {
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

    /// Characters that are not shown, or change how others are, may be nowhere that a reviewer reads: not in comments
    /// and policies either. (An `SOP` is text in some language, grants nothing, and may need them.)
    fn unseen(&mut self, start: usize, text: &str) {
        for (offset, character) in text.char_indices() {
            if lex::is_unseen(character) && character != '\t' {
                let start = start + offset;
                let span = Span::new(start, start + character.len_utf8());
                let name = character.escape_unicode();
                let what =
                    if character.is_control() { "a control character" } else { "an invisible character" };
                self.findings
                    .push(Diagnostic::error("E004", span, format!("{what} ({name})")).help("remove it"));
            }
        }
    }

    fn unknown(&mut self, keyword: &Word) {
        if directive::NEWER.contains(&keyword.text.as_str()) {
            self.newer.push(keyword.span);
            return;
        }
        if keyword.text == "END" {
            let finding = Diagnostic::error("E007", keyword.span, "`END` without a block");
            self.findings.push(finding.help("`POLICY` and `SOP` start a block; remove this line otherwise"));
            return;
        }
        let finding =
            Diagnostic::error("E005", keyword.span, format!("there is no directive `{}`", keyword.text));
        self.findings.push(match directive::nearest(&keyword.text) {
            Some(near) if near.eq_ignore_ascii_case(&keyword.text) => {
                finding.help(format!("directives are upper case: `{near}`")).fix(keyword.span, near)
            }
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("docs/agentfile.md lists them all"),
        });
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
