//! The judgement of a memory's schema, case by case.

use serde_json::{Value, json};

use super::{About, Dialect, Fault, judge};
use crate::schema::SCHEMAS_MAX;

fn note(schema: Value) -> Result<super::Declared, Fault> {
    let mut document = schema;
    document["title"] = json!("Note");
    judge(document.to_string().as_bytes(), "Note")
}

#[track_caller]
fn refused(schema: Value, what: &str) {
    let fault = note(schema).unwrap_err();
    assert!(fault.what.contains(what), "{}", fault.what);
    assert_eq!(fault.about, About::File);
    assert!(!fault.help.is_empty());
}

#[track_caller]
fn taken(schema: Value) {
    if let Err(fault) = note(schema) {
        panic!("{}", fault.what);
    }
}

const SEVEN: &str = "http://json-schema.org/draft-07/schema#";

#[test]
fn a_type_is_the_title_or_one_of_the_definitions() {
    let text = br#"{"title": "Notes", "$defs": {"Note": {}}, "definitions": {"Old": true}}"#;
    let pointer = |kind| judge(text, kind).map(|declared| declared.pointer);
    assert_eq!(pointer("Notes").unwrap(), "");
    assert_eq!(pointer("Note").unwrap(), "/$defs/Note");
    assert_eq!(pointer("Old").unwrap(), "/definitions/Old");
    assert_eq!(pointer("notes").unwrap_err().about, About::Type);
    let slash = judge(br#"{"$defs": {"a/b~c": {}}}"#, "a/b~c").unwrap();
    assert_eq!(slash.document.pointer(&slash.pointer), Some(&json!({})));
}

#[test]
fn a_name_that_two_types_have_or_no_reference_can_hold_is_refused() {
    for text in [
        r#"{"title": "Note", "$defs": {"Note": {}}}"#,
        r#"{"$defs": {"Note": {}}, "definitions": {"Note": {}}}"#,
    ] {
        assert!(judge(text.as_bytes(), "Note").unwrap_err().what.contains("more than one type"));
    }
    let fault = judge("{\"$defs\": {\"Nöte\": {}}}".as_bytes(), "Nöte").unwrap_err();
    assert_eq!(fault.about, About::Type);
}

#[test]
fn what_is_no_schema_at_all_is_refused() {
    for (text, what) in [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        (r#"{"title": "Note", "title": "Note"}"#, "twice in one object"),
        ("[]", "is not a JSON object"),
        ("true", "is not a JSON object"),
        ("\"Note\"", "is not a JSON object"),
    ] {
        assert!(judge(text.as_bytes(), "Note").unwrap_err().what.contains(what), "{text}");
    }
    let large = format!("{{\"title\": \"Note\", \"description\": \"{}\"}}", "x".repeat(super::SCHEMA_BYTES));
    assert!(judge(large.as_bytes(), "Note").unwrap_err().what.contains("larger than 1 MiB"));
}

#[test]
fn the_dialect_is_the_one_that_is_named_and_no_unknown_one() {
    assert_eq!(note(json!({})).unwrap().dialect, Dialect::Draft202012);
    assert_eq!(note(json!({"$schema": SEVEN})).unwrap().dialect, Dialect::Draft07);
    for other in ["https://json-schema.org/draft/2019-09/schema", "https://evil.example/schema", ""] {
        refused(json!({"$schema": other}), "is not supported");
    }
    refused(json!({"$schema": 7}), "is not supported");
    taken(json!({"prefixItems": [true]}));
    refused(json!({"$schema": SEVEN, "prefixItems": [true]}), "`prefixItems`");
    taken(json!({"format": "uuid"}));
    refused(json!({"$schema": SEVEN, "format": "uuid"}), "no format that is checked");
}

#[test]
fn a_keyword_that_nobody_checks_is_refused_with_what_was_meant() {
    let fault = note(json!({"properties": {"a": {"maxlength": 3}}})).unwrap_err();
    assert!(fault.what.contains("`maxlength` at `#/properties/a`"), "{}", fault.what);
    assert_eq!(fault.help, "did you mean `maxLength`?");
    for keyword in
        ["$anchor", "$dynamicRef", "$vocabulary", "discriminator", "additionalItems", "contentEncoding"]
    {
        refused(json!({keyword: "x"}), keyword);
    }
}

#[test]
fn a_keyword_has_the_shape_that_it_must_have() {
    for wrong in [
        json!({"type": "strin"}),
        json!({"type": []}),
        json!({"type": ["string", "string"]}),
        json!({"maxLength": -1}),
        json!({"maxLength": 1.5}),
        json!({"multipleOf": 0}),
        json!({"minimum": "1"}),
        json!({"required": ["a", "a"]}),
        json!({"required": "a"}),
        json!({"properties": []}),
        json!({"properties": {"a": 1}}),
        json!({"items": [true]}),
        json!({"allOf": []}),
        json!({"enum": "a"}),
        json!({"dependentRequired": {"a": [1]}}),
        json!({"uniqueItems": "yes"}),
        json!({"properties": {"a": {"$id": "x"}}}),
        json!({"description": 1}),
    ] {
        refused(wrong, "");
    }
    // Two of one name within a schema are of the schema's own, not keywords.
    taken(json!({"properties": {"maxlength": {"type": ["string", "null"]}, "$ref": true}}));
}

#[test]
fn nothing_is_referred_to_but_schemas_of_the_document() {
    taken(json!({"$defs": {"a": {}}, "properties": {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#"}}}));
    for outside in [
        "https://evil.example/s",
        "other.json",
        "file:///etc/passwd",
        "//h/x",
        "",
        "#name",
        "#/%24defs/a",
        "x#/a",
    ] {
        refused(json!({"$ref": outside}), "which is not in this document");
    }
    for nowhere in ["#/$defs/none", "#/enum/0", "#/title", "#/properties", "#/$defs/a~2b"] {
        refused(
            json!({"enum": [{}], "properties": {}, "items": {"$ref": nowhere}}),
            "where there is no schema",
        );
    }
}

#[test]
fn beside_a_reference_draft_07_would_ignore_conditions() {
    let beside = |dialect: &str| json!({"$schema": dialect, "definitions": {"a": {}}, "items": {"$ref": "#/definitions/a", "maxLength": 1}});
    refused(beside(SEVEN), "beside a `$ref`");
    taken(beside("https://json-schema.org/draft/2020-12/schema"));
}

#[test]
fn a_schema_that_never_goes_into_the_value_is_refused() {
    for endless in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"not": {"$ref": "#"}}]}),
        json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"if": true, "then": {"$ref": "#"}}),
        json!({"dependentSchemas": {"x": {"$ref": "#"}}}),
    ] {
        refused(endless, "without going into the value");
    }
    taken(json!({"type": ["object", "null"], "properties": {"next": {"$ref": "#"}}}));
}

#[test]
fn long_chains_wide_questions_and_many_schemas_are_refused() {
    let chain = |length: usize| {
        let links = (0..length).map(|link| {
            let next = if link + 1 == length {
                json!(true)
            } else {
                json!({"$ref": format!("#/$defs/{}", link + 1)})
            };
            (link.to_string(), next)
        });
        json!({"$defs": links.collect::<serde_json::Map<_, _>>()})
    };
    taken(chain(64));
    refused(chain(65), "a chain of more than 64");
    let wide = |levels: usize| {
        let levels = (0..levels).map(|level| {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            (level.to_string(), json!({"allOf": [next, next]}))
        });
        let mut all: serde_json::Map<_, _> = levels.collect();
        all.insert(all.len().to_string(), json!(true));
        json!({"$defs": all})
    };
    taken(wide(4));
    refused(wide(20), "more than 1000 schemas");
    let many = |count: usize| json!({"prefixItems": vec![true; count]});
    taken(many(SCHEMAS_MAX - 1));
    refused(many(SCHEMAS_MAX), "holds more than 1000 schemas");
}

#[test]
fn patterns_match_in_linear_time_and_bounded_space() {
    for pattern in ["^[a-z]+$", "a|b", r"^\d{4}-\d{2}$", "(?:x)*", "é+", "^$", ""] {
        taken(json!({"pattern": pattern}));
        taken(json!({"patternProperties": {pattern: true}}));
    }
    for pattern in ["(", "a**", r"(a)\1", "(?=a)", "(?<!a)b", "[", r"\", "(?i)a", &"a".repeat(2000)] {
        refused(json!({"pattern": pattern}), "a pattern that cannot be used");
        refused(json!({"patternProperties": {pattern: true}}), "a pattern that cannot be used");
    }
    refused(json!({"pattern": "(?:a{1000}){1000}"}), "come to more than 256 KiB");
    refused(json!({"pattern": 1}), "is not a pattern");
}
