//! Tokens of Python ("2. Lexical analysis"), as far as finding and reading a `def` line needs them. A formatted string is
//! one token without a text; one that has its own quote within (PEP 701) ends where older versions end it.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::schema::Fault;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Of the first token of a logical line: how far it is from the left.
    pub(super) indent: Option<usize>,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Name(String),
    Number(String),
    /// A string; none: of bytes, formatted, or with an escape that names a character.
    Text(Option<String>),
    /// One character of anything else.
    Mark(char),
}

struct Lexer<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    tokens: Vec<Token>,
    /// Brackets that are open: in them a line goes on.
    depth: usize,
    /// Where the logical line's first token will be; none: it has one.
    indent: Option<usize>,
}

/// All tokens of `text`.
pub(super) fn lex(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer =
        Lexer { text, rest: text.char_indices().peekable(), tokens: Vec::new(), depth: 0, indent: Some(0) };
    while let Some((at, character)) = lexer.rest.next() {
        lexer.token(at, character)?;
    }
    Ok(lexer.tokens)
}

fn continues(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

impl Lexer<'_> {
    fn token(&mut self, at: usize, character: char) -> Result<(), Fault> {
        match character {
            '\n' if self.depth == 0 => self.indent = Some(0),
            ' ' | '\t' | '\u{c}' => {
                if let Some(indent) = &mut self.indent {
                    *indent += 1;
                }
            }
            '\n' | '\r' => {}
            '\\' => {
                // Joins lines; anything else behind it is an error of Python's.
                self.rest.next_if(|(_, next)| *next == '\r');
                self.rest.next_if(|(_, next)| *next == '\n');
            }
            '#' => while self.rest.next_if(|(_, next)| *next != '\n').is_some() {},
            '"' | '\'' => {
                let text = self.string(character, "")?;
                self.push(Kind::Text(text));
            }
            _ if character.is_ascii_digit() => {
                let number = self.number(at);
                self.push(Kind::Number(number));
            }
            _ if continues(character) => {
                let word = self.word(at);
                let is_prefix = word.len() <= 2 && word.bytes().all(|byte| b"rRbBfFuUtT".contains(&byte));
                match self.rest.next_if(|(_, next)| is_prefix && matches!(next, '"' | '\'')) {
                    Some((_, quote)) => {
                        let text = self.string(quote, &word.to_ascii_lowercase())?;
                        self.push(Kind::Text(text));
                    }
                    None => self.push(Kind::Name(word)),
                }
            }
            _ => {
                match character {
                    '(' | '[' | '{' => self.depth += 1,
                    ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.push(Kind::Mark(character));
            }
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, indent: self.indent.take() });
    }

    fn from(&mut self, at: usize) -> String {
        let end = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        self.text.get(at..end).unwrap_or_default().to_owned()
    }

    fn word(&mut self, at: usize) -> String {
        while self.rest.next_if(|(_, next)| continues(*next)).is_some() {}
        self.from(at)
    }

    fn number(&mut self, at: usize) -> String {
        let mut before = '0';
        while let Some((_, next)) = self.rest.next_if(|(_, next)| {
            continues(*next) || *next == '.' || matches!(next, '+' | '-') && matches!(before, 'e' | 'E')
        }) {
            before = next;
        }
        self.from(at)
    }

    fn string(&mut self, quote: char, prefix: &str) -> Result<Option<String>, Fault> {
        let (raw, plain) = (prefix.contains('r'), !prefix.contains(['b', 'f', 't']));
        let mut text = plain.then(String::new);
        let mut long = false;
        if self.rest.next_if(|(_, next)| *next == quote).is_some() {
            if self.rest.next_if(|(_, next)| *next == quote).is_none() {
                return Ok(text);
            }
            long = true;
        }
        let mut quotes = 0;
        while let Some((_, character)) = self.rest.next() {
            quotes = if character == quote { quotes + 1 } else { 0 };
            if quotes == if long { 3 } else { 1 } {
                let kept = text.as_ref().map(|text| text.len().saturating_sub(quotes - 1));
                if let (Some(text), Some(kept)) = (&mut text, kept) {
                    text.truncate(kept);
                }
                return Ok(text);
            }
            match character {
                '\n' if !long => break,
                '\\' if raw => {
                    self.add(&mut text, '\\');
                    if let Some((_, next)) = self.rest.next() {
                        self.add(&mut text, next);
                    }
                }
                '\\' => self.escape(&mut text),
                _ => self.add(&mut text, character),
            }
        }
        Err(Fault::new("is in a file with a string that does not end", "close the string"))
    }

    #[allow(clippy::unused_self)]
    fn add(&self, text: &mut Option<String>, character: char) {
        if let Some(text) = text {
            text.push(character);
        }
    }

    /// What is behind a backslash.
    fn escape(&mut self, text: &mut Option<String>) {
        let Some((_, escaped)) = self.rest.next() else { return };
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let mut code = Some(0_u32);
            for _ in 0..digits {
                let digit = self.rest.next_if(|(_, next)| next.is_ascii_hexdigit());
                code = code.and_then(|code| code.checked_mul(16)?.checked_add(digit?.1.to_digit(16)?));
            }
            match code.and_then(char::from_u32) {
                Some(character) => self.add(text, character),
                None => *text = None,
            }
            return;
        }
        match escaped {
            '\n' => {}
            'n' => self.add(text, '\n'),
            't' => self.add(text, '\t'),
            'r' => self.add(text, '\r'),
            '\\' | '\'' | '"' => self.add(text, escaped),
            // By name or in octal: seldom, and not worth a table.
            'N' | 'a' | 'b' | 'f' | 'v' | '0'..='7' => *text = None,
            _ => {
                self.add(text, '\\');
                self.add(text, escaped);
            }
        }
    }
}
