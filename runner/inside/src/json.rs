//! JSON from outside: bounded, one object, with one way to read it.

use std::io::Read;

use serde_json::{Map, Value};

/// The JSON object that `from` has to its end, of at most `most` bytes; `None` if it ends without a byte.
///
/// # Errors
/// Too long, no JSON, another value than an object, or a name twice in one object, which two readers would understand as two
/// things (RFC 8259, section 4).
pub(crate) fn object(from: impl Read, most: u64) -> Result<Option<Map<String, Value>>, String> {
    let mut bytes = Vec::new();
    from.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read the arguments from standard input: {error}"))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() as u64 > most {
        return Err(format!("the arguments on standard input have more than {most} bytes"));
    }
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| format!("the arguments on standard input are no JSON: {error}"))?;
    if members(&value) != written(&bytes) {
        return Err("the arguments on standard input have a name twice in one object".to_owned());
    }
    match value {
        Value::Object(object) => Ok(Some(object)),
        _ => Err("the arguments on standard input must be one JSON object".to_owned()),
    }
}

/// How many members all objects of `value` have.
fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Value::Array(items) => items.iter().map(members).sum(),
        _ => 0,
    }
}

/// How many members were written: outside of strings, JSON has a colon for each and no other.
fn written(json: &[u8]) -> usize {
    let (mut colons, mut string, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = string,
            b'"' => string = !string,
            b':' if !string => colons += 1,
            _ => {}
        }
    }
    colons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Map<String, Value>>, String> {
        object(text.as_bytes(), 100)
    }

    #[test]
    fn an_object_is_read_and_nothing_is_none() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("{}\n").unwrap().unwrap().len(), 0);
        let text = r#" {"a:\"": ":", "b\\": {"a": [{"a": 1}, {"a": ":{\":"}]}, "\u0063": null} "#;
        assert_eq!(read(text).unwrap().unwrap().len(), 3);
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"{"b": [{"c": {"a": {}, "a": {}}}]}"#,
            r#"{"a": {"x": 1, "y": 2}, "a": {}}"#,
        ] {
            assert!(read(text).unwrap_err().contains("twice"), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_or_too_long_is_refused() {
        for text in [
            " ",
            "\n",
            "[]",
            "null",
            "1",
            "{",
            "{} {}",
            "{}x",
            "{\"a\":\"\\ud800\"}",
            "\u{feff}{}",
            "{\"a\":1e999}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(object(&b"{\"a\":\"\xff\"}"[..], 100).is_err());
        assert!(read(&"[".repeat(100)).is_err());
        assert!(object("[".repeat(5000).as_bytes(), 5000).is_err(), "deep");
        assert!(read(&format!("{{{}}}", " ".repeat(98))).is_ok());
        assert!(read(&format!("{{{}}}", " ".repeat(99))).unwrap_err().contains("more than 100 bytes"));
    }
}
