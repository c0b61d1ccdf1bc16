//! What `agentrc check` takes for the schema of a memory (`E076`), the store takes, and the other way round.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use agentfile::memory::judge;
use agentrc_memory::Schema;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

/// The one direction is by construction: the store asks the compiler's judgement first. The other is that the validator,
/// which has an opinion of its own on what is a schema, finds nothing after it.
#[track_caller]
fn agree(document: &Value) -> bool {
    let text = document.to_string();
    let judged = judge(text.as_bytes(), "Note");
    let compiled = Schema::compile(text.as_bytes(), "Note");
    match (&judged, &compiled) {
        (Ok(_), Ok(_)) => true,
        (Err(_), Err(_)) => false,
        _ => panic!("the compiler says {:?}, the store {:?}, of {text}", judged.err(), compiled.err()),
    }
}

/// How many documents are judged.
const CASES: usize = 4000;

/// All keywords that there are in any dialect, and some that are in none.
const KEYWORDS: &[&str] = &[
    "$schema",
    "$id",
    "$ref",
    "$defs",
    "definitions",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "readOnly",
    "writeOnly",
    "deprecated",
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "minimum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "format",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxContains",
    "minContains",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
    "items",
    "prefixItems",
    "contains",
    "unevaluatedItems",
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$vocabulary",
    "dependencies",
    "additionalItems",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "discriminator",
    "nullable",
];

const SCHEMAS: &[&str] = &[
    "https://json-schema.org/draft/2020-12/schema",
    "http://json-schema.org/draft-07/schema#",
    "http://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-04/schema#",
];

const FORMATS: &[&str] = &[
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "iri",
    "uuid",
    "json-pointer",
    "relative-json-pointer",
    "regex",
    "binary",
    "password",
];

fn pattern() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "a",
        "é",
        ".",
        "^",
        "$",
        "[a-z]",
        "[^a]",
        "[]",
        "[]a]",
        "[a&&b]",
        "[[:alpha:]]",
        "[a--b]",
        "\\d",
        "\\w",
        "\\S",
        "\\b",
        "\\B",
        "\\A",
        "\\z",
        "\\cA",
        "\\x41",
        "\\u0041",
        "\\u{41}",
        "\\p{L}",
        "\\p{Nope}",
        "\\-",
        "\\/",
        "\\<",
        "\\_",
        "\\1",
        "\\0",
        "(a)",
        "(?:a)",
        "(?i)",
        "(?i:a)",
        "(?<n>a)",
        "(?P<n>a)",
        "(?=a)",
        "(?x: a)",
        "|",
        "*",
        "+",
        "?",
        "{2}",
        "{2,1}",
        "{,3}",
        "{",
        "}",
        "]",
        ")",
        "(",
        "{1000}",
        "\\",
        "\u{0}",
        "-",
        "#",
    ]);
    prop::collection::vec(atom, 0..5).prop_map(|atoms| atoms.concat())
}

/// What stands behind a keyword: fitting more often than not.
fn behind(keyword: &'static str, schema: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let text = "[a-zA-Z#/$.:~%]{0,6}".prop_map(Value::from).boxed();
    let number = prop_oneof![
        (0..5_u64).prop_map(|count| json!(count)),
        (-2.0..4.0_f64).prop_map(|number| json!(number)),
        Just(json!(1e300)),
        Just(json!(2.0)),
    ]
    .boxed();
    let names = prop::collection::vec("[ab]{1,2}", 0..3);
    let odd =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number.clone(), text.clone()];
    let schemas = prop::collection::vec(schema.clone(), 0..3);
    let map = prop::collection::btree_map("[a-b/~ %é]{1,2}|Note", schema.clone(), 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    let right = match keyword {
        "$schema" => prop::sample::select(SCHEMAS).prop_map(Value::from).boxed(),
        "$ref" | "$dynamicRef" => prop_oneof![
            Just("#".to_owned()),
            "#/\\$defs/[ab]",
            "#/definitions/[ab]",
            "#/properties/[ab]",
            Just("#/items".to_owned()),
            Just("https://h.example/s".to_owned()),
            "#?[a-z/%~$ é]{0,6}",
        ]
        .prop_map(Value::from)
        .boxed(),
        "$defs" | "definitions" | "properties" | "dependentSchemas" | "dependencies" => map.boxed(),
        "patternProperties" => prop::collection::btree_map(pattern(), schema.clone(), 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
            .boxed(),
        "pattern" => pattern().prop_map(Value::from).boxed(),
        "format" => prop::sample::select(FORMATS).prop_map(Value::from).boxed(),
        "type" => prop::sample::subsequence(
            vec!["array", "boolean", "integer", "null", "number", "object", "string", "strin"],
            0..3,
        )
        .prop_map(|types| if let [one] = types.as_slice() { json!(one) } else { json!(types) })
        .boxed(),
        "required" => names.prop_map(|names| json!(names)).boxed(),
        "dependentRequired" => {
            prop::collection::btree_map("[ab]", names, 0..2).prop_map(|map| json!(map)).boxed()
        }
        "enum" | "examples" => prop::collection::vec(odd.clone(), 0..3).prop_map(Value::from).boxed(),
        "prefixItems" | "allOf" | "anyOf" | "oneOf" => schemas.prop_map(Value::from).boxed(),
        "items"
        | "contains"
        | "unevaluatedItems"
        | "additionalProperties"
        | "unevaluatedProperties"
        | "propertyNames"
        | "not"
        | "if"
        | "then"
        | "else"
        | "additionalItems"
        | "contentSchema" => schema.boxed(),
        "uniqueItems" | "readOnly" | "writeOnly" | "deprecated" => {
            any::<bool>().prop_map(Value::from).boxed()
        }
        "$comment" | "title" | "description" | "$id" | "$anchor" => text.clone(),
        _ => number,
    };
    prop_oneof![8 => right, 1 => odd].boxed()
}

fn members(schema: BoxedStrategy<Value>, most: usize) -> impl Strategy<Value = Map<String, Value>> {
    let member = prop::sample::select(KEYWORDS).prop_flat_map(move |keyword| {
        behind(keyword, schema.clone()).prop_map(move |value| (keyword.to_owned(), value))
    });
    prop::collection::vec(member, 0..most).prop_map(|members| members.into_iter().collect())
}

fn schema() -> BoxedStrategy<Value> {
    let leaf =
        prop_oneof![any::<bool>().prop_map(Value::from), Just(json!({})), Just(json!({"type": "string"}))];
    leaf.prop_recursive(3, 12, 3, |inner| members(inner.boxed(), 3).prop_map(Value::Object)).boxed()
}

fn document() -> impl Strategy<Value = Value> {
    (members(schema(), 4), prop_oneof![3 => Just(None), 1 => prop::sample::select(SCHEMAS).prop_map(Some)], any::<bool>())
        .prop_map(|(mut members, dialect, definition)| {
            if let Some(dialect) = dialect {
                members.insert("$schema".to_owned(), json!(dialect));
            }
            if definition {
                members.remove("title");
                json!({"$schema": members.remove("$schema").unwrap_or(json!(SCHEMAS[0])), "$defs": {"Note": members}})
            } else {
                members.insert("title".to_owned(), json!("Note"));
                Value::Object(members)
            }
        })
}

/// Both judge `CASES` values of `strategy`; how many are taken.
fn taken(strategy: impl Strategy<Value = Value>) -> usize {
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    (0..CASES).filter(|_| agree(&strategy.new_tree(&mut runner).unwrap().current())).count()
}

#[test]
fn the_validator_refuses_nothing_that_the_compiler_takes() {
    let taken = taken(document());
    assert!(
        (CASES / 20..CASES * 19 / 20).contains(&taken),
        "{taken} of {CASES}: this compares hardly anything"
    );
}

#[test]
fn patterns_are_taken_by_both_or_by_none() {
    let schemas = pattern().prop_map(|pattern| json!({"title": "Note", "pattern": pattern}));
    let named = pattern().prop_map(
        |pattern| json!({"title": "Note", "$schema": SCHEMAS[1], "patternProperties": {pattern.as_str(): true}}),
    );
    for taken in [taken(schemas), taken(named)] {
        assert!(
            (CASES / 20..CASES * 19 / 20).contains(&taken),
            "{taken} of {CASES}: this compares hardly anything"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken_or_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(judge(&bytes, "Note").is_ok(), Schema::compile(&bytes, "Note").is_ok());
    }
}

#[test]
fn every_keyword_and_format_of_both_dialects_is_taken_by_both() {
    let later = json!({
        "title": "Note", "$id": "https://h.example/note.json", "$comment": "c", "type": "object", "default": {}, "examples": [{}],
        "readOnly": false, "writeOnly": false, "deprecated": false, "minProperties": 0, "maxProperties": 9, "required": ["a"],
        "dependentRequired": {"a": ["b"]}, "dependentSchemas": {"a": true}, "propertyNames": {"maxLength": 9},
        "properties": {
            "a": {"type": ["string", "null"], "minLength": 0, "maxLength": 9, "pattern": "^a", "format": "date"},
            "b": {"type": "number", "multipleOf": 0.5, "minimum": 0, "maximum": 9, "exclusiveMinimum": -1, "exclusiveMaximum": 10},
            "c": {"type": "array", "prefixItems": [true], "items": {"$ref": "#/$defs/d"}, "contains": true, "minContains": 0,
                "maxContains": 9, "minItems": 0, "maxItems": 9, "uniqueItems": true, "unevaluatedItems": false},
        },
        "patternProperties": {"^x": {"enum": [1, "a", null]}}, "additionalProperties": {"const": 1}, "unevaluatedProperties": false,
        "allOf": [true], "anyOf": [true], "oneOf": [true], "not": false, "if": true, "then": true, "else": true,
        "$defs": {"d": {"description": "d"}}, "definitions": {"e": {}},
    });
    assert!(agree(&later));
    let seven = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/N", "title": "Note",
        "definitions": {"N": {"type": "object", "properties": {"a": {"$ref": "#/$defs/M"}}}}, "$defs": {"M": {"format": "ipv4"}},
    });
    assert!(agree(&seven));
    for format in [
        "date",
        "time",
        "date-time",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "json-pointer",
    ] {
        assert!(agree(&json!({"title": "Note", "$schema": SCHEMAS[1], "format": format})), "{format}");
        assert!(agree(&json!({"title": "Note", "format": format})), "{format}");
        let text = format!(r#"{{"title": "Note", "format": "{format}"}}"#);
        let schema = Schema::compile(text.as_bytes(), "Note").unwrap();
        assert!(schema.unfit(&json!("not: a #%^ {format}\n")).is_some(), "{format} is not checked");
    }
}

#[test]
fn the_largest_schema_and_the_deepest_value_need_no_more_stack_than_a_thread_has() {
    // A chain through as many schemas as there may be, each of them one step into the value; at each step as many
    // questions in a row as there may be.
    let steps: Map<String, Value> = (0..400)
        .map(|step| {
            let next = json!({"$ref": format!("#/$defs/{}", (step + 1) % 400)});
            (step.to_string(), json!({"properties": {"a": next}}))
        })
        .collect();
    let mut long = json!({"title": "Note", "$ref": "#/$defs/0", "$defs": steps});
    assert!(agree(&long));
    let nest = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let compiled = Schema::compile(long.to_string().as_bytes(), "Note").unwrap();
    assert_eq!(compiled.unfit(&nest(120)), None);

    let mut questions: Map<String, Value> =
        (0..60).map(|link| (link.to_string(), json!({"$ref": format!("#/$defs/{}", link + 1)}))).collect();
    questions
        .insert("60".to_owned(), json!({"type": ["object", "integer"], "properties": {"a": {"$ref": "#"}}}));
    long = json!({"title": "Note", "$ref": "#/$defs/0", "$defs": questions});
    let compiled = Schema::compile(long.to_string().as_bytes(), "Note").unwrap();
    assert_eq!(compiled.unfit(&nest(120)), None);
    assert!(compiled.unfit(&json!({"a": {"a": "x"}})).unwrap().starts_with("`/a/a`: "));
}
