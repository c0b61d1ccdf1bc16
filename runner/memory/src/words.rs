//! Text for the search index, and what somebody looks for in it.

use serde_json::Value;

use crate::error::Error;
use crate::limits::{KEY_BYTES, VALUE_DEPTH};

/// Longest query, in bytes.
const QUERY_BYTES: usize = 1024;
/// Most words of a query.
const QUERY_WORDS: usize = 32;

/// Whether a key may be used: it is shown to people, so nothing in it is unseen.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    let why = if key.is_empty() {
        "it is empty".to_owned()
    } else if key.len() > KEY_BYTES {
        format!("it is longer than {KEY_BYTES} bytes")
    } else if key.contains(agentfile::characters::is_unseen) {
        "it has a control or invisible character".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::Key { key: crate::error::short(key), why })
}

/// Whether `value` is nested no deeper than [`VALUE_DEPTH`].
pub(crate) fn is_shallow(value: &Value) -> bool {
    fn within(value: &Value, left: usize) -> bool {
        let Some(left) = left.checked_sub(1) else { return false };
        match value {
            Value::Array(items) => items.iter().all(|item| within(item, left)),
            Value::Object(members) => members.values().all(|member| within(member, left)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
    within(value, VALUE_DEPTH)
}

/// The words of a shallow value: its texts and numbers, and the names of its members.
pub(crate) fn of(value: &Value) -> String {
    fn add(value: &Value, words: &mut String) {
        match value {
            Value::String(text) => line(text, words),
            Value::Number(number) => line(&number.to_string(), words),
            Value::Array(items) => items.iter().for_each(|item| add(item, words)),
            Value::Object(members) => {
                for (name, member) in members {
                    line(name, words);
                    add(member, words);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
    fn line(text: &str, words: &mut String) {
        words.push_str(text);
        words.push('\n');
    }
    let mut words = String::new();
    add(value, &mut words);
    words
}

/// `asked` as an FTS5 expression: every word a quoted string, all of which must be there. In a quoted string nothing but the
/// quote has a meaning (<https://sqlite.org/fts5.html#fts5_strings>), and a doubled one stands for itself. `None`: there
/// is nothing to look for.
pub(crate) fn query(asked: &str) -> Result<Option<String>, Error> {
    if asked.len() > QUERY_BYTES {
        return Err(Error::Query(format!("it is longer than {QUERY_BYTES} bytes")));
    }
    let separates = |character: char| character.is_whitespace() || character.is_control();
    let words: Vec<_> = asked
        .split(separates)
        .filter(|word| word.contains(char::is_alphanumeric))
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    if words.len() > QUERY_WORDS {
        return Err(Error::Query(format!("it has more than {QUERY_WORDS} words")));
    }
    Ok((!words.is_empty()).then(|| words.join(" ")))
}
