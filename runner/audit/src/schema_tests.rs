//! The published schema and the types agree: every line that we write is valid, and the schema names nothing that we
//! never write. The validator below knows just the keywords that the schema uses, and refuses others.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::event::samples;
use crate::line::{Body, Checkpoint, Digest, Line, now};

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/audit-event.schema.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn written() -> Vec<Value> {
    let checkpoint = Checkpoint { last: true, key_id: "ab".repeat(16), signature: "cd".repeat(64) };
    let bodies = samples().into_iter().map(Body::Event).chain([Body::Checkpoint { checkpoint }]);
    let line = |body| Line { seq: 0, time: now(), run: "r".into(), prev: Digest::ZERO, body };
    bodies.map(|body| serde_json::to_value(line(body)).unwrap()).collect()
}

struct Validator<'a> {
    root: &'a Value,
    /// Every `(place in the schema, property)` that was used.
    used: BTreeSet<(String, String)>,
}

impl Validator<'_> {
    /// The properties of `value` that `schema` speaks of, or what is wrong with it.
    fn check(&mut self, schema: &Value, at: &str, value: &Value) -> Result<BTreeSet<String>, String> {
        let schema = schema.as_object().unwrap();
        let mut known = BTreeSet::new();
        for (keyword, rule) in schema {
            match keyword.as_str() {
                "$schema" | "$id" | "title" | "description" | "$defs" | "unevaluatedProperties" => {}
                "$ref" => {
                    let place = rule.as_str().unwrap();
                    let target = self.root.pointer(place.strip_prefix('#').unwrap()).unwrap();
                    known.extend(self.check(target, place, value)?);
                }
                "type" => {
                    let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                    let is = match value {
                        Value::Null => "null",
                        Value::Bool(_) => "boolean",
                        Value::Number(number) if number.is_f64() => "number",
                        Value::Number(_) => "integer",
                        Value::String(_) => "string",
                        Value::Array(_) => "array",
                        Value::Object(_) => "object",
                    };
                    ensure(types.iter().any(|kind| kind == is), || format!("{at}: {value} is not {rule}"))?;
                }
                "const" => ensure(value == rule, || format!("{at}: {value} is not {rule}"))?,
                "minimum" => {
                    ensure(value.as_i64() >= rule.as_i64(), || format!("{at}: {value} below {rule}"))?
                }
                "pattern" => {
                    ensure(matches(rule.as_str().unwrap(), value.as_str().unwrap()), || {
                        format!("{at}: {value} not {rule}")
                    })?;
                }
                "required" => {
                    for name in rule.as_array().unwrap() {
                        let there = value.get(name.as_str().unwrap()).is_some();
                        ensure(there, || format!("{at}: {name} is missing in {value}"))?;
                    }
                }
                "properties" => {
                    for (name, schema) in rule.as_object().unwrap() {
                        if let Some(member) = value.get(name) {
                            self.check(schema, &format!("{at}/{name}"), member)?;
                            self.used.insert((at.to_owned(), name.clone()));
                            known.insert(name.clone());
                        }
                    }
                }
                "additionalProperties" => {
                    for (name, member) in value.as_object().unwrap() {
                        self.check(rule, &format!("{at}/*"), member)?;
                        known.insert(name.clone());
                    }
                }
                "items" => {
                    for item in value.as_array().unwrap() {
                        self.check(rule, &format!("{at}[]"), item)?;
                    }
                }
                "oneOf" => {
                    let (mut found, mut why) = (Vec::new(), Vec::new());
                    for choice in rule.as_array().unwrap() {
                        let used = self.used.clone();
                        match self.check(choice, at, value) {
                            Ok(names) => found.push(names),
                            Err(error) => {
                                self.used = used;
                                why.push(error);
                            }
                        }
                    }
                    ensure(found.len() == 1, || format!("{at}: {} of oneOf match: {why:?}", found.len()))?;
                    known.extend(found.remove(0));
                }
                other => panic!("the schema uses `{other}`, which this test does not know"),
            }
        }
        if schema.get("unevaluatedProperties") == Some(&Value::Bool(false)) {
            let unknown = value.as_object().unwrap().keys().find(|name| !known.contains(*name));
            ensure(unknown.is_none(), || format!("{at}: {unknown:?} is not in the schema"))?;
        }
        Ok(known)
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// The few patterns of the schema: `[set]{n}` and literal characters, anchored.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.strip_prefix('^').unwrap().strip_suffix('$').unwrap();
    let mut text = text.chars();
    while let Some(first) = pattern.chars().next() {
        if first == '[' {
            let (set, rest) = pattern[1..].split_once(']').unwrap();
            let (count, rest) = rest.strip_prefix('{').unwrap().split_once('}').unwrap();
            let set = |c: char| match set {
                "0-9" => c.is_ascii_digit(),
                "0-9a-f" => c.is_ascii_digit() || ('a'..='f').contains(&c),
                other => panic!("unknown set {other}"),
            };
            for _ in 0..count.parse::<u32>().unwrap() {
                if !text.next().is_some_and(set) {
                    return false;
                }
            }
            pattern = rest;
        } else {
            let literal = pattern.strip_prefix('\\').unwrap_or(pattern);
            let wanted = literal.chars().next().unwrap();
            if text.next() != Some(wanted) {
                return false;
            }
            pattern = &literal[wanted.len_utf8()..];
        }
    }
    text.next().is_none()
}

fn check(value: &Value) -> Result<(), String> {
    let root = schema();
    Validator { root: &root, used: BTreeSet::new() }.check(&root, "#", value).map(drop)
}

/// Every `(place, property)` of the schema, places as the validator names them.
fn all_properties(schema: &Value, at: &str, out: &mut BTreeSet<(String, String)>) {
    let Some(object) = schema.as_object() else { return };
    for (name, member) in object.get("properties").and_then(Value::as_object).unwrap_or(&Map::new()) {
        out.insert((at.to_owned(), name.clone()));
        all_properties(member, &format!("{at}/{name}"), out);
    }
    if let Some(items) = object.get("items") {
        all_properties(items, &format!("{at}[]"), out);
    }
    for (name, member) in object.get("$defs").and_then(Value::as_object).unwrap_or(&Map::new()) {
        all_properties(member, &format!("#/$defs/{name}"), out);
    }
}

#[test]
fn every_line_that_is_written_is_valid() {
    for line in written() {
        check(&line).unwrap();
    }
}

#[test]
fn the_schema_names_nothing_that_is_never_written() {
    let root = schema();
    let mut validator = Validator { root: &root, used: BTreeSet::new() };
    for line in written() {
        validator.check(&root, "#", &line).unwrap();
    }
    let mut named = BTreeSet::new();
    all_properties(&root, "#", &mut named);
    assert_eq!(named, validator.used);
}

#[test]
fn every_member_is_required_and_no_other_is_valid() {
    fn each(value: &Value, path: &str, f: &mut dyn FnMut(&str, &str)) {
        if let Value::Object(members) = value {
            for (name, member) in members {
                f(path, name);
                if name != "read_back" {
                    each(member, &format!("{path}/{name}"), f);
                }
            }
        } else if let Value::Array(items) = value {
            for (at, item) in items.iter().enumerate() {
                each(item, &format!("{path}/{at}"), f);
            }
        }
    }
    for line in written() {
        let mut places = Vec::new();
        each(&line, "", &mut |path, name| places.push((path.to_owned(), name.to_owned())));
        for (path, name) in places {
            let mut changed = line.clone();
            let object = changed.pointer_mut(&path).unwrap().as_object_mut().unwrap();
            let value = object.remove(&name).unwrap();
            assert!(check(&changed).is_err(), "{path}/{name} is not required");
            changed.pointer_mut(&path).unwrap().as_object_mut().unwrap().insert(format!("{name}_"), value);
            assert!(check(&changed).is_err(), "{path}/{name}_ is allowed");
        }
    }
}

#[test]
fn a_line_of_a_wrong_form_is_not_valid() {
    let mut line = written().remove(0);
    for (name, value) in [("seq", Value::from(-1)), ("prev", "AB".repeat(32).into()), ("event", "x".into())] {
        let right = line[name].take();
        line[name] = value;
        assert!(check(&line).is_err(), "{name}");
        line[name] = right;
    }
    check(&line).unwrap();
}
