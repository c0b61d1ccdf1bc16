//! Signatures, case by case, and any text at all.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[track_caller]
fn taken(source: &str) -> Signature {
    read(source.as_bytes(), "f").unwrap_or_else(|fault| panic!("{}", fault.what))
}

#[track_caller]
fn refused(source: &str, what: &str) {
    let fault = read(source.as_bytes(), "f").map(|found| found.input_schema).unwrap_err();
    assert!(fault.what.contains(what), "{}", fault.what);
    assert!(!fault.help.is_empty());
}

/// A function with these parameters.
fn with(parameters: &str) -> String {
    format!("def f({parameters}):\n    \"\"\"Does it.\"\"\"\n")
}

#[test]
fn a_signature_is_a_schema_that_passes_its_own_judgement() {
    let source = "\
import os  # def f(x): pass
text = '''
def f(no: str): \"not this\"
'''
def g(): pass

def f(
    path: str,  # which
    *,
    limit: int = 1_000,
    ratio: typing.Optional[float] = -0.5,
    mode: Literal[\"a\", 'b', 3, None, True] = \"a\",
    tags: list[dict[str, str | None]] = [\"x\", {\"k\": [1, 2.5]}],
    rest: Any = None,
) -> dict[str, Any]:
    \"\"\"Summarizes a file.

        With an indented line,
    and another.\\n\"\"\"
    return {}
";
    let found = taken(source);
    assert_eq!(found.description, "Summarizes a file.\n\n    With an indented line,\nand another.");
    assert_eq!(
        found.input_schema,
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["path"],
            "properties": {
                "path": {"type": "string"},
                "limit": {"type": "integer", "default": 1000},
                "ratio": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": -0.5},
                "mode": {"enum": ["a", "b", 3, null, true], "default": "a"},
                "tags": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    },
                    "default": ["x", {"k": [1, 2.5]}],
                },
                "rest": {"default": null},
            },
        })
    );
    assert_eq!(found.output_schema, Some(json!({"type": "object", "additionalProperties": {}})));
    crate::schema::judge(&found.input_schema).unwrap();
    crate::schema::judge(&found.output_schema.unwrap()).unwrap();
    let none = taken("def f(): 'Nothing' \" at all.\"\n");
    assert_eq!((none.description.as_str(), none.output_schema), ("Nothing at all.", None));
}

#[test]
fn what_no_schema_can_say_is_refused() {
    for (parameters, what) in [
        ("*args", "`*args` or `**kwargs`"),
        ("**kwargs", "`*args` or `**kwargs`"),
        ("a: int, *, *, b: int", "`*args` or `**kwargs`"),
        ("a: int, /", "cannot be given by name"),
        ("a", "`a` without a type"),
        ("a=1", "`a` without a type"),
        ("a: Path", "the type `Path`"),
        ("a: 'str'", "a type that is not a name"),
        ("a: os.PathLike", "the type `os`"),
        ("a: dict[int, str]", "keys are no `str`"),
        ("a: Literal[]", "a `Literal` of nothing"),
        ("a: Literal[f'x']", "not a literal"),
        ("a: Literal[[1]]", "nested too deeply"),
        ("a: int = 1 + 1", "where one is expected"),
        ("a: int = x", "not a literal"),
        ("a: int = 0x10", "not a literal"),
        ("a: str = b'x'", "not a literal"),
        ("a: str = '\\N{BULLET}'", "not a literal"),
        ("a: int, a: int", "two parameters `a`"),
        ("a: int b: int", "where one is expected"),
    ] {
        refused(&with(parameters), what);
    }
    refused(&with(&(0..65).map(|n| format!("a{n}: int,")).collect::<String>()), "more than 64 parameters");
    refused(&with(&format!("a: {}int{}", "list[".repeat(40), "]".repeat(40))), "nested too deeply");
    refused(&with(&format!("a: Any = {}{}", "[".repeat(40), "]".repeat(40))), "nested too deeply");
    refused("def f() -> str: pass\n", "no docstring");
    refused("def f(): f'x'\n", "no docstring");
    refused("def f(): 'x' + y\n", "no docstring");
    refused("def f():\n'x'\n", "no docstring");
    refused("def f(): ' '\n", "empty docstring");
    for hostile in ["'\\x1b[2J'", "'a\u{202e}b'", "'\\u202e'"] {
        refused(&format!("def f(): {hostile}\n"), "hides text or drives a terminal");
        refused(&with(&format!("a: str = {hostile}")), "hides text or drives a terminal");
        refused(&format!("def f() -> Literal[{hostile}]: 'x'\n"), "hides text or drives a terminal");
    }
    refused("async def f(a): 'x'\n", "`a` without a type");
    refused("@cache\ndef f(): 'x'\n", "a decorator");
    refused("def f(): 'x'\ndef f(): 'y'\n", "more than once");
    refused("def f(): 'x'\nf = g\n", "more than once");
    refused("if x:\n    def f(): 'x'\n", "is not defined at the left margin");
    refused("class f:\n    def f(self): 'x'\n", "is not defined at the left margin");
    refused("x = '", "a string that does not end");
    assert!(read(b"\xff", "f").unwrap_err().what.contains("not UTF-8"));
    taken("async def f(a: int) -> str: 'x'\n");
    taken("@cache\ndef g(): 'x'\ndef f(): 'x'\nf == g\n");
}

const WORDS: &[&str] = &[
    "def ",
    "async ",
    "f",
    "(",
    ")",
    ":",
    ",",
    "*",
    "/",
    "=",
    "->",
    "[",
    "]",
    "{",
    "}",
    "|",
    "str",
    "int",
    "Literal",
    "Optional",
    "dict",
    "list",
    "\n",
    "    ",
    "\\",
    "'",
    "\"",
    "\"\"\"",
    "#",
    "@",
    "1e",
    "0.5",
    "-",
    "\\x",
    "é",
    "None",
    "def f(a: int",
    ") -> str:\n    '''",
    "\r",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(source in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&source, "f");
    }

    #[test]
    fn any_words_are_refused_or_come_to_a_schema(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40)) {
        if let Ok(found) = read(words.concat().as_bytes(), "f") {
            prop_assert!(crate::schema::judge(&found.input_schema).is_ok(), "{}", found.input_schema);
        }
    }

    #[test]
    fn any_parameters_are_refused_or_come_to_a_schema(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..12)) {
        if let Ok(found) = read(with(&words.concat()).as_bytes(), "f") {
            prop_assert!(crate::schema::judge(&found.input_schema).is_ok(), "{}", found.input_schema);
        }
    }
}
