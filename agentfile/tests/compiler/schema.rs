//! The published schema of a plan and the types agree: every golden plan is valid, and the schema names nothing that none
//! of them has. The validator knows just the keywords that the schema uses, and refuses others.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::plans;

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/plan.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

struct Validator {
    root: Value,
    used: BTreeSet<String>,
}

impl Validator {
    fn check(&mut self, schema: &Map<String, Value>, at: &str, value: &Value) -> Result<(), String> {
        for (keyword, rule) in schema {
            let holds = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" => true,
                "$ref" => {
                    let name = rule.as_str().unwrap();
                    // A server's plan is a plan.
                    let target = self.root.pointer(name.strip_prefix('#').unwrap()).unwrap();
                    let (target, name) = (target.as_object().unwrap().clone(), name.replace("#/$defs/", ""));
                    self.check(&target, &name, value)?;
                    true
                }
                "type" => match rule {
                    Value::String(name) => is(value, name),
                    Value::Array(names) => names.iter().any(|name| is(value, name.as_str().unwrap())),
                    other => panic!("type {other}"),
                },
                "const" => value == rule,
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_u64() >= rule.as_u64(),
                "pattern" => {
                    assert_eq!(rule, "^[0-9a-f]{64}$", "the one pattern that this test knows");
                    let text = value.as_str().unwrap_or_default();
                    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        let rule = rule.as_object().unwrap().clone();
                        self.check(&rule, &format!("{at}[]"), item)
                            .map_err(|why| format!("{index}: {why}"))?;
                    }
                    true
                }
                "required" => {
                    rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
                }
                "additionalProperties" => {
                    assert_eq!(rule, &Value::Bool(false));
                    let known = schema["properties"].as_object().unwrap();
                    value.as_object().unwrap().keys().all(|name| known.contains_key(name))
                }
                "properties" => {
                    for (name, rule) in rule.as_object().unwrap() {
                        if let Some(member) = value.get(name) {
                            let place = format!("{at}/{name}");
                            let rule = rule.as_object().unwrap().clone();
                            self.check(&rule, &place, member).map_err(|why| format!("{name}: {why}"))?;
                            self.used.insert(place);
                        }
                    }
                    true
                }
                "oneOf" => {
                    let mut valid = 0;
                    for (index, rule) in rule.as_array().unwrap().iter().enumerate() {
                        let used = self.used.clone();
                        let rule = rule.as_object().unwrap().clone();
                        if self.check(&rule, &format!("{at}|{index}"), value).is_ok() {
                            valid += 1;
                        } else {
                            self.used = used;
                        }
                    }
                    valid == 1
                }
                other => panic!("the schema uses `{other}`, which this test does not know"),
            };
            if !holds {
                return Err(format!("{at}: {keyword} {rule} does not hold for {value}"));
            }
        }
        Ok(())
    }
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    }
}

/// Every property that the schema names, in the way that the validator names places.
fn properties(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    for (name, rule) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let place = format!("{at}/{name}");
        properties(rule, &place, found);
        found.insert(place);
    }
    if let Some(items) = schema.get("items") {
        properties(items, &format!("{at}[]"), found);
    }
    for (index, rule) in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten().enumerate() {
        properties(rule, &format!("{at}|{index}"), found);
    }
    for (name, rule) in schema.get("$defs").and_then(Value::as_object).into_iter().flatten() {
        properties(rule, name, found);
    }
}

#[test]
fn every_plan_is_valid_and_every_property_is_used() {
    let root = schema();
    let top = root.as_object().unwrap().clone();
    let mut validator = Validator { root: root.clone(), used: BTreeSet::new() };
    for (name, plan) in plans::all() {
        let value = serde_json::to_value(&plan).unwrap();
        validator.check(&top, "", &value).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    let mut named = BTreeSet::new();
    properties(&root, "", &mut named);
    let unused: Vec<_> = named.difference(&validator.used).collect();
    assert!(unused.is_empty(), "no golden plan has {unused:?}");
}

#[test]
fn a_plan_with_an_unknown_or_missing_field_is_not_valid() {
    let root = schema();
    let top = root.as_object().unwrap().clone();
    let minimal = serde_json::to_value(plans::all().remove("minimal").unwrap()).unwrap();
    let mut validator = Validator { root, used: BTreeSet::new() };
    let mut refused = |change: &dyn Fn(&mut Value)| {
        let mut value = minimal.clone();
        change(&mut value);
        assert!(validator.check(&top, "", &value).is_err());
        assert!(
            serde_json::from_value::<agentfile::plan::Plan>(value).is_err(),
            "the type takes what the schema does not"
        );
    };
    refused(&|value| value["extra"] = Value::Null);
    refused(&|value| value["mounts"][0]["extra"] = Value::Null);
    refused(&|value| value["mounts"][0]["source"]["kind"] = "other".into());
    refused(&|value| {
        value.as_object_mut().unwrap().remove("seccomp");
    });
    refused(&|value| value["audit"]["level"] = "none".into());
}
