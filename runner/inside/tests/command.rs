//! Commands of manuals: a value is exactly its part of one word, whatever it holds.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use serde_json::{Value, json};
use support::{Folder, finish, program};

/// Runs `template` with `arguments`: whether it succeeded, what it printed, what it complained of.
fn command(template: &Value, arguments: &Value) -> (bool, String, String) {
    let text = template.to_string();
    let child = program(&["--command", &text]).spawn().unwrap();
    let output = finish(child, arguments.to_string().as_bytes());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// A command that prints each of its words on a line, between brackets.
fn printing(words: &[Value]) -> Value {
    let mut all = vec![json!([{"text": "printf"}]), json!([{"text": "[%s]\n"}])];
    all.extend(words.iter().cloned());
    json!({ "words": all })
}

#[test]
fn a_value_is_exactly_its_part_of_one_word() {
    let template =
        printing(&[json!([{"argument": "x"}]), json!([{"text": "--a="}, {"argument": "x"}, {"text": "z"}])]);
    for value in [
        "",
        "a b",
        "; touch /tmp/x",
        "a\nb",
        "$(id)",
        "`id`",
        "*",
        "'\"\\",
        "| sh",
        "é\u{202e}",
        "alias.x=!sh",
    ] {
        let (ok, out, complaint) = command(&template, &json!({ "x": value }));
        assert!(ok, "{value}: {complaint}");
        assert_eq!(out, format!("[{value}]\n[--a={value}z]\n"));
    }
    let (_, out, _) = command(&template, &json!({ "x": 1.5 }));
    assert_eq!(out, "[1.5]\n[--a=1.5z]\n");
    let (_, out, _) = command(&template, &json!({ "x": true }));
    assert_eq!(out, "[true]\n[--a=truez]\n");
}

#[test]
fn a_value_is_never_an_option() {
    let bare = printing(&[json!([{"argument": "x"}])]);
    let joined = printing(&[json!([{"argument": "x"}, {"argument": "y"}])]);
    let behind = printing(&[json!([{"text": "--"}]), json!([{"argument": "x"}])]);
    // `--` as a value does not let the next one through.
    let two = printing(&[json!([{"argument": "x"}]), json!([{"argument": "y"}])]);
    for value in ["-", "-c", "--", "--upload-pack=sh", "-exec"] {
        for (template, arguments) in [
            (&bare, json!({ "x": value })),
            (&behind, json!({ "x": value })),
            (&joined, json!({ "x": "", "y": value })),
            (&two, json!({ "x": "a", "y": value })),
            (&two, json!({ "x": value, "y": "a" })),
        ] {
            let (ok, out, complaint) = command(template, &arguments);
            assert!(
                !ok && out.is_empty() && complaint.contains("taken for an option"),
                "{arguments}: {out}{complaint}"
            );
        }
    }
    let (ok, _, complaint) = command(&bare, &json!({ "x": -5 }));
    assert!(!ok && complaint.contains("taken for an option"), "{complaint}");
    assert!(command(&bare, &json!({ "x": "a-b" })).0);
}

#[test]
fn what_is_not_as_planned_is_not_executed() {
    let template = printing(&[json!([{"argument": "x"}])]);
    for (arguments, wanted) in [
        (json!({}), "`x` is missing"),
        (json!({ "x": ["a"] }), "not one word"),
        (json!({ "x": null }), "not one word"),
        (json!({ "x": "a\u{0}b" }), "NUL"),
        (json!({ "x": "a", "y": "b" }), "no argument `y`"),
        (json!([]), "one JSON object"),
    ] {
        let (ok, out, complaint) = command(&template, &arguments);
        assert!(!ok && out.is_empty() && complaint.contains(wanted), "{arguments}: {complaint}");
    }
    for template in [
        json!({}),
        json!({ "words": [] }),
        json!({ "words": ["printf"] }),
        json!({ "words": [[{"text": 1}]] }),
        json!({ "words": [[{"text": "a", "argument": "x"}]] }),
        json!({ "words": [[{"text": "true"}]], "directory": 1 }),
        json!({ "words": [[{"text": "true"}]], "environment": {"A": 1} }),
        json!([]),
    ] {
        let (ok, out, complaint) = command(&template, &json!({}));
        assert!(!ok && out.is_empty() && complaint.contains("of the plan"), "{template}: {complaint}");
    }
    let missing = json!({ "words": [[{"text": "/nonexistent/program"}]] });
    assert!(command(&missing, &json!({})).2.contains("cannot be executed"));
}

#[test]
fn it_begins_where_the_plan_says_with_its_variables_and_without_input() {
    let folder = Folder::new();
    let template = json!({
        "words": [[{"text": "sh"}], [{"text": "-c"}], [{"text": "pwd; echo \"$FIXED\"; cat"}]],
        "directory": folder.at(""), "environment": {"FIXED": "a b"},
    });
    let (ok, out, complaint) = command(&template, &json!({}));
    assert!(ok, "{complaint}");
    assert_eq!(out, format!("{}\na b\n", folder.at("")));
}
