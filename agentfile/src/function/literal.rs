//! Literals of Python as JSON: what a default, or a `Literal[…]`, may be.

use serde_json::{Map, Number, Value};

use super::lex::Kind;
use super::signature::{Parser, refused};
use crate::schema::Fault;

/// Deepest nesting of a literal or a hint.
pub(super) const DEPTH_MAX: usize = 16;

impl Parser<'_> {
    /// A string, number, `True`, `False`, `None`, or a list or dict of such.
    pub(super) fn literal(&mut self, depth: usize) -> Result<Value, Fault> {
        let wrong = || {
            refused(
                "has a value that is not a literal",
                "write a string, a number, `True`, `False`, `None`, or a list or dict of such",
            )
        };
        if depth > DEPTH_MAX {
            return Err(refused("has a value that is nested too deeply", "make it flatter"));
        }
        match self.next() {
            Some(Kind::Text(text)) => {
                let mut whole = text.clone().ok_or_else(wrong)?;
                // Strings beside each other are one.
                while let Some(Kind::Text(text)) = self.peek() {
                    whole.push_str(text.as_ref().ok_or_else(wrong)?);
                    self.skip();
                }
                Ok(Value::String(whole))
            }
            Some(Kind::Number(text)) => number(text, false).ok_or_else(wrong),
            Some(Kind::Mark('-')) => match self.next() {
                Some(Kind::Number(text)) => number(text, true).ok_or_else(wrong),
                _ => Err(wrong()),
            },
            Some(Kind::Name(name)) => match name.as_str() {
                "True" => Ok(Value::Bool(true)),
                "False" => Ok(Value::Bool(false)),
                "None" => Ok(Value::Null),
                _ => Err(wrong()),
            },
            Some(Kind::Mark('[')) => {
                let mut items = Vec::new();
                while !self.take(']') {
                    items.push(self.literal(depth + 1)?);
                    self.separated(']')?;
                }
                Ok(Value::Array(items))
            }
            Some(Kind::Mark('{')) => {
                let mut members = Map::new();
                while !self.take('}') {
                    let Value::String(name) = self.literal(depth + 1)? else { return Err(wrong()) };
                    self.expect(':')?;
                    members.insert(name, self.literal(depth + 1)?);
                    self.separated('}')?;
                }
                Ok(Value::Object(members))
            }
            _ => Err(wrong()),
        }
    }
}

/// A decimal number.
fn number(text: &str, negative: bool) -> Option<Value> {
    let digits = text.replace('_', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) {
        return None;
    }
    let signed = if negative { format!("-{digits}") } else { digits.clone() };
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let small = signed.parse::<i64>().map(Value::from).ok();
        return small.or_else(|| signed.parse::<u64>().map(Value::from).ok());
    }
    signed.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number)
}
