//! The one way in which a value becomes bytes, and the strict way back. Two logs with the same content have the same
//! bytes, so a verifier can compare bytes and need not reason about JSON.
//!
//! Canonical form: no whitespace, members in the order of declaration, integers only, maps sorted, `\n` at the end. Beyond what JSON
//! demands, everything that could drive a terminal or reorder a line on screen is escaped (DEL and C1 controls,
//! bidirectional and invisible format characters, line separators), so that `cat audit.jsonl` is harmless.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};
use serde_json::ser::Formatter;

/// What is wrong with bytes that should be one canonical line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not UTF-8.
    #[error("is not valid UTF-8")]
    Encoding,
    /// A member is there twice.
    #[error("has the key `{0}` twice")]
    DuplicateKey(String),
    /// Not JSON, or not what a line holds.
    #[error("is not a line of this log: {0}")]
    Json(String),
    /// It means the same, but these are not the bytes that were written.
    #[error("is not in canonical form")]
    NotCanonical,
}

/// `value` as one canonical line, its newline included.
///
/// # Errors
/// Only when the type cannot be JSON.
pub fn to_line<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(256);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Careful))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The value of one canonical line, its newline included.
///
/// # Errors
/// Anything but exactly the bytes that [`to_line`] makes of the value.
pub fn from_line<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Flaw> {
    let text = std::str::from_utf8(bytes).map_err(|_| Flaw::Encoding)?;
    no_duplicates(text)?;
    let value: T = serde_json::from_str(text).map_err(|error| Flaw::Json(error.to_string()))?;
    let again = to_line(&value).map_err(|error| Flaw::Json(error.to_string()))?;
    if again == bytes { Ok(value) } else { Err(Flaw::NotCanonical) }
}

/// Whether no object in `text` has a member twice.
fn no_duplicates(text: &str) -> Result<(), Flaw> {
    let mut found = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seen = Unique { found: &mut found }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (found, seen) {
        (Some(key), _) => Err(Flaw::DuplicateKey(key)),
        (None, Err(error)) => Err(Flaw::Json(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

/// Walks any JSON value and remembers the first member that an object has twice.
struct Unique<'a> {
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Unique { found: &mut *self.found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                *self.found = Some(key);
                return Err(A::Error::custom("duplicate key"));
            }
            seen.insert(key);
            map.next_value_seed(Unique { found: &mut *self.found })?;
        }
        Ok(())
    }
}

/// serde_json's compact form, which also escapes what could drive a terminal.
struct Careful;

impl Formatter for Careful {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| misleads(*character)) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            rest = tail.get(character.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Characters that show as something else than themselves: controls, bidirectional and invisible formats, separators.
/// All are in the basic plane, so `\uXXXX` says each.
pub(crate) fn misleads(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_escaped() {
        let line = to_line(&"a\u{1b}[2J\n\u{9b}31m\u{202e}é\u{7f}").unwrap();
        assert_eq!(line, "\"a\\u001b[2J\\n\\u009b31m\\u202eé\\u007f\"\n".as_bytes());
        assert_eq!(from_line::<String>(&line).unwrap(), "a\u{1b}[2J\n\u{9b}31m\u{202e}é\u{7f}");
    }

    #[test]
    fn duplicate_keys_are_found_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"b":{"c":1,"c":2}}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(matches!(no_duplicates(text), Err(Flaw::DuplicateKey(_))), "{text}");
        }
        assert_eq!(no_duplicates(r#"[{"a":1},{"a":1}]"#), Ok(()));
    }

    #[test]
    fn another_spelling_of_the_same_value_is_not_canonical() {
        for text in ["\"\\u0061\"\n", " \"a\"\n", "\"a\" \n", "\"a\""] {
            assert_eq!(from_line::<String>(text.as_bytes()), Err(Flaw::NotCanonical), "{text:?}");
        }
        assert_eq!(from_line::<String>(b"\"\xff\"\n"), Err(Flaw::Encoding));
        assert!(matches!(from_line::<String>(b"\"a\"\"b\"\n"), Err(Flaw::Json(_))));
    }
}
