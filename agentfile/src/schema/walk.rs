//! One walk over a schema: each keyword is known and has the shape that it must have, and each reference stays inside.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::graph::{Graph, Weight};
use super::keyword::{self, Shape, Use};
use super::{Dialect, Fault, pattern};

/// All schemas of `document`.
pub(super) fn walk(document: &Value, dialect: Dialect) -> Result<Graph, Fault> {
    let mut walk = Walk { dialect, graph: Graph::default(), inner: 0 };
    walk.schema(document, "")?;
    Ok(walk.graph)
}

/// A name as a part of a JSON pointer (RFC 6901).
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Whether a pointer can be written behind `#` as it is (RFC 3986, section 3.5, without percent-encoding).
pub(crate) fn is_fragment(pointer: &str) -> bool {
    pointer.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte))
}

/// What a pattern weighs: as many looks at each part of a text.
const PATTERN: u64 = 200;

struct Walk {
    dialect: Dialect,
    graph: Graph,
    /// What the schemas in the one that is looked at weigh.
    inner: u64,
}

impl Walk {
    /// What it weighs, with those in it.
    fn schema(&mut self, schema: &Value, at: &str) -> Result<u64, Fault> {
        self.graph.add(at)?;
        let outer = std::mem::take(&mut self.inner);
        self.members(schema, at)?;
        let inner = std::mem::replace(&mut self.inner, outer);
        let number = |name| match schema.get(name) {
            Some(Value::Array(listed)) => listed.len(),
            Some(Value::Object(named)) => named.len(),
            _ => 0,
        };
        let number = |name| u64::try_from(number(name)).unwrap_or(u64::MAX);
        let one_of = |names: &[&str]| u64::from(names.iter().any(|name| schema.get(name).is_some()));
        let unevaluated = one_of(&["unevaluatedItems", "unevaluatedProperties"]);
        // To find out what is evaluated, all of it is asked again.
        let times = 1 + unevaluated;
        let inwards = one_of(&["properties", "additionalProperties"])
            + one_of(&["items", "prefixItems"])
            + one_of(&["contains"])
            + number("patternProperties")
            + unevaluated;
        let dependent = schema.get("dependentRequired").and_then(Value::as_object);
        let dependent =
            dependent.into_iter().flatten().map(|(_, list)| list.as_array().map_or(0, Vec::len) + 1);
        let dependent = u64::try_from(dependent.sum::<usize>()).unwrap_or(u64::MAX);
        let patterns = PATTERN * (one_of(&["pattern"]) + number("patternProperties"));
        let compared = 1 + patterns + number("enum") + number("required") + dependent;
        let all = inner.saturating_mul(times).saturating_add(compared);
        self.graph.weigh(at, Weight { all, inwards: inwards.saturating_mul(times) });
        Ok(all)
    }

    fn members(&mut self, schema: &Value, at: &str) -> Result<(), Fault> {
        let members = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(members) => members,
            _ => return Err(wrong(at, "is not a schema", "a schema is an object, `true` or `false`")),
        };
        for (keyword, value) in members {
            let place = format!("{at}/{}", escaped(keyword));
            let Some(shape) = keyword::shape(keyword, self.dialect) else {
                return Err(self.unknown(keyword, at));
            };
            if members.contains_key("$ref") && !keyword::may_stand_beside_reference(keyword, self.dialect) {
                let what = "stands beside a `$ref`, where draft-07 ignores it";
                return Err(wrong(&place, what, "put both into an `allOf`"));
            }
            self.keyword(shape, value, at, &place)?;
        }
        Ok(())
    }

    fn unknown(&self, keyword: &str, at: &str) -> Fault {
        let help = match keyword::near(keyword, self.dialect) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "remove it: what nobody checks must not look like a condition".to_owned(),
        };
        Fault::new(format!("has `{keyword}` at `#{at}`, which is no keyword that is checked"), help)
    }

    fn keyword(&mut self, shape: Shape, value: &Value, at: &str, place: &str) -> Result<(), Fault> {
        let must = |fits: bool, what: &str| {
            let help = format!("write {what}");
            if fits { Ok(()) } else { Err(wrong(place, &format!("is not {what}"), help)) }
        };
        match shape {
            Shape::Anything => Ok(()),
            Shape::Text => must(value.is_string(), "a text"),
            Shape::RootText => must(value.is_string() && at.is_empty(), "a text at the top of the document"),
            Shape::Boolean => must(value.is_boolean(), "`true` or `false`"),
            Shape::List => must(value.is_array(), "a list"),
            Shape::Count => must(value.is_u64(), "an integer, 0 or more"),
            Shape::Number => must(value.is_number(), "a number"),
            Shape::Positive => {
                must(value.as_f64().is_some_and(|number| number > 0.0), "a number greater than 0")
            }
            Shape::Types => {
                let one = std::slice::from_ref(value);
                let list = value.as_array().map_or(one, Vec::as_slice);
                let known = |name: &str| keyword::TYPES.contains(&name);
                must(!list.is_empty() && unique(list, known), "a type of JSON, or a list of them")
            }
            Shape::Names => {
                must(value.as_array().is_some_and(|list| unique(list, |_| true)), "a list of different names")
            }
            Shape::NameLists => must(
                value.as_object().is_some_and(|lists| {
                    lists.values().all(|list| list.as_array().is_some_and(|list| unique(list, |_| true)))
                }),
                "an object with lists of different names",
            ),
            Shape::Format => match value.as_str() {
                Some(format) if keyword::is_format(format, self.dialect) => Ok(()),
                _ => Err(wrong(
                    place,
                    &format!("is {value}, which is no format that is checked"),
                    format!("write one of {}", keyword::formats(self.dialect)),
                )),
            },
            Shape::Pattern => {
                value.as_str().map_or_else(|| must(false, "a pattern"), |text| is_pattern(text, place))
            }
            Shape::Reference => self.reference(value, at, place),
            Shape::Schema(used) => self.sub(value, used, at, place),
            Shape::Schemas(used) => {
                let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
                must(!list.is_empty(), "a list of schemas")?;
                list.iter()
                    .enumerate()
                    .try_for_each(|(index, schema)| self.sub(schema, used, at, &format!("{place}/{index}")))
            }
            Shape::SchemaMap(used) => {
                let Value::Object(schemas) = value else { return must(false, "an object with schemas") };
                self.all(schemas, used, at, place)
            }
            Shape::PatternMap => {
                let Value::Object(schemas) = value else { return must(false, "an object with schemas") };
                schemas.keys().try_for_each(|text| is_pattern(text, place))?;
                self.all(schemas, Use::Below, at, place)
            }
        }
    }

    fn all(&mut self, schemas: &Map<String, Value>, used: Use, at: &str, place: &str) -> Result<(), Fault> {
        schemas
            .iter()
            .try_for_each(|(name, schema)| self.sub(schema, used, at, &format!("{place}/{}", escaped(name))))
    }

    fn sub(&mut self, schema: &Value, used: Use, at: &str, place: &str) -> Result<(), Fault> {
        if used == Use::Here {
            self.graph.ask(at, place.to_owned());
        }
        let weight = self.schema(schema, place)?;
        if used != Use::Kept {
            self.inner = self.inner.saturating_add(weight);
        }
        Ok(())
    }

    fn reference(&mut self, value: &Value, at: &str, place: &str) -> Result<(), Fault> {
        let pointer = value.as_str().and_then(|text| text.strip_prefix('#'));
        match pointer {
            Some(pointer) if (pointer.is_empty() || pointer.starts_with('/')) && is_fragment(pointer) => {
                self.graph.refer(at, pointer);
                Ok(())
            }
            _ => Err(wrong(
                place,
                &format!("is {value}, which is not in this document"),
                "nothing is fetched: write what it refers to into `$defs`, and `#/$defs/Name`",
            )),
        }
    }
}

/// Whether these are texts, each of them once, that `fits` takes.
fn unique(list: &[Value], fits: impl Fn(&str) -> bool) -> bool {
    let names: BTreeSet<_> = list.iter().filter_map(Value::as_str).filter(|name| fits(name)).collect();
    names.len() == list.len()
}

fn is_pattern(text: &str, place: &str) -> Result<(), Fault> {
    match pattern::fault(text) {
        None => Ok(()),
        Some(why) => Err(wrong(
            place,
            &format!("has a pattern that cannot be used: {why}"),
            "write it without looking around and back-references, and with smaller repetitions",
        )),
    }
}

fn wrong(place: &str, what: &str, help: impl Into<String>) -> Fault {
    Fault::new(format!("has something wrong at `#{place}`: it {what}"), help)
}
