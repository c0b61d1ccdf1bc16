//! Definitions of tools, case by case.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

#[track_caller]
fn taken(document: &Value) -> ToolDefinition {
    read(document.to_string().as_bytes(), "/agentrc/src/x".to_owned())
        .unwrap_or_else(|fault| panic!("{}", fault.what))
}

#[track_caller]
fn refused(document: &Value, what: &str) {
    let fault = read(document.to_string().as_bytes(), String::new()).unwrap_err();
    assert!(fault.what.contains(what), "{}", fault.what);
    assert!(!fault.help.is_empty());
}

#[test]
fn each_built_in_tool_is_what_a_definition_has_to_be() {
    let mut names = BTreeSet::new();
    for tool in BUILTINS {
        let definition = builtin(tool.name).unwrap_or_else(|| panic!("{}", tool.name));
        assert_eq!(name_fault(tool.name), None);
        assert_eq!(definition.input_schema["additionalProperties"], json!(false), "{}", tool.name);
        assert!(!matches!(definition.runs, Runs::Program(_)));
        assert!(!(definition.hints.read_only && definition.hints.destructive), "{}", tool.name);
        assert!(names.insert(tool.name));
    }
    assert_eq!(
        names,
        ["current_time", "file_list", "file_read", "file_search", "file_write", "http_request", "shell"]
            .into()
    );
    let read = builtin("file_read").unwrap();
    assert_eq!(read.facts.each().collect::<Vec<_>>(), [("path", "path")]);
    assert_eq!(read.input_schema["properties"]["limit"]["maximum"], json!(1 << 20));
    assert_eq!(builtin("shell").unwrap().facts, Facts::default());
    assert_eq!(builtin("nothing"), None);
}

#[test]
fn a_program_is_defined_by_a_wrapper_or_by_a_bare_schema() {
    let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}});
    let wrapped = taken(&json!({
        "title": "Lint", "description": "Lints.", "inputSchema": schema, "facts": {"path": "a", "url": "b"},
        "annotations": {"readOnlyHint": true, "destructiveHint": false, "openWorldHint": false},
    }));
    assert_eq!(wrapped.runs, Runs::Program("/agentrc/src/x".to_owned()));
    assert_eq!((wrapped.title.as_deref(), wrapped.description.as_str()), (Some("Lint"), "Lints."));
    assert_eq!(wrapped.facts.each().collect::<Vec<_>>(), [("path", "a"), ("url", "b")]);
    let hints = Hints { read_only: true, destructive: false, idempotent: false, open_world: false };
    assert_eq!(wrapped.hints, hints);
    let text = r#"{"properties":{"a":{"type":"string"},"b":{"type":"string"}},"type":"object"}"#;
    assert_eq!(wrapped.input_schema.to_string(), text);
    assert_eq!(wrapped.schema_sha256, digest::sha256_hex(text.as_bytes()));

    let bare = taken(&json!({"type": "object", "title": "T", "description": "D"}));
    assert_eq!((bare.title.as_deref(), bare.description.as_str()), (Some("T"), "D"));
    assert_eq!(bare.facts, Facts::default());
    // What MCP takes for true where nothing is said.
    let hints = Hints { read_only: false, destructive: true, idempotent: false, open_world: true };
    assert_eq!(bare.hints, hints);
    let named = json!({"description": "D", "inputSchema": {"type": "object"}, "annotations": {"title": "A"}});
    assert_eq!(taken(&named).title.as_deref(), Some("A"));
}

#[test]
fn what_does_not_define_a_tool_is_refused() {
    for (text, what) in
        [("", "is not JSON"), ("[]", "is not a JSON object"), ("{\"a\": 1, \"a\": 1}", "twice in one object")]
    {
        let fault = read(text.as_bytes(), String::new()).unwrap_err();
        assert!(fault.what.contains(what), "{}", fault.what);
    }
    let object = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let with = |name: &str, member: Value| {
        let mut document = json!({"description": "D", "inputSchema": object});
        document[name] = member;
        document
    };
    refused(&json!({"type": "object"}), "does not say what the tool does");
    refused(&with("description", json!(" \n")), "does not say what the tool does");
    refused(&with("description", json!(1)), "is not what a tool's schema is");
    refused(&with("command", json!("rm")), "unknown field `command`");
    refused(&with("facts", json!({"host": "n"})), "unknown field `host`");
    refused(&with("facts", json!({"path": "n"})), "`n` for what policies see as `context.path`");
    refused(&with("facts", json!({"path": "none"})), "which is no text");
    refused(&with("annotations", json!({"readOnlyHint": "yes"})), "is not what a tool's schema is");
    refused(&with("inputSchema", json!(true)), "does not take an object");
    refused(&with("inputSchema", json!({"type": ["object"]})), "does not take an object");
    refused(&with("inputSchema", json!({"type": "object", "requird": []})), "`requird`");
    refused(
        &with("inputSchema", json!({"type": "object", "$ref": "https://h.example/"})),
        "not in this document",
    );
    for hostile in ["a\u{202e}b", "\u{1b}[2J", "a\rb", "\u{e0041}"] {
        refused(&with("description", json!(hostile)), "hides text or drives a terminal");
        refused(&with("title", json!(hostile)), "hides text or drives a terminal");
        let deep = json!({"type": "object", "properties": {hostile: {}}});
        refused(&with("inputSchema", deep), "hides text or drives a terminal");
    }
    taken(&with("description", json!("Two lines:\n\t– the second in any script, 日本語.")));
    let long = with("description", json!("x".repeat(FILE_BYTES)));
    refused(&long, "is larger than 64 KiB");
}

#[test]
fn a_schema_lies_beside_its_program() {
    let paths = |path: &str| schema_paths(path).collect::<Vec<_>>();
    assert_eq!(paths("tools/lint"), ["tools/lint.schema.json"]);
    assert_eq!(paths("tools/lint.py"), ["tools/lint.py.schema.json", "tools/lint.schema.json"]);
    assert_eq!(paths("lint.tar.py"), ["lint.tar.py.schema.json", "lint.tar.schema.json"]);
    assert_eq!(paths("a.b/.lint"), ["a.b/.lint.schema.json"]);
}

#[test]
fn a_name_is_one_of_mcp_and_of_no_file_beside_another_tool() {
    for name in ["lint", "Lint-2.py", "a_b", &"x".repeat(128)] {
        assert_eq!(name_fault(name), None, "{name}");
    }
    for name in ["", "a b", "a+b", "é", &"x".repeat(129), "lint.help", "lint.schema.json"] {
        assert!(name_fault(name).is_some(), "{name}");
    }
}
