//! `POLICY … END` and `SOP … END`: text that is kept byte for byte, until a line that is only `END`. A line that only
//! looks like an end, or like a directive, is pointed at: between a forgotten `END` and the next one, boundaries would
//! silently become text.

use super::Parser;
use crate::diag::{Diagnostic, Severity};
use crate::directive::{self, Directive};
use crate::lex::{Line, Words, lines};
use crate::span::Span;
use crate::syntax::{Block, Body, Word};

impl<'a> Parser<'a> {
    /// The block that `opener` opens, and the span of its `END`. `rest` is left behind it.
    pub(super) fn block(
        &mut self,
        entry: &Directive,
        keyword: &Word,
        opener: Line<'a>,
        rest: &mut (impl Iterator<Item = Line<'a>> + Clone),
    ) -> Option<(Body, Span)> {
        let policy = entry.keyword == "POLICY";
        if !self.ends_after(opener.next) {
            self.unended(keyword, policy, rest);
            return None;
        }
        let before = self.findings.len();
        let mut odd = None;
        for line in rest.by_ref() {
            if let Some(end) = self.end(line) {
                let text = self.text.get(opener.next..line.start).unwrap_or_default().to_owned();
                let block = Block { text, span: Span::new(opener.next, line.start) };
                self.findings
                    .extend(odd.map(|odd: Diagnostic| odd.related(keyword.span, "the block starts here")));
                let found = self.findings.get(before..).unwrap_or_default();
                if found.iter().any(|finding| finding.severity == Severity::Error) {
                    return None;
                }
                return Some((if policy { Body::Policy(block) } else { Body::SopBlock(block) }, end));
            }
            odd = odd.or_else(|| looks_outside(line, entry.keyword));
            self.readable(line.text, line.start, if policy { line.text.len() } else { 0 });
        }
        None
    }

    /// The `END` of a line that starts with one. Further words are an error, whatever they are: the next `END` may be
    /// another block's.
    fn end(&mut self, line: Line<'_>) -> Option<Span> {
        let trimmed = line.trimmed();
        let more =
            trimmed.strip_prefix("END").filter(|more| more.is_empty() || more.starts_with([' ', '\t']))?;
        let start = line.start + line.text.len() - line.text.trim_start_matches([' ', '\t']).len();
        let end = Span::new(start, start + "END".len());
        if !more.is_empty() {
            let words = more.trim_start_matches([' ', '\t']);
            let last = start + trimmed.len();
            self.findings.push(
                Diagnostic::error(
                    "E008",
                    Span::new(last - words.len(), last),
                    "a line that ends a block is only `END`",
                )
                .help("remove what follows it; a comment may be on the next line")
                .fix(Span::new(end.end, last), ""),
            );
        }
        Some(end)
    }

    /// Goes past a block of which nothing is kept, since its opening line is refused.
    pub(super) fn skip_block(&mut self, opener: Line<'a>, rest: &mut impl Iterator<Item = Line<'a>>) {
        if self.ends_after(opener.next) {
            let _ = rest.find(|line| starts_with_end(*line));
        }
    }

    /// A block without an end is reported, and taken to end before the next line that starts with a directive, so that
    /// the rest of the file is still read.
    fn unended(&mut self, keyword: &Word, policy: bool, rest: &mut (impl Iterator<Item = Line<'a>> + Clone)) {
        let mut finding =
            Diagnostic::error("E008", keyword.span, format!("this `{}` block has no `END`", keyword.text))
                .help("end it with a line that is only `END`");
        let mut ahead = rest.clone();
        while let Some(line) = ahead.next() {
            let first = Words::new(line).next().and_then(Result::ok);
            if first.is_some_and(|word| directive::find(&word.text).is_some()) {
                break;
            }
            if looks_like_end(line) && finding.related.is_empty() {
                finding = finding.related(line.span(), "this is not only `END`");
            }
            self.readable(line.text, line.start, if policy { line.text.len() } else { 0 });
            *rest = ahead.clone();
        }
        self.findings.push(finding);
    }

    /// Whether any line at `at` or later ends a block. The file is looked through once.
    fn ends_after(&mut self, at: usize) -> bool {
        let text = self.text;
        let last = self.last_end.get_or_insert_with(|| {
            lines(text).filter(|line| starts_with_end(*line)).last().map_or(0, |line| line.next)
        });
        *last > at
    }
}

fn starts_with_end(line: Line<'_>) -> bool {
    line.trimmed().strip_prefix("END").is_some_and(|more| more.is_empty() || more.starts_with([' ', '\t']))
}

/// `end`, `END.`, `**END**`: not an end, and perhaps meant as one.
fn looks_like_end(line: Line<'_>) -> bool {
    let letters = line.text.trim_matches(|character: char| !character.is_ascii_alphabetic());
    letters.len() == "END".len() && letters.eq_ignore_ascii_case("END")
}

/// A warning for a line of a block that reads as if it were outside.
fn looks_outside(line: Line<'_>, block: &str) -> Option<Diagnostic> {
    if looks_like_end(line) {
        let finding = Diagnostic::warning("W004", line.span(), "this does not end the block");
        return Some(finding.help("a line that ends a block is only `END`, in upper case"));
    }
    if !line.trimmed().starts_with(|first: char| first.is_ascii_uppercase()) {
        return None;
    }
    let mut words = Words::new(line).flatten();
    let entry = directive::find(&words.next()?.text)?;
    let (least, most) = entry.arity;
    (least..=most).contains(&words.count()).then(|| {
        Diagnostic::warning(
            "W004",
            line.span(),
            format!("this is text of the `{block}` block, not a directive"),
        )
        .help("if the block should end before it, write `END` there")
    })
}

#[cfg(test)]
mod tests {
    use crate::syntax::{Agentfile, Body};

    fn parse(source: &str) -> (Agentfile, Vec<(&'static str, String)>) {
        let (file, findings) = crate::parse::parse(source.as_bytes());
        let found = findings.iter().map(|one| (one.code, source[one.span.start..one.span.end].to_owned()));
        let found = found.collect();
        (file, found)
    }

    fn found(source: &str) -> Vec<(&'static str, String)> {
        parse(source).1
    }

    fn one(code: &'static str, at: &str) -> Vec<(&'static str, String)> {
        vec![(code, at.to_owned())]
    }

    #[test]
    fn an_end_with_company_is_an_error_and_swallows_nothing() {
        for (end, more) in [("END # done", "# done"), ("\tEND  of it ", "of it"), ("END END", "END")] {
            for block in ["SOP\nbe kind", "POLICY\nforbid (principal, action, resource);"] {
                let source = format!("{block}\n{end}\nDENY read /x\nSOP\nmore\nEND\n");
                let (file, findings) = parse(&source);
                assert_eq!(findings, one("E008", more), "{source:?}");
                assert!(matches!(file.statements[0].body, Body::Deny(_)));
                let (_, findings) = crate::parse::parse(source.as_bytes());
                let fixed = crate::fix::apply(source.as_bytes(), &findings);
                let (file, findings) = crate::parse::parse(&fixed);
                assert_eq!((file.statements.len(), findings.len()), (3, 0), "{source:?}");
            }
        }
        assert_eq!(found("SOP\nENDING well, in the END\nEND\n"), []);
    }

    #[test]
    fn a_directive_inside_a_block_is_pointed_at_once() {
        let source = "SOP\nbe kind\nDENY read /x\nPOLICY\nforbid (principal, action, resource);\nEND\n";
        assert_eq!(found(source), one("W004", "DENY read /x"));
        assert_eq!(found("POLICY\n// x\n  TIMEOUT 5\nEND\n"), one("W004", "  TIMEOUT 5"));
        assert_eq!(found("SOP\na\nSOP\nb\nEND\n"), one("W004", "SOP"));
        for prose in
            ["DENY", "ALLOW what you were asked to", "Deny read /x", "- DENY read /x", "# DENY read /x"]
        {
            assert_eq!(found(&format!("SOP\n{prose}\nEND\n")), [], "{prose}");
        }
    }

    #[test]
    fn a_line_that_almost_ends_a_block_is_pointed_at() {
        for line in ["end", "End.", " END;", "**END**"] {
            assert_eq!(found(&format!("SOP\na\n{line}\nDENY read /x\nEND\n")), one("W004", line));
        }
        assert_eq!(found("SOP\nin the end\nEND\n"), []);
    }

    #[test]
    fn a_block_without_an_end_hides_nothing_of_the_rest() {
        let (file, findings) =
            parse("POLICY\npermit (principal, action, resource);\nend\nBIND x\nAGENT a\nMOUNT\n");
        let expected = [("E008", "POLICY"), ("E011", "BIND"), ("E011", "MOUNT")];
        assert_eq!(findings, expected.map(|(code, at)| (code, at.to_owned())));
        assert_eq!(file.statements.len(), 1);
        assert_eq!(found("SOP\nSOP\nPOLICY").len(), 3);
    }

    #[test]
    fn a_misspelt_opening_line_does_not_make_its_lines_errors() {
        assert_eq!(
            found("POLCIY\npermit (principal, action, resource);\nEND\nAGENT a\n"),
            one("E005", "POLCIY")
        );
        assert_eq!(found("sop\na\nb\nEND # x\nAGENT a\n"), one("E005", "sop"));
        assert_eq!(found("POLICY\u{a0}\na\nEND\nAGENT a\n"), one("E004", "\u{a0}"));
        assert_eq!(found("\u{200b}SOP\na\nEND\nAGENT a\n"), one("E004", "\u{200b}"));
    }

    #[test]
    fn a_policy_may_have_nothing_unseen_and_a_procedure_nothing_that_deceives_or_drives_a_terminal() {
        for unseen in ["\u{a0}", "\u{3164}", "\u{3000}", "\u{2800}", "\u{fe0f}", "\u{200b}"] {
            assert_eq!(found(&format!("POLICY\n// a{unseen}\nEND\n")), one("E004", unseen));
            assert_eq!(found(&format!("SOP\na{unseen}b\nEND\n")), []);
            assert_eq!(found(&format!("AGENT a # b{unseen}c\n")), []);
        }
        for refused in ["\u{1b}", "\u{7}", "\r", "\u{9b}", "\u{202e}", "\u{2066}", "\u{2069}", "\u{e0041}"] {
            for source in ["SOP\na?b\nEND\n", "POLICY\n//?b\nEND\n", "# a?b\n", "AGENT a # x?b\n"] {
                assert_eq!(found(&source.replace('?', refused)), one("E004", refused), "{source:?}");
            }
        }
    }
}
