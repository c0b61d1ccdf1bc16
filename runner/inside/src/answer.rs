//! What a tool's result comes to on a command line: output, complaint, exit code.

use serde_json::Value;

/// Exit code: policy refuses.
const REFUSAL: u8 = 77;
/// Exit code: it failed.
const FAILURE: u8 = 1;
/// The member of a result's `_meta` that says that policy refused.
const REFUSED: &str = "io.agentrc/refused";

/// What to print, and how to end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: u8,
    pub(crate) out: Option<String>,
    pub(crate) complaint: Option<String>,
}

impl Answer {
    /// A failure, or a refusal of policy.
    pub(crate) fn failure(complaint: String, refused: bool) -> Self {
        Self { code: if refused { REFUSAL } else { FAILURE }, out: None, complaint: Some(complaint) }
    }

    /// Of the result of `tools/call` (MCP 2025-11-25, "Tool Result").
    pub(crate) fn of(result: &Value) -> Self {
        let empty = Vec::new();
        let content = match result.get("content") {
            None => &empty,
            Some(Value::Array(content)) => content,
            Some(_) => return Self::malformed(),
        };
        let text = texts(content);
        let structured = result.get("structuredContent");
        let as_json = || structured.unwrap_or(&Value::Array(content.clone())).to_string();
        match result.get("isError") {
            Some(Value::Bool(true)) => {
                let refused = result.get("_meta").and_then(|meta| meta.get(REFUSED));
                Self::failure(text.unwrap_or_else(as_json), refused == Some(&Value::Bool(true)))
            }
            // Neither content nor anything else is no result: it is not taken for an empty one.
            None | Some(Value::Bool(false)) if result.get("content").is_some() || structured.is_some() => {
                let out = if structured.is_some() { as_json() } else { text.unwrap_or_else(as_json) };
                Self { code: 0, out: Some(out), complaint: None }
            }
            _ => Self::malformed(),
        }
    }

    fn malformed() -> Self {
        Self::failure("the broker's answer is no result of a tool".to_owned(), false)
    }
}

/// The texts, a line's end between them; `None` if something else is among them.
fn texts(content: &[Value]) -> Option<String> {
    let text = |part: &Value| {
        let text = part.get("text").and_then(Value::as_str)?;
        (part.get("type").and_then(Value::as_str) == Some("text")).then(|| text.to_owned())
    };
    Some(content.iter().map(text).collect::<Option<Vec<_>>>()?.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good(out: &str) -> Answer {
        Answer { code: 0, out: Some(out.to_owned()), complaint: None }
    }

    fn bad(code: u8, complaint: &str) -> Answer {
        Answer { code, out: None, complaint: Some(complaint.to_owned()) }
    }

    #[test]
    fn a_result_becomes_output() {
        let text = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
        assert_eq!(Answer::of(&json!({ "content": text })), good("a\nb"));
        assert_eq!(Answer::of(&json!({ "content": text, "isError": false })), good("a\nb"));
        assert_eq!(Answer::of(&json!({ "content": [] })), good(""));
        let both = json!({ "content": text, "structuredContent": { "x": "1\n" } });
        assert_eq!(Answer::of(&both), good(r#"{"x":"1\n"}"#));
        let image = json!([{ "type": "text", "text": "a" }, { "type": "image", "data": "AA==", "mimeType": "image/png" }]);
        assert_eq!(Answer::of(&json!({ "content": image })), good(&image.to_string()));
    }

    #[test]
    fn an_error_becomes_a_complaint_and_a_refusal_has_its_code() {
        let text = json!([{ "type": "text", "text": "no" }]);
        assert_eq!(Answer::of(&json!({ "content": text, "isError": true })), bad(1, "no"));
        let refused = |value: Value| json!({ "content": text, "isError": true, "_meta": { "io.agentrc/refused": value } });
        assert_eq!(Answer::of(&refused(json!(true))), bad(77, "no"));
        assert_eq!(Answer::of(&refused(json!("true"))), bad(1, "no"));
        let structured =
            json!({ "content": [{ "type": "image" }], "structuredContent": { "x": 1 }, "isError": true });
        assert_eq!(Answer::of(&structured), bad(1, r#"{"x":1}"#));
        // A result that succeeded is no refusal, whatever it says besides.
        let odd = json!({ "content": text, "_meta": { "io.agentrc/refused": true } });
        assert_eq!(Answer::of(&odd).code, 0);
    }

    #[test]
    fn what_is_no_result_is_a_failure() {
        for result in [
            json!(null),
            json!([]),
            json!({}),
            json!({ "content": "a" }),
            json!({ "content": null }),
            json!({ "content": [], "isError": "false" }),
            json!({ "content": [], "isError": null }),
        ] {
            assert_eq!(Answer::of(&result), bad(1, "the broker's answer is no result of a tool"), "{result}");
        }
    }
}
