//! Whether arguments and results fit the schema that a tool declares.

use agentfile::schema::{PATTERN_BYTES, Work};
use agentrc_service::channel::cut;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// A schema, ready to check values.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
    work: Work,
}

impl Schema {
    /// Of a schema that was judged already.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(schema: &Value) -> Result<Self, String> {
        let work = Work::of(schema, "").map_err(|fault| fault.what)?;
        // In the draft that it names itself; asks nobody, and matches in linear time.
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .build(schema)
            .map_err(|error| error.to_string())?;
        Ok(Self { validator, work })
    }

    /// Why a value does not fit, and where, as far as that can be said without end; `None` when it does.
    pub(crate) fn unfit(&self, value: &Value) -> Option<String> {
        self.work.unfit(value, || self.validator.is_valid(value), || self.explained(value), "it")
    }

    fn explained(&self, value: &Value) -> Option<String> {
        let error = self.validator.iter_errors(value).next()?;
        let place = error.instance_path().to_string();
        let at = if place.is_empty() { String::new() } else { format!("`{place}`: ") };
        // It quotes the value, which may be long.
        Some(cut(&format!("{at}{error}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A filter as pydantic and zod describe one, and a wrong one: each level has each branch say again what is wrong below it.
    #[test]
    fn a_deep_value_that_does_not_fit_costs_nothing() {
        let branch = |name: &str| json!({ "type": "object", "properties": { name: { "$ref": "#/$defs/e" } }, "required": [name] });
        let schema = json!({
            "$ref": "#/$defs/e",
            "$defs": { "e": { "anyOf": [branch("inner"), branch("inner"), { "type": "string" }] } },
        });
        let schema = Schema::of(&schema).unwrap();
        let nested = |depth: usize, leaf: Value| (0..depth).fold(leaf, |inner, _| json!({ "inner": inner }));
        assert_eq!(schema.unfit(&nested(100, json!("x"))), None);
        assert!(schema.unfit(&nested(100, json!(1))).unwrap().contains("too deep"));
        assert!(schema.unfit(&nested(2, json!(1))).unwrap().contains("is not valid"));
    }
}
