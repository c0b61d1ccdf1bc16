//! Type hints of Python (PEP 484, 585, 586, 604) as JSON Schema: the few that JSON has a value for.

use serde_json::{Value, json};

use super::lex::Kind;
use super::literal::DEPTH_MAX;
use super::signature::{Parser, refused};
use crate::schema::Fault;

impl Parser<'_> {
    /// A hint, with what `|` adds to it.
    pub(super) fn hint(&mut self, depth: usize) -> Result<Value, Fault> {
        if depth > DEPTH_MAX {
            return Err(refused("has a type that is nested too deeply", "make it flatter"));
        }
        let mut kinds = vec![self.one(depth)?];
        while self.take('|') {
            kinds.push(self.one(depth)?);
        }
        Ok(any_of(kinds))
    }

    fn one(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut name = match self.next() {
            Some(Kind::Name(name)) => name.clone(),
            _ => return Err(unknown("a type that is not a name")),
        };
        if name == "typing" && self.take('.') {
            let Some(Kind::Name(within)) = self.next() else { return Err(unknown("the type `typing.`")) };
            name.clone_from(within);
        }
        let plain = match name.as_str() {
            "str" => Some(json!({"type": "string"})),
            "int" => Some(json!({"type": "integer"})),
            "float" => Some(json!({"type": "number"})),
            "bool" => Some(json!({"type": "boolean"})),
            "None" => Some(json!({"type": "null"})),
            "Any" => Some(json!({})),
            _ => None,
        };
        if let Some(plain) = plain {
            return Ok(plain);
        }
        let bracket = self.take('[');
        match (name.as_str(), bracket) {
            ("list" | "List", false) => Ok(json!({"type": "array"})),
            ("dict" | "Dict", false) => Ok(json!({"type": "object"})),
            ("list" | "List", true) => {
                let items = self.hint(depth + 1)?;
                self.expect(']')?;
                Ok(json!({"type": "array", "items": items}))
            }
            ("dict" | "Dict", true) => {
                if !matches!(self.next(), Some(Kind::Name(key)) if key == "str") {
                    return Err(refused(
                        "has a dict whose keys are no `str`",
                        "JSON has no other: write `dict[str, T]`",
                    ));
                }
                self.expect(',')?;
                let values = self.hint(depth + 1)?;
                self.expect(']')?;
                Ok(json!({"type": "object", "additionalProperties": values}))
            }
            ("Optional", true) => {
                let kind = self.hint(depth + 1)?;
                self.expect(']')?;
                Ok(any_of(vec![kind, json!({"type": "null"})]))
            }
            ("Union", true) => {
                let mut kinds = vec![self.hint(depth + 1)?];
                while self.take(',') {
                    kinds.push(self.hint(depth + 1)?);
                }
                self.expect(']')?;
                Ok(any_of(kinds))
            }
            ("Literal", true) => {
                let mut values = Vec::new();
                while !self.take(']') {
                    let value = self.literal(DEPTH_MAX)?;
                    if !values.contains(&value) {
                        values.push(value);
                    }
                    self.separated(']')?;
                }
                if values.is_empty() {
                    return Err(unknown("a `Literal` of nothing"));
                }
                Ok(json!({"enum": values}))
            }
            _ => Err(unknown(&format!("the type `{name}`"))),
        }
    }
}

/// One of several, `None` among them as any other.
fn any_of(mut kinds: Vec<Value>) -> Value {
    if kinds.len() == 1 { kinds.pop().unwrap_or_default() } else { json!({"anyOf": kinds}) }
}

fn unknown(what: &str) -> Fault {
    refused(
        &format!("has {what}, which has no schema"),
        "use `str`, `int`, `float`, `bool`, `None`, `list[T]`, `dict[str, T]`, `Optional[T]`, `T | U`, `Literal[…]`, `Any`",
    )
}
