//! Findings for programs: an array of objects, whose members and their order are stable.

use serde::Serialize;

use super::in_order;
use crate::characters::is_unseen;
use crate::diag::{Diagnostic, Severity};
use crate::lex;
use crate::place::Places;
use crate::span::Span;

/// A range, from the first character to the one after the last; lines and columns from 1, columns in characters.
#[derive(Serialize)]
struct Range {
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
}

#[derive(Serialize)]
struct Finding<'a> {
    file: &'a str,
    #[serde(flatten)]
    range: Range,
    code: &'a str,
    severity: &'static str,
    message: &'a str,
    help: Option<&'a str>,
    related: Vec<Related<'a>>,
    fix: Option<Edit<'a>>,
}

#[derive(Serialize)]
struct Related<'a> {
    #[serde(flatten)]
    range: Range,
    message: &'a str,
}

#[derive(Serialize)]
struct Edit<'a> {
    #[serde(flatten)]
    range: Range,
    /// Byte offsets, for programs that edit.
    start: usize,
    end: usize,
    replacement: &'a str,
}

/// All findings as a JSON array, in the order of the source. Characters that could drive a terminal are escaped.
#[must_use]
pub fn json(file: &str, source: &[u8], findings: &[Diagnostic]) -> String {
    let (sanitised, _) = lex::text(source);
    let places = Places::new(file, &sanitised);
    let range = |span: Span| Range {
        line: places.line(span.start),
        column: places.column(span.start),
        end_line: places.line(span.end),
        end_column: places.column(span.end),
    };
    let listed: Vec<_> = in_order(findings)
        .into_iter()
        .map(|finding| Finding {
            file,
            range: range(finding.span),
            code: finding.code,
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: &finding.message,
            help: finding.help.as_deref(),
            related: finding
                .related
                .iter()
                .map(|(span, message)| Related { range: range(*span), message })
                .collect(),
            fix: finding.fix.as_ref().map(|fix| Edit {
                range: range(fix.span),
                start: fix.span.start,
                end: fix.span.end,
                replacement: &fix.replacement,
            }),
        })
        .collect();
    // Strings, numbers and derived structs cannot fail to serialise; an error would be an object without findings.
    let plain = serde_json::to_string_pretty(&listed)
        .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string());
    escape(&plain)
}

/// serde_json escapes what JSON says it must (below U+0020). The rest that matters to a terminal stands in strings only,
/// where an escape means the same.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_unseen(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_there_and_escapes_read_back() {
        let message = "\x1b\u{7f}\u{9b}\u{202e}\u{e0001}é";
        let finding = Diagnostic::error("E007", Span::new(8, 11), message)
            .help("remove it")
            .related(Span::new(0, 1), "here")
            .fix(Span::new(8, 12), "");
        let json = json("Agentfile", "AGENT é\nEND\n".as_bytes(), &[finding]);
        assert!(json.chars().all(|character| character == '\n' || !is_unseen(character)));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!([{
            "file": "Agentfile", "line": 1, "column": 8, "end_line": 2, "end_column": 3,
            "code": "E007", "severity": "error", "message": message, "help": "remove it",
            "related": [{ "line": 1, "column": 1, "end_line": 1, "end_column": 2, "message": "here" }],
            "fix": {
                "line": 1, "column": 8, "end_line": 2, "end_column": 4, "start": 8, "end": 12, "replacement": "",
            },
        }]);
        assert_eq!(value, expected);
        assert!(
            json.find("\"line\"") < json.find("\"code\"") && json.find("\"code\"") < json.find("\"fix\"")
        );
    }

    #[test]
    fn no_findings_are_an_empty_array() {
        assert_eq!(json("Agentfile", b"", &[]), "[]");
    }
}
