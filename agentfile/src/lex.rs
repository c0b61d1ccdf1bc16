//! Stage 0: bytes to lines and words, with byte-exact spans. Whatever is wrong with the bytes themselves is said here, and
//! replaced by as many harmless ones, so that parsing goes on and every later span still fits the source.

use crate::diag::Diagnostic;
use crate::span::Span;
use crate::syntax::Word;

/// The source as text of the same length, byte for byte, with a finding for every byte that may not be in it.
#[must_use]
pub fn text(source: &[u8]) -> (String, Vec<Diagnostic>) {
    let mut text = String::with_capacity(source.len());
    let mut findings = Vec::new();
    let mut rest = source;
    if let Some(after) = rest.strip_prefix(b"\xef\xbb\xbf") {
        findings.push(
            Diagnostic::error("E001", Span::new(0, 3), "the file starts with a byte order mark")
                .help("save it as UTF-8 without BOM")
                .fix(Span::new(0, 3), ""),
        );
        text.push_str("   ");
        rest = after;
    }
    for chunk in rest.utf8_chunks() {
        for character in chunk.valid().chars() {
            let span = Span::new(text.len(), text.len() + character.len_utf8());
            if character == '\0' {
                let finding = Diagnostic::error("E002", span, "a NUL byte");
                push_or_grow(&mut findings, finding.help("remove it: an Agentfile is text"));
                text.push('?');
            } else {
                text.push(character);
            }
        }
        let invalid = chunk.invalid();
        if !invalid.is_empty() {
            let span = Span::new(text.len(), text.len() + invalid.len());
            let finding = Diagnostic::error("E003", span, "invalid UTF-8");
            push_or_grow(&mut findings, finding.help("save the file as UTF-8"));
            invalid.iter().for_each(|_| text.push('?'));
        }
    }
    (text, findings)
}

/// One finding for a run of bytes of one kind: a file that is no text at all should not be a page of errors per line.
fn push_or_grow(findings: &mut Vec<Diagnostic>, finding: Diagnostic) {
    match findings.last_mut() {
        Some(last) if last.code == finding.code && last.span.end == finding.span.start => {
            last.span.end = finding.span.end;
        }
        _ => findings.push(finding),
    }
}

/// One line of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its text, without the line end.
    pub text: &'a str,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset of the next line's first byte.
    pub next: usize,
}

impl Line<'_> {
    /// The span of its text.
    #[must_use]
    pub fn span(&self) -> Span {
        Span::new(self.start, self.start + self.text.len())
    }

    /// Its text without the blanks around it.
    #[must_use]
    pub fn trimmed(&self) -> &str {
        self.text.trim_matches([' ', '\t'])
    }

    /// Whether it ends a block. Blanks are spaces and tabs, here as everywhere: what looks like an end and is none would
    /// be read by people as one.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.trimmed() == "END"
    }
}

/// The lines of a text, ended by LF or CRLF.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> + Clone {
    let mut start = 0;
    text.split_inclusive('\n').map(move |whole| {
        let line = whole.strip_suffix('\n').map_or(whole, |line| line.strip_suffix('\r').unwrap_or(line));
        let found = Line { text: line, start, next: start + whole.len() };
        start = found.next;
        found
    })
}

/// The words of a line up to a comment, split at spaces and tabs; an error for a quoted word that is none.
pub struct Words<'a> {
    line: Line<'a>,
    at: usize,
    /// Whether a double quote at the start of a word groups (in `CMD`).
    pub quotes: bool,
}

/// What is wrong with a quoted word, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadQuote {
    /// The quote is never closed; it takes the rest of the line.
    Unclosed(Span),
    /// A backslash before something else than a quote or a backslash.
    Escape(Span),
    /// Text that follows the closing quote without a blank.
    Attached(Span),
}

impl<'a> Words<'a> {
    /// The words of `line`; quotes do not group until [`Words::quotes`] is set.
    #[must_use]
    pub fn new(line: Line<'a>) -> Self {
        Self { line, at: 0, quotes: false }
    }

    fn rest(&self) -> &'a str {
        self.line.text.get(self.at..).unwrap_or_default()
    }

    /// Where the comment of the line starts, once all words have been taken: the offset in the source.
    #[must_use]
    pub fn comment(&self) -> Option<usize> {
        self.rest().starts_with('#').then_some(self.line.start + self.at)
    }

    /// A word that starts with a quote. One inside a word is a character like others, as everywhere in draft 4: what
    /// `{"k":1}` says must reach the program.
    fn quoted(&mut self) -> Result<Word, BadQuote> {
        let (from, base) = (self.at, self.line.start);
        let at = |start: usize, end: usize| Span::new(base + start, base + end);
        let mut text = String::new();
        let mut escape = None;
        let mut close = None;
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    close = Some(from + offset + 1);
                    break;
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    Some((to, other)) => {
                        escape = escape.or(Some(at(from + offset, from + to + other.len_utf8())));
                    }
                    None => {}
                },
                other => text.push(other),
            }
        }
        let Some(close) = close else {
            self.at = self.line.text.len();
            return Err(BadQuote::Unclosed(at(from, self.at)));
        };
        self.at = close;
        let attached = self.rest().find([' ', '\t']).unwrap_or(self.rest().len());
        self.at += attached;
        match escape {
            Some(span) => Err(BadQuote::Escape(span)),
            None if attached > 0 => Err(BadQuote::Attached(at(close, self.at))),
            None => Ok(Word { text, span: at(from, close) }),
        }
    }
}

impl Iterator for Words<'_> {
    type Item = Result<Word, BadQuote>;

    fn next(&mut self) -> Option<Self::Item> {
        let blank = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.at += blank;
        let rest = self.rest();
        if rest.is_empty() || rest.starts_with('#') {
            return None;
        }
        if self.quotes && rest.starts_with('"') {
            return Some(self.quoted());
        }
        let length = rest.find([' ', '\t']).unwrap_or(rest.len());
        let start = self.line.start + self.at;
        self.at += length;
        let text = rest.get(..length).unwrap_or_default().to_owned();
        Some(Ok(Word { text, span: Span::new(start, start + length) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str, quotes: bool) -> Vec<String> {
        let line = Line { text: line, start: 0, next: line.len() };
        let mut words = Words::new(line);
        words.quotes = quotes;
        words.map(|word| word.map_or_else(|bad| format!("{bad:?}"), |word| word.text)).collect()
    }

    #[test]
    fn a_hash_starts_a_comment_only_after_a_blank() {
        assert_eq!(words("CRED x vault://p#key # why", false), ["CRED", "x", "vault://p#key"]);
        assert_eq!(words("\t# all comment", false), Vec::<String>::new());
        assert_eq!(words("A\tB  C ", false), ["A", "B", "C"]);
    }

    #[test]
    fn quotes_group_in_commands_only() {
        assert_eq!(
            words(r#"CMD sh -c "echo # \"hi\" \\" x"#, true),
            ["CMD", "sh", "-c", r#"echo # "hi" \"#, "x"]
        );
        assert_eq!(words(r#"URL "x y""#, false), ["URL", "\"x", "y\""]);
    }

    #[test]
    fn a_quote_counts_only_at_the_start_of_a_word() {
        assert_eq!(words(r#"CMD {"k":1} a"b c"d """#, true), ["CMD", r#"{"k":1}"#, "a\"b", "c\"d", ""]);
    }

    #[test]
    fn what_is_no_quoted_word_is_said_with_its_place_and_the_next_word_is_read() {
        assert_eq!(words(r#"CMD "open"#, true), ["CMD", "Unclosed(Span { start: 4, end: 9 })"]);
        assert_eq!(words(r#"CMD "open\"#, true), ["CMD", "Unclosed(Span { start: 4, end: 10 })"]);
        assert_eq!(words(r#"CMD "a\é" b"#, true), ["CMD", "Escape(Span { start: 6, end: 9 })", "b"]);
        assert_eq!(words(r#"CMD "a"b c"#, true), ["CMD", "Attached(Span { start: 7, end: 8 })", "c"]);
    }

    #[test]
    fn both_line_ends_and_none_at_the_end() {
        let found: Vec<_> = lines("a\r\nb\n\nc").map(|line| (line.text, line.start)).collect();
        assert_eq!(found, [("a", 0), ("b", 3), ("", 5), ("c", 6)]);
        assert_eq!(lines("").count(), 0);
        assert_eq!(lines("a\rb\r").map(|line| line.text).collect::<Vec<_>>(), ["a\rb\r"]);
    }

    #[test]
    fn bad_bytes_are_found_and_the_length_stays() {
        let source = b"\xef\xbb\xbfAGENT x\0\xff\xc3\x28\n";
        let (text, findings) = text(source);
        assert_eq!(text.len(), source.len());
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["E001", "E002", "E003"]);
        assert_eq!(findings[2].span, Span::new(11, 13));
    }
}
