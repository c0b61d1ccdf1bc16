//! The part of YAML that front matter is written in: `key: value` with a plain or quoted text on the line, a text of several
//! lines (`|`, `>`), a list of texts, a map of texts. Flows (`[a]`, `{a: b}`), anchors, aliases, tags, directives, equal keys,
//! and whatever some reader takes for a number, a date or a truth, are errors that say so.

use std::collections::BTreeMap;

use super::Fault;

/// A place in the file, both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: String,
    /// Where the key is.
    pub(super) at: At,
    pub(super) value: Value,
}

/// What a key can have. What is in a list is checked when it is read, and used by nobody.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    Map(Vec<Entry>),
}

/// One name of a map, and its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Where the name is.
    pub(super) at: At,
    pub(super) text: String,
    /// Where the text begins, when it is one of several lines (`|`): each of its lines is one of the file.
    pub(super) lines: Option<At>,
}

/// The words that some version of YAML takes for a truth, or for nothing.
const WORDS: [&str; 11] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", ".nan", ".inf"];
const QUOTE: &str = "put the text in double quotes";
const SEVERAL: &str =
    "write a text of several lines as `key: |`, or `key: >`, with the lines indented beneath it";

/// All fields of the lines between the two `---`, and all faults: after one, reading goes on at the next key.
pub(super) fn read(lines: &[&str]) -> (Vec<Field>, Vec<Fault>) {
    let mut reader = Reader { lines, next: 0 };
    let (mut fields, mut faults) = (Vec::new(), Vec::new());
    let mut seen = BTreeMap::new();
    while let Some((line, text)) = reader.peek() {
        let at = At { line, column: 1 };
        reader.next += 1;
        match reader.field(at, text) {
            Ok(field) => match seen.insert(field.key.clone(), line) {
                None => fields.push(field),
                Some(first) => faults.push(twice(at, &field.key, first)),
            },
            Err(fault) => {
                faults.push(fault);
                reader.skip_indented();
            }
        }
    }
    (fields, faults)
}

struct Reader<'a> {
    lines: &'a [&'a str],
    /// Index of the line that is read next.
    next: usize,
}

impl<'a> Reader<'a> {
    /// The next line that is neither blank nor a comment, with its number in the file.
    fn peek(&mut self) -> Option<(usize, &'a str)> {
        while let Some(text) = self.lines.get(self.next) {
            if !text.trim().is_empty() && !text.trim_start().starts_with('#') {
                return Some((self.next + 2, text));
            }
            self.next += 1;
        }
        None
    }

    fn skip_indented(&mut self) {
        while self.peek().is_some_and(|(_, text)| text.starts_with([' ', '\t'])) {
            self.next += 1;
        }
    }

    /// The field whose key is on the line `text`, which was taken.
    fn field(&mut self, at: At, text: &str) -> Result<Field, Fault> {
        if text.starts_with([' ', '\t']) {
            return Err(fault(at, "an indented line that belongs to no key", SEVERAL));
        }
        let (key, rest) = key_of(at, text)?;
        let (rest, at_rest) = behind(at, text, rest);
        let value = match rest.chars().next() {
            None | Some('#') => self.nested(at, key)?,
            Some('|' | '>') => Value::Text(self.block(at_rest, rest, 0)?.0),
            Some(_) => Value::Text(scalar(at_rest, rest)?),
        };
        Ok(Field { key: key.to_owned(), at, value })
    }

    /// The list or map beneath the key `key`.
    fn nested(&mut self, at: At, key: &str) -> Result<Value, Fault> {
        let nothing = || fault(at, format!("`{key}` has no value"), "write one, or remove the line");
        let (_, first) = self.peek().ok_or_else(nothing)?;
        let indent = indent_of(first);
        let is_list = is_item(first);
        if indent == 0 && !is_list {
            return Err(nothing());
        }
        let (mut items, mut entries, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
        while let Some((line, text)) = self.peek() {
            let at = At { line, column: indent_of(text) + 1 };
            if indent_of(text) < indent || (indent == 0 && !is_item(text)) {
                break;
            }
            if indent_of(text) > indent || is_item(text) != is_list {
                return Err(fault(
                    at,
                    format!("a line of `{key}` that is not like the one above it"),
                    "indent all of them alike, with spaces; nothing is nested deeper",
                ));
            }
            self.next += 1;
            let text = text.trim_start_matches(' ');
            if is_list {
                let (rest, at_rest) = behind(at, text, text.strip_prefix('-').unwrap_or_default());
                items.push(scalar(at_rest, rest)?);
                continue;
            }
            let (name, rest) = key_of(at, text)?;
            if let Some(first) = seen.insert(name, line) {
                return Err(twice(at, name, first));
            }
            let (rest, at_rest) = behind(at, text, rest);
            let (text, lines) = if rest.starts_with(['|', '>']) {
                self.block(at_rest, rest, indent)?
            } else {
                (scalar(at_rest, rest)?, None)
            };
            entries.push(Entry { name: name.to_owned(), at, text, lines });
        }
        Ok(if is_list { Value::List(items) } else { Value::Map(entries) })
    }

    /// The text beneath `|` or `>`, whose line's rest is `head`, of a key that is indented by `outer`; and where it begins, if its
    /// lines are those of the file.
    fn block(&mut self, at: At, head: &str, outer: usize) -> Result<(String, Option<At>), Fault> {
        let folded = head.starts_with('>');
        let mut behind = head.chars().skip(1).collect::<String>();
        if behind.starts_with(['-', '+']) {
            behind.remove(0);
        }
        if !is_nothing(&behind) {
            return Err(fault(at, format!("`{head}` is not understood"), SEVERAL));
        }
        let begins = At { line: self.next + 2, column: 1 };
        let mut indent = outer;
        let mut text = String::new();
        while let Some(line) = self.lines.get(self.next) {
            let blank = line.trim_matches(' ').is_empty();
            if indent == outer && !blank {
                indent = indent_of(line);
            }
            if !blank && (indent <= outer || indent_of(line) < indent) {
                break;
            }
            let words = line.get(indent..).unwrap_or_default();
            if folded && words.starts_with([' ', '\t']) {
                let at = At { line: self.next + 2, column: indent + 1 };
                return Err(fault(
                    at,
                    "a line of a folded text that is indented deeper",
                    "write `|` for `>`, or indent all lines alike",
                ));
            }
            // A folded text is joined by blanks; whoever measures it takes a blank and a line end alike.
            text.push_str(words);
            text.push(if folded && !blank { ' ' } else { '\n' });
            self.next += 1;
        }
        let lines = (!folded).then_some(At { column: indent + 1, ..begins });
        Ok((text.trim_end().to_owned(), lines))
    }
}

/// The key at the start of `text`, and what is behind its colon.
fn key_of(at: At, text: &str) -> Result<(&str, &str), Fault> {
    let wrong = || {
        fault(
            at,
            "not a line `key: value`",
            "keys are letters, digits, `-`, `_` and `.`, without quotes; a colon and a blank follow",
        )
    };
    let (key, rest) = text.split_once(':').ok_or_else(wrong)?;
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let is_key = key.starts_with(|first: char| first.is_ascii_alphanumeric()) && key.chars().all(plain);
    if is_key && (rest.is_empty() || rest.starts_with(' ')) { Ok((key, rest)) } else { Err(wrong()) }
}

/// `rest`, the end of `text`, without the blanks before it, and where that is.
fn behind<'a>(at: At, text: &str, rest: &'a str) -> (&'a str, At) {
    let rest = rest.trim_start_matches(' ');
    let before = text.len().saturating_sub(rest.len());
    let column = at.column + text.get(..before).unwrap_or_default().chars().count();
    (rest, At { column, ..at })
}

/// A text on one line.
fn scalar(at: At, text: &str) -> Result<String, Fault> {
    match text.chars().next() {
        Some('"') => double_quoted(at, text),
        Some('\'') => single_quoted(at, text),
        _ => plain(at, text),
    }
}

fn double_quoted(at: At, text: &str) -> Result<String, Fault> {
    let mut out = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return ended(at, text, index, out),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\' | '/'))) => out.push(escaped),
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                _ => {
                    let what = "inside quotes a backslash stands before `\"`, `\\`, `/`, `n` or `t` only";
                    return Err(fault(
                        at,
                        what,
                        "write `\\\\` for a backslash, and other characters as they are",
                    ));
                }
            },
            other => out.push(other),
        }
    }
    Err(unclosed(at))
}

fn single_quoted(at: At, text: &str) -> Result<String, Fault> {
    let mut out = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((index, character)) = characters.next() {
        if character != '\'' {
            out.push(character);
        } else if characters.next_if(|(_, next)| *next == '\'').is_some() {
            out.push('\'');
        } else {
            return ended(at, text, index, out);
        }
    }
    Err(unclosed(at))
}

/// `out`, when nothing is behind the closing quote at `index`.
fn ended(at: At, text: &str, index: usize, out: String) -> Result<String, Fault> {
    let rest = text.get(index + 1..).unwrap_or_default();
    let wrong =
        || fault(at, "something follows the closing quote", "put the whole text in one pair of quotes");
    if is_nothing(rest) { Ok(out) } else { Err(wrong()) }
}

fn plain(at: At, text: &str) -> Result<String, Fault> {
    let comment = text.match_indices('#').find(|(index, _)| {
        *index == 0 || text.get(..*index).is_some_and(|before| before.ends_with([' ', '\t']))
    });
    let text = comment.map_or(text, |(index, _)| text.get(..index).unwrap_or_default()).trim_end();
    let first = text.chars().next().ok_or_else(|| fault(at, "there is no value", "write one"))?;
    let alone =
        |mark: char| text.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    if "[]{},&*!|>%@`".contains(first) || ['-', '?', ':'].into_iter().any(alone) {
        let what = format!(
            "a value that starts with `{first}` is no text here: of YAML, only texts, lists and maps of texts are read"
        );
        return Err(fault(at, what, QUOTE));
    }
    if text.contains(": ") || text.contains(":\t") || text.ends_with(':') {
        return Err(fault(
            at,
            "a colon and a blank in a text without quotes: YAML takes it for a key",
            QUOTE,
        ));
    }
    if is_ambiguous(text) {
        let what = format!("`{text}` is a number, a date, a truth or nothing to readers of YAML");
        return Err(fault(at, what, QUOTE));
    }
    Ok(text.to_owned())
}

/// Whether some reader takes the plain `text` for anything but a text. Rather one too many: quotes help.
fn is_ambiguous(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let bare = lower.trim_start_matches(['+', '-']);
    let number = bare.trim_start_matches('.').starts_with(|first: char| first.is_ascii_digit())
        && lower.chars().all(|character| character.is_ascii_hexdigit() || "+-._:xotz ".contains(character));
    number || text == "~" || text == "<<" || WORDS.contains(&bare)
}

fn is_item(text: &str) -> bool {
    text.trim_start_matches(' ')
        .strip_prefix('-')
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Blanks that a line begins with. A tab is none: what follows it is no key and no item.
fn indent_of(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

/// Whether only blanks, or a comment after some, are left of a line.
fn is_nothing(rest: &str) -> bool {
    let words = rest.trim_start_matches([' ', '\t']);
    words.is_empty() || (words.starts_with('#') && words.len() < rest.len())
}

fn unclosed(at: At) -> Fault {
    fault(at, "this quote is not closed on its line", SEVERAL)
}

fn twice(at: At, key: &str, first: usize) -> Fault {
    fault(at, format!("`{key}` is written twice, first on line {first}"), "remove one of the two")
}

fn fault(at: At, what: impl Into<String>, help: impl Into<String>) -> Fault {
    Fault::new("E091", at, what, help)
}
