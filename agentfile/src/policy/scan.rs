//! The tokens of Cedar text, as far as they are needed to find the ends of statements and the idioms that are not Cedar.

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// First byte.
    pub(crate) start: usize,
    /// Byte after the last.
    pub(crate) end: usize,
}

/// Kinds of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An identifier, keyword or number.
    Word,
    /// A string, quotes included.
    Text,
    /// One character that is nothing else.
    Sign(char),
}

/// Cedar text, cut into tokens.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The text with its `#` comments blanked out, so that the rest of it can be judged; of the same length.
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    /// Ranges of the `#` comments.
    pub(crate) hash_comments: Vec<(usize, usize)>,
}

/// One statement of a [`Scan`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statement<'a> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) tokens: &'a [Token],
}

impl Statement<'_> {
    /// How many brackets are open at once, at most.
    pub(crate) fn depth(&self) -> usize {
        let (mut depth, mut most) = (0_usize, 0);
        for token in self.tokens {
            match token.kind {
                TokenKind::Sign('(' | '[' | '{') => {
                    depth += 1;
                    most = most.max(depth);
                }
                TokenKind::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        most
    }

    /// How many operators are chained at most: those that associate (`&&`, `||`, `+`, `-`, `*`, `if`), all together, and
    /// the longest run of `.a.b`. Comparisons do not chain in Cedar.
    pub(crate) fn links(&self, text: &str) -> usize {
        let (mut halves, mut run, mut longest) = (0, 0, 0);
        for token in self.tokens {
            match token.kind {
                // `&&` and `||` are two signs each.
                TokenKind::Sign('&' | '|') => halves += 1,
                TokenKind::Sign('+' | '-' | '*' | '!') => halves += 2,
                TokenKind::Sign('.') => {
                    run += 1;
                    longest = longest.max(run);
                    continue;
                }
                TokenKind::Word => {
                    halves += 2 * usize::from(text.get(token.start..token.end) == Some("if"));
                    continue;
                }
                // A call or an index goes on with the run.
                TokenKind::Sign('(' | ')' | '[' | ']') => continue,
                TokenKind::Text | TokenKind::Sign(_) => {}
            }
            run = 0;
        }
        halves / 2 + longest
    }
}

impl Scan {
    /// The statements: each ends with its semicolon, the last perhaps without one.
    pub(crate) fn statements(&self) -> impl Iterator<Item = Statement<'_>> {
        self.tokens.split_inclusive(|token| token.kind == TokenKind::Sign(';')).filter_map(|tokens| {
            let (first, last) = (tokens.first()?, tokens.last()?);
            Some(Statement { start: first.start, end: last.end, tokens })
        })
    }
}

/// Cuts `source` into tokens. Never fails: a string without its end runs to the end of the text.
pub(crate) fn scan(source: &str) -> Scan {
    let mut scan =
        Scan { text: String::with_capacity(source.len()), tokens: Vec::new(), hash_comments: Vec::new() };
    let mut copied = 0;
    let mut chars = source.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        let end = start + first.len_utf8();
        let mut take_while = |keep: &mut dyn FnMut(char) -> bool| {
            let mut last = end;
            while let Some((at, next)) = chars.next_if(|(_, next)| keep(*next)) {
                last = at + next.len_utf8();
            }
            last
        };
        if first.is_whitespace() {
            continue;
        }
        if first == '#' {
            let end = take_while(&mut |next| next != '\n' && next != '\r');
            scan.hash_comments.push((start, end));
            scan.text.push_str(source.get(copied..start).unwrap_or_default());
            scan.text.extend(std::iter::repeat_n(' ', end - start));
            copied = end;
        } else if first == '/' && source.get(end..).is_some_and(|rest| rest.starts_with('/')) {
            take_while(&mut |next| next != '\n' && next != '\r');
        } else if first == '"' {
            let (mut escaped, mut closed) = (false, false);
            let end = take_while(&mut |next| {
                if closed {
                    return false;
                }
                closed = next == '"' && !escaped;
                escaped = next == '\\' && !escaped;
                true
            });
            scan.tokens.push(Token { kind: TokenKind::Text, start, end });
        } else if first.is_alphanumeric() || first == '_' {
            let end = take_while(&mut |next| next.is_alphanumeric() || next == '_');
            scan.tokens.push(Token { kind: TokenKind::Word, start, end });
        } else {
            scan.tokens.push(Token { kind: TokenKind::Sign(first), start, end });
        }
    }
    scan.text.push_str(source.get(copied..).unwrap_or_default());
    scan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        let scan = scan(source);
        scan.tokens.iter().map(|token| scan.text[token.start..token.end].to_owned()).collect()
    }

    #[test]
    fn strings_and_comments_hide_what_is_in_them() {
        assert_eq!(words(r#"a "b;\"c" // d;"#), ["a", r#""b;\"c""#]);
        assert_eq!(words("a # b;\nc"), ["a", "c"]);
        assert_eq!(words("\"never closed; x"), ["\"never closed; x"]);
        assert_eq!(words(r#"" " "x" "#), [r#"" ""#, r#""x""#]);
    }

    #[test]
    fn hash_comments_are_blanked_and_offsets_stay() {
        let scan = scan("a # é\nb;");
        assert_eq!(scan.text, "a     \nb;");
        assert_eq!(scan.text.len(), "a # é\nb;".len());
        assert_eq!(scan.hash_comments, [(2, 6)]);
    }

    #[test]
    fn statements_end_with_their_semicolon() {
        let scan = scan("permit(a);\n forbid(b); rest");
        let ends: Vec<_> = scan.statements().map(|s| &scan.text[s.start..s.end]).collect();
        assert_eq!(ends, ["permit(a);", "forbid(b);", "rest"]);
    }
}
