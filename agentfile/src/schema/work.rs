//! What it takes to check a value. Who writes the value is not who wrote the schema, and both may be somebody that one does not trust: a
//! small schema and a small value can ask so much of each other that a validator does not end, or that its list of what is wrong fills the
//! memory.

use serde_json::Value;

use super::Fault;
use super::graph::{Asked, Graph};

/// Most questions that are asked of a value, to know whether it fits: a second or two.
const CHECKED: u64 = 100_000_000;
/// Most of them to know where it does not, and most bytes that they are about: each may become an error with a copy of that.
const EXPLAINED: u64 = 200_000;
const COPIED: u64 = 64 << 20;
/// As many bytes of a text are as much to look at as a value.
const PART: u64 = 64;

/// What checking against one schema takes.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    weight: u64,
    questions: u64,
    inwards: u64,
    refers: bool,
}

impl Work {
    /// Of the schema at `pointer` (RFC 6901) in `document`.
    ///
    /// # Errors
    /// As [`super::judge`].
    pub fn of(document: &Value, pointer: &str) -> Result<Self, Fault> {
        super::judged(document, pointer).map(|(_, work)| work)
    }

    pub(super) fn new(graph: &Graph, asked: Asked, pointer: &str) -> Self {
        let questions = u64::try_from(asked.questions).unwrap_or(u64::MAX);
        Self { weight: graph.weight(pointer), questions, inwards: asked.inwards, refers: graph.refers() }
    }

    /// Why a value does not fit, in a sentence that begins with `about`; `None` when it does. `fits` is asked first, and `explained` only
    /// where it may be.
    pub fn unfit(
        &self,
        value: &Value,
        fits: impl FnOnce() -> bool,
        explained: impl FnOnce() -> Option<String>,
        about: &str,
    ) -> Option<String> {
        let size = Size::of(value);
        if !self.checks(size) {
            return Some(format!("{about} is too large to be compared with its schema"));
        }
        if fits() {
            return None;
        }
        if !self.explains(size) {
            return Some(format!(
                "{about} does not fit its schema, and is too large or too deep to say where"
            ));
        }
        explained()
    }

    /// Whether it is found out in reasonable time that a value fits, or does not: by a validator that answers a reference once for each
    /// value.
    fn checks(&self, Size { values, bytes, .. }: Size) -> bool {
        self.weight.saturating_mul(values.saturating_add(bytes / PART)) <= CHECKED
    }

    /// Whether it may be asked where a value does not fit: then nothing is answered once, and what refers to itself is asked anew on
    /// each level.
    fn explains(&self, Size { values, bytes, depth }: Size) -> bool {
        let each = if self.refers {
            self.inwards.saturating_pow(depth).saturating_mul(self.questions)
        } else {
            self.weight
        };
        each.saturating_mul(values) <= EXPLAINED && each.saturating_mul(bytes) <= COPIED
    }
}

#[derive(Clone, Copy)]
struct Size {
    /// Values in it, itself included.
    values: u64,
    /// Of its texts and names.
    bytes: u64,
    /// How deep.
    depth: u32,
}

impl Size {
    /// Depth is what the parser lets through.
    fn of(value: &Value) -> Self {
        let one = Self { values: 1, bytes: 0, depth: 0 };
        match value {
            Value::String(text) => one.with(text),
            Value::Array(items) => items.iter().fold(one, |all, item| all.and(Self::of(item))),
            Value::Object(members) => {
                members.iter().fold(one, |all, (name, member)| all.with(name).and(Self::of(member)))
            }
            _ => one,
        }
    }

    fn with(self, text: &str) -> Self {
        Self { bytes: self.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX)), ..self }
    }

    fn and(self, inner: Self) -> Self {
        Self {
            values: self.values.saturating_add(inner.values),
            bytes: self.bytes.saturating_add(inner.bytes),
            depth: self.depth.max(inner.depth + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checks(work: Work, value: &Value) -> bool {
        work.checks(Size::of(value))
    }

    fn explains(work: Work, value: &Value) -> bool {
        work.explains(Size::of(value))
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!({ "inner": inner }))
    }

    #[test]
    fn what_multiplies_is_not_explained_and_what_is_large_not_checked() {
        let plain = json!({ "type": "object", "properties": { "a": { "type": "array", "items": { "type": "integer" } } } });
        let work = Work::of(&plain, "").unwrap();
        let list = |number: u64| json!({ "a": (0..number).collect::<Vec<_>>() });
        assert!(
            checks(work, &list(1_000_000)) && explains(work, &list(1000)) && !explains(work, &list(100_000))
        );
        // A tree, as pydantic and zod make it.
        let branch = json!({ "type": "object", "properties": { "inner": { "$ref": "#/$defs/e" } } });
        let tree = json!({ "$ref": "#/$defs/e", "$defs": { "e": { "anyOf": [branch, branch, { "type": "string" }] } } });
        let work = Work::of(&tree, "").unwrap();
        assert!(explains(work, &nested(10)) && !explains(work, &nested(13)) && checks(work, &nested(120)));
        let kept = json!({ "$defs": { "a": plain["properties"]["a"], "b": { "$ref": "#/$defs/a" } } });
        let weights = ["", "/$defs/a", "/$defs/b"].map(|at| Work::of(&kept, at).unwrap().weight);
        assert_eq!(weights, [3, 2, 3], "what is referred to counts, and what is only kept does not");
        // Each error would have a copy of the text.
        let text = (0..5).fold(json!([" ".repeat(2 << 20)]), |inner, _| json!({ "inner": inner }));
        assert!(checks(work, &text) && !explains(work, &text));
        let many = vec![json!({ "type": "integer" }); 900];
        let work = Work::of(&json!({ "anyOf": many }), "").unwrap();
        assert!(explains(work, &json!(" ")) && !explains(work, &json!(" ".repeat(2 << 20))));
        // The same text, asked about by many patterns.
        let patterns = vec![json!({ "pattern": "^a+$" }); 20];
        let work = Work::of(&json!({ "allOf": patterns }), "").unwrap();
        assert!(checks(work, &json!("a".repeat(1 << 20))) && !checks(work, &json!("a".repeat(2 << 20))));
        // Long lists to compare with.
        let long = json!({ "items": { "enum": (0..10_000).collect::<Vec<_>>() } });
        let work = Work::of(&long, "").unwrap();
        assert!(checks(work, &json!([1, 2])) && !checks(work, &json!((0..100_000).collect::<Vec<_>>())));
        // What asks all again, in what does.
        let again = (0..25).fold(json!({}), |inner, _| {
            json!({ "anyOf": [{ "properties": { "inner": inner } }], "unevaluatedProperties": false })
        });
        assert!(!checks(Work::of(&again, "").unwrap(), &json!({})));
    }
}
