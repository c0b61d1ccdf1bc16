//! The arguments of a call: those of the JSON object, and words of a command line put into it as the tool's schema says.

use serde_json::{Map, Number, Value};

/// Adds `words` (`--name value`, `--name=value`, `--flag`, and one bare word for the only required argument) to `given`.
///
/// # Errors
/// A word that does not fit the schema; an argument that is there twice.
pub(crate) fn with_words(
    mut given: Map<String, Value>,
    words: &[String],
    schema: &Value,
) -> Result<Map<String, Value>, String> {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.strip_prefix("--") {
            Some(option) => {
                let (name, written) = match option.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (option, None),
                };
                let property =
                    properties.get(name).ok_or_else(|| format!("there is no argument `{name}`"))?;
                let kind = property.get("type").and_then(Value::as_str).unwrap_or("string");
                let value = match (written, kind) {
                    (Some(text), _) => typed(name, &text, kind)?,
                    (None, "boolean") => Value::Bool(true),
                    (None, _) => {
                        let next = words.next().ok_or_else(|| format!("`--{name}` has no value"))?;
                        typed(name, next, kind)?
                    }
                };
                (name.to_owned(), value)
            }
            None => (only_required(schema, word)?.to_owned(), Value::String(word.clone())),
        };
        if given.contains_key(&name) {
            return Err(format!("the argument `{name}` is given twice"));
        }
        given.insert(name, value);
    }
    Ok(given)
}

/// The name of the one argument that must be there, when it is a text.
fn only_required<'a>(schema: &'a Value, word: &str) -> Result<&'a str, String> {
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let refused = || format!("`{word}` belongs to no argument: write `--NAME {word}`");
    let [only] = required else { return Err(refused()) };
    let name = only.as_str().ok_or_else(refused)?;
    let kind = schema.pointer("/properties").and_then(|all| all.get(name)?.get("type")?.as_str());
    if kind.unwrap_or("string") == "string" { Ok(name) } else { Err(refused()) }
}

fn typed(name: &str, text: &str, kind: &str) -> Result<Value, String> {
    let wrong = || format!("`{text}` is no {kind}, which `{name}` must be");
    match kind {
        "string" => Ok(Value::String(text.to_owned())),
        "integer" => text.parse::<i64>().map(|number| Value::Number(number.into())).map_err(|_| wrong()),
        "number" => {
            let number = text.parse::<f64>().ok().and_then(Number::from_f64).ok_or_else(wrong)?;
            Ok(Value::Number(number))
        }
        "boolean" => text.parse::<bool>().map(Value::Bool).map_err(|_| wrong()),
        _ => agentfile::json::read(text.as_bytes()).map_err(|error| format!("{}: {error}", wrong())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(words: &[&str], given: Value) -> Result<Value, String> {
        let schema = json!({
            "properties": {
                "path": { "type": "string" }, "limit": { "type": "integer" }, "all": { "type": "boolean" },
                "share": { "type": "number" }, "names": { "type": "array" }, "mode": { "enum": ["a", "b"] },
            },
            "required": ["path"],
        });
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let Value::Object(given) = given else { panic!("an object") };
        with_words(given, &words, &schema).map(Value::Object)
    }

    #[test]
    fn words_become_what_the_schema_says() {
        let words = ["/a b", "--limit", "3", "--all", "--share=0.5", "--names", "[1]", "--mode=a"];
        let wanted =
            json!({ "path": "/a b", "limit": 3, "all": true, "share": 0.5, "names": [1], "mode": "a" });
        assert_eq!(put(&words, json!({})), Ok(wanted));
        assert_eq!(put(&["--all=false"], json!({ "path": "x" })), Ok(json!({ "path": "x", "all": false })));
        assert_eq!(put(&["--path=--limit"], json!({})), Ok(json!({ "path": "--limit" })));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for words in [
            &["--nothing", "1"][..],
            &["--limit", "x"],
            &["--limit"],
            &["--names", "[1,"],
            &["--names", "{\"a\":1,\"a\":2}"],
            &["a", "b"],
            &["--share", "NaN"],
        ] {
            assert!(put(words, json!({})).is_err(), "{words:?}");
        }
        assert!(put(&["--path", "x"], json!({ "path": "y" })).unwrap_err().contains("twice"));
    }
}
