//! What a Python function takes and returns, from its `def` line and its docstring, without running anything: the schema of
//! a `FUNCTION ./file.py:symbol`. What is not understood is refused, never guessed at: the schema is what arguments are
//! checked against, and all that an agent knows of the function.

mod hint;
mod lex;
mod literal;
mod signature;

use serde_json::{Map, Value};

use crate::schema::Fault;
use crate::{json, tool};

/// What is known of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Its docstring, without its indentation.
    pub description: String,
    /// What its arguments must be: JSON Schema 2020-12, an `object` that takes nothing else.
    pub input_schema: Value,
    /// What it returns, when it says so.
    pub output_schema: Option<Value>,
}

/// One parameter.
struct Parameter {
    name: String,
    schema: Value,
    default: Option<Value>,
}

/// The function `symbol` of the file with this text. A [`Fault`] continues a sentence that begins with the function's name.
///
/// # Errors
/// The first [`Fault`].
pub fn read(source: &[u8], symbol: &str) -> Result<Signature, Fault> {
    let text = std::str::from_utf8(source)
        .map_err(|_| Fault::new("is in a file that is not UTF-8", "save the file as UTF-8"))?;
    let tokens = lex::lex(text)?;
    let found = signature::find(&tokens, symbol)?;
    let mut properties = Map::new();
    let mut required = Vec::new();
    for Parameter { name, mut schema, default } in found.parameters {
        match (default, schema.as_object_mut()) {
            (None, _) => required.push(Value::String(name.clone())),
            (Some(default), Some(members)) => {
                members.insert("default".to_owned(), default);
            }
            (Some(_), None) => {}
        }
        if properties.insert(name.clone(), schema).is_some() {
            let help = "Python refuses it too: give one of them another name";
            return Err(Fault::new(format!("has two parameters `{name}`"), help));
        }
    }
    let input = Value::Object(Map::from_iter([
        ("type".to_owned(), Value::from("object")),
        ("properties".to_owned(), Value::Object(properties)),
        ("required".to_owned(), Value::Array(required)),
        ("additionalProperties".to_owned(), Value::Bool(false)),
    ]));
    tool::unseen([&found.description], &input)?;
    tool::unseen([], found.returns.as_ref().unwrap_or(&Value::Null))?;
    Ok(Signature {
        description: found.description,
        input_schema: json::sorted(&input),
        output_schema: found.returns.as_ref().map(json::sorted),
    })
}

#[cfg(test)]
mod tests;
