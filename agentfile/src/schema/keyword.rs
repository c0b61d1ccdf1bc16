//! The keywords of a package's schema, and what may stand behind each: JSON Schema 2020-12 and draft-07.

use super::Dialect;

/// How a subschema is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// On the same value.
    Here,
    /// On something inside the value.
    Below,
    /// Only where a reference leads to it.
    Kept,
}

/// What may stand behind a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Anything,
    Text,
    Boolean,
    List,
    /// An integer, not below zero.
    Count,
    Number,
    /// A number above zero.
    Positive,
    Pattern,
    Format,
    /// One of JSON's types, or several, each once.
    Types,
    /// Texts, each once.
    Names,
    /// Lists of names by a name.
    NameLists,
    Schema(Use),
    Schemas(Use),
    SchemaMap(Use),
    /// As `SchemaMap(Below)`, by a pattern.
    PatternMap,
    Reference,
    /// Only at the root of the document: `$schema`, `$id`.
    RootText,
}

/// In which dialects there is something.
type In = &'static [Dialect];
const BOTH: In = &[Dialect::Draft07, Dialect::Draft202012];
const LATER: In = &[Dialect::Draft202012];

/// All keywords. Not here, and therefore refused: what names a place by another way than a pointer in this document
/// (`$anchor`, `$dynamicRef`, nested `$id`, `$vocabulary`), what draft-07 has under a name with another meaning now (lists
/// behind `items`, `additionalItems`, `dependencies`), and content encodings, which one dialect checks and one does not.
const KEYWORDS: &[(&str, In, Shape)] = &[
    ("$schema", BOTH, Shape::RootText),
    ("$id", BOTH, Shape::RootText),
    ("$ref", BOTH, Shape::Reference),
    ("$defs", BOTH, Shape::SchemaMap(Use::Kept)),
    ("definitions", BOTH, Shape::SchemaMap(Use::Kept)),
    ("$comment", BOTH, Shape::Text),
    ("title", BOTH, Shape::Text),
    ("description", BOTH, Shape::Text),
    ("default", BOTH, Shape::Anything),
    ("examples", BOTH, Shape::List),
    ("readOnly", BOTH, Shape::Boolean),
    ("writeOnly", BOTH, Shape::Boolean),
    ("deprecated", LATER, Shape::Boolean),
    ("type", BOTH, Shape::Types),
    ("enum", BOTH, Shape::List),
    ("const", BOTH, Shape::Anything),
    ("multipleOf", BOTH, Shape::Positive),
    ("maximum", BOTH, Shape::Number),
    ("minimum", BOTH, Shape::Number),
    ("exclusiveMaximum", BOTH, Shape::Number),
    ("exclusiveMinimum", BOTH, Shape::Number),
    ("maxLength", BOTH, Shape::Count),
    ("minLength", BOTH, Shape::Count),
    ("pattern", BOTH, Shape::Pattern),
    ("format", BOTH, Shape::Format),
    ("maxItems", BOTH, Shape::Count),
    ("minItems", BOTH, Shape::Count),
    ("uniqueItems", BOTH, Shape::Boolean),
    ("maxContains", LATER, Shape::Count),
    ("minContains", LATER, Shape::Count),
    ("maxProperties", BOTH, Shape::Count),
    ("minProperties", BOTH, Shape::Count),
    ("required", BOTH, Shape::Names),
    ("dependentRequired", LATER, Shape::NameLists),
    ("items", BOTH, Shape::Schema(Use::Below)),
    ("prefixItems", LATER, Shape::Schemas(Use::Below)),
    ("contains", BOTH, Shape::Schema(Use::Below)),
    ("unevaluatedItems", LATER, Shape::Schema(Use::Below)),
    ("properties", BOTH, Shape::SchemaMap(Use::Below)),
    ("patternProperties", BOTH, Shape::PatternMap),
    ("additionalProperties", BOTH, Shape::Schema(Use::Below)),
    ("unevaluatedProperties", LATER, Shape::Schema(Use::Below)),
    ("propertyNames", BOTH, Shape::Schema(Use::Below)),
    ("allOf", BOTH, Shape::Schemas(Use::Here)),
    ("anyOf", BOTH, Shape::Schemas(Use::Here)),
    ("oneOf", BOTH, Shape::Schemas(Use::Here)),
    ("not", BOTH, Shape::Schema(Use::Here)),
    ("if", BOTH, Shape::Schema(Use::Here)),
    ("then", BOTH, Shape::Schema(Use::Here)),
    ("else", BOTH, Shape::Schema(Use::Here)),
    ("dependentSchemas", LATER, Shape::SchemaMap(Use::Here)),
];

/// The formats that are checked, as the validator knows them; an unknown one would hold for every text.
const FORMATS: &[(&str, In)] = &[
    ("date", BOTH),
    ("time", BOTH),
    ("date-time", BOTH),
    ("duration", LATER),
    ("email", BOTH),
    ("hostname", BOTH),
    ("ipv4", BOTH),
    ("ipv6", BOTH),
    ("uri", BOTH),
    ("uri-reference", BOTH),
    ("uuid", LATER),
    ("json-pointer", BOTH),
];

/// What a `$ref` of draft-07 may have beside it; all else there would be ignored.
const BESIDE_REFERENCE: &[&str] = &[
    "$ref",
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "$defs",
    "definitions",
];

/// JSON's types.
pub(super) const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// What may stand behind `keyword`.
pub(super) fn shape(keyword: &str, dialect: Dialect) -> Option<Shape> {
    let of = |(name, within, _): &&(&str, In, Shape)| *name == keyword && within.contains(&dialect);
    KEYWORDS.iter().find(of).map(|(_, _, shape)| *shape)
}

/// The keyword that `word` may have been meant for.
pub(super) fn near(word: &str, dialect: Dialect) -> Option<&'static str> {
    let known = KEYWORDS.iter().filter(|(_, within, _)| within.contains(&dialect));
    crate::directive::near(word, known.map(|(name, ..)| *name))
}

/// Whether the validator checks `format`.
pub(super) fn is_format(format: &str, dialect: Dialect) -> bool {
    FORMATS.iter().any(|(name, within)| *name == format && within.contains(&dialect))
}

/// All formats of `dialect`, for messages.
pub(super) fn formats(dialect: Dialect) -> String {
    let names: Vec<_> = FORMATS
        .iter()
        .filter(|(_, within)| within.contains(&dialect))
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    names.join(", ")
}

/// Whether `keyword` keeps its meaning beside a `$ref`.
pub(super) fn may_stand_beside_reference(keyword: &str, dialect: Dialect) -> bool {
    dialect == Dialect::Draft202012 || BESIDE_REFERENCE.contains(&keyword)
}
