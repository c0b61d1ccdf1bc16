//! One value of a dotenv file, by the rules that its readers share. Where they differ, the file is refused: nothing is
//! interpolated, and a key comes once.
//!
//! ```text
//! # a comment
//! KEY=value            # another, behind a space
//! export KEY = 'as it is, also over lines'
//! KEY="with \n \" \\ and \$"
//! ```

use std::iter::Peekable;
use std::str::Chars;

use zeroize::Zeroizing;

/// Whether this is what a key is made of.
pub(super) fn is_key(text: &str) -> bool {
    text.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_')
        && text.chars().all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '.' | '-'))
}

/// The value of a key.
///
/// # Errors
/// What is wrong, with the line's number. No text of the file is repeated.
pub(super) fn value(text: &[u8], wanted: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { rest: text.chars().peekable(), line: 1, size: text.len() };
    let mut found = None;
    while let Some(key) = reader.key()? {
        let line = reader.line;
        let value = reader.value()?;
        if key == wanted && found.replace(value).is_some() {
            return Err(format!("line {line}: `{wanted}` is there twice: remove one"));
        }
    }
    match found {
        None => Err(format!("`{wanted}` is not in it")),
        Some(Value::Ambiguous(line)) => Err(format!(
            "line {line}: `$` may stand for a variable, and none is looked up: write the value in single quotes"
        )),
        Some(Value::Text(text)) if text.is_empty() => Err(format!("`{wanted}` is empty")),
        Some(Value::Text(text)) => Ok(text),
    }
}

enum Value {
    Text(Zeroizing<Vec<u8>>),
    /// With a `$` that some readers interpolate, in this line.
    Ambiguous(usize),
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    /// Of the file: as much as one value can have.
    size: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let sign = self.rest.next();
        self.line += usize::from(sign == Some('\n'));
        sign
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("line {}: {what}", self.line))
    }

    /// Over spaces and tabs.
    fn blanks(&mut self) {
        while self.rest.next_if(|sign| matches!(sign, ' ' | '\t' | '\r')).is_some() {}
    }

    fn comment(&mut self) {
        while self.rest.next_if(|sign| *sign != '\n').is_some() {}
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(sign) = self.rest.next_if(|sign| !sign.is_whitespace() && !matches!(sign, '=' | '#')) {
            word.push(sign);
        }
        word
    }

    /// The next key, up to and with its `=`.
    fn key(&mut self) -> Result<Option<String>, String> {
        loop {
            self.blanks();
            match self.rest.peek() {
                None => return Ok(None),
                Some('\n') => {
                    self.next();
                }
                Some('#') => self.comment(),
                Some(_) => break,
            }
        }
        let mut key = self.word();
        self.blanks();
        if key == "export" && self.rest.peek() != Some(&'=') {
            key = self.word();
            self.blanks();
        }
        if !is_key(&key) || self.rest.next_if_eq(&'=').is_none() {
            return self.wrong("this is not `KEY=value`");
        }
        Ok(Some(key))
    }

    /// What follows the `=`, up to the line's end.
    fn value(&mut self) -> Result<Value, String> {
        self.blanks();
        match self.rest.next_if(|sign| matches!(sign, '"' | '\'')) {
            Some(quote) => self.quoted(quote),
            None => Ok(self.plain()),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Value, String> {
        let mut text = Zeroizing::new(Vec::with_capacity(self.size));
        let mut ambiguous = None;
        loop {
            let sign = match self.next() {
                None => return self.wrong("a quote is not closed"),
                Some(sign) if sign == quote => break,
                Some('\\') if quote == '"' => match self.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(sign @ ('"' | '\\' | '$')) => sign,
                    _ => {
                        return self
                            .wrong("this escape is not known: use single quotes, in which there are none");
                    }
                },
                Some(sign) => {
                    ambiguous = ambiguous.or((sign == '$' && quote == '"').then_some(self.line));
                    sign
                }
            };
            text.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.blanks();
        if self.rest.peek() == Some(&'#') {
            self.comment();
        }
        if self.rest.peek().is_some_and(|sign| *sign != '\n') {
            return self.wrong("something follows the closing quote");
        }
        Ok(ambiguous.map_or(Value::Text(text), Value::Ambiguous))
    }

    fn plain(&mut self) -> Value {
        let mut text = Zeroizing::new(Vec::with_capacity(self.size));
        let mut ambiguous = None;
        // Blanks count only once something follows them.
        let mut blank = true;
        let mut end = 0;
        while let Some(sign) = self.rest.next_if(|sign| *sign != '\n') {
            if sign == '#' && blank {
                self.comment();
                break;
            }
            ambiguous = ambiguous.or((sign == '$').then_some(self.line));
            blank = matches!(sign, ' ' | '\t' | '\r');
            text.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
            end = if blank { end } else { text.len() };
        }
        text.truncate(end);
        ambiguous.map_or(Value::Text(text), Value::Ambiguous)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "\u{feff}# comment\n\nPLAIN=abc def\r\nexport EXPORTED = with-blanks  # comment\nHASH=a#b\n\
        SINGLE='a $b \\n \"c\" #'  # x\nDOUBLE=\"a \\\"b\\\" \\\\ \\n\\$x\"\nLINES='one\ntwo'\nAFTER=3\nEMPTY=\nEMPTY2=''\n\
        DOLLAR=a$b\nDOLLAR2=\"${X}\"\nexport=4\na.b-c=5\nCOMMENT= # x\nLAST=6";

    #[test]
    fn the_rules_that_readers_share_hold() {
        for (key, expected) in [
            ("PLAIN", "abc def"),
            ("EXPORTED", "with-blanks"),
            ("HASH", "a#b"),
            ("SINGLE", "a $b \\n \"c\" #"),
            ("DOUBLE", "a \"b\" \\ \n$x"),
            ("LINES", "one\ntwo"),
            ("AFTER", "3"),
            ("export", "4"),
            ("a.b-c", "5"),
            ("LAST", "6"),
        ] {
            assert_eq!(*value(FILE.as_bytes(), key).unwrap(), expected.as_bytes(), "{key}");
        }
    }

    #[test]
    fn where_readers_differ_the_file_is_refused() {
        for (file, key, what) in [
            (FILE, "NONE", "not in it"),
            (FILE, "EMPTY", "empty"),
            (FILE, "EMPTY2", "empty"),
            (FILE, "COMMENT", "empty"),
            (FILE, "DOLLAR", "line 13: `$`"),
            (FILE, "DOLLAR2", "line 14: `$`"),
            ("A=1\nA=2", "A", "line 2: `A` is there twice"),
            ("A=1\nB='2", "A", "line 2: a quote"),
            ("A=1\ncanary", "A", "line 2: this is not"),
            ("A=1\ncanary 2=3", "A", "line 2"),
            ("A=1\n=3", "A", "line 2"),
            ("A='1'canary", "A", "line 1: something follows"),
            ("A=\"\\u0041\"", "A", "line 1: this escape"),
        ] {
            let why = value(file.as_bytes(), key).unwrap_err();
            assert!(why.contains(what) && !why.contains("canary"), "{why}");
        }
        assert!(value(b"A=\xff", "A").is_err());
    }

    proptest! {
        #[test]
        fn a_value_in_single_quotes_is_taken_as_it_is(text in "[^']{1,40}", before in "(# [^\n]{0,20}\n){0,3}") {
            let file = format!("{before}KEY='{text}'\nOTHER=1\n");
            prop_assert_eq!(&*value(file.as_bytes(), "KEY").unwrap(), text.as_bytes());
        }

        #[test]
        fn no_file_makes_the_reader_panic(text: String) {
            let _ = value(text.as_bytes(), "KEY");
        }
    }
}
