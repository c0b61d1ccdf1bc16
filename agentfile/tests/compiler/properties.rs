//! Properties of the compiler on any input: it ends, it does not panic, its findings point into the text, and there is a
//! plan exactly when nothing is wrong.

use agentfile::compile::{Validate, compile};
use agentfile::diag::Severity;
use agentfile::plan::digest;
use proptest::prelude::*;

use crate::support::Folder;

fn holds(source: &[u8]) {
    let compiled = compile("Agentfile", source, &Folder::usual(), Validate::Always);
    let wrong = compiled.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(compiled.plan.is_none(), wrong, "{:?}", compiled.diagnostics);
    for found in &compiled.diagnostics {
        assert_ne!(found.code, "E099", "{found:?}");
        let spans = std::iter::once(found.span).chain(found.related.iter().map(|(span, _)| *span));
        for span in spans.chain(found.fix.iter().map(|fix| fix.span)) {
            assert!(span.start <= span.end && span.end <= source.len(), "{found:?}");
            if let Ok(text) = std::str::from_utf8(source) {
                assert!(text.get(span.start..span.end).is_some(), "{found:?}");
            }
        }
        assert!(found.severity == Severity::Warning || found.help.is_some(), "no way out: {found:?}");
    }
    if let Some(plan) = compiled.plan {
        let again = compile("Agentfile", source, &Folder::usual(), Validate::WhenWritten).plan.unwrap();
        assert_eq!(digest::canonical(&plan).unwrap(), digest::canonical(&again).unwrap());
    }
}

const DIRECTIVES: &[&str] = &[
    "AGENT",
    "FROM",
    "CMD",
    "TOOL",
    "TOOLSET",
    "FUNCTION",
    "SKILL",
    "SERVER",
    "MCP",
    "URL",
    "CRED",
    "BROKER",
    "BIND",
    "MOUNT",
    "MEMORY",
    "POLICY",
    "END",
    "ALLOW",
    "DENY",
    "RATELIMIT",
    "LIMIT",
    "TIMEOUT",
    "SLICE",
    "AUDIT",
    "TRACE",
    "SOP",
    "HEALTHCHECK",
    "IMAGE",
    "ISOLATION",
    "BACKEND",
    "PLUGIN",
    "SHELL",
    "OPTIMIZER",
    "#",
    "",
];

const WORDS: &[&str] = &[
    "x",
    "scratch",
    "./agent.py",
    "agent.py",
    "./src",
    "./nothing",
    "../x",
    "~",
    "~/x",
    "/",
    "/work",
    "/work/a",
    "/work*",
    "/work/../etc",
    "/proc",
    "/tmp",
    "/home/agent",
    "ro",
    "rw",
    "copy",
    "direct",
    "strands:a",
    "utcp:shell",
    "utcp:none",
    "local:./tools/lint",
    "local:./agent.py",
    "./functions/review.py:f",
    "./skills/review",
    "mcp:s.t",
    "https://a.example",
    "https://*.b.example/p",
    "tcp://10.0.0.1:1",
    "a.example",
    "*.example",
    "env:A",
    "command:x",
    "host:a.example",
    "inject:header",
    "vault://a#b",
    "invoke",
    "read",
    "write",
    "egress",
    "resolve",
    "memory",
    "cpu",
    "pids",
    "disk",
    "wall",
    "tool_calls",
    "0",
    "1",
    "512MiB",
    "9/hour",
    "18446744073709551615",
    "cpu=2",
    "mem=1",
    "all",
    "off",
    "on",
    "otlp://h:1",
    "vault",
    "local",
    "schema:Note",
    "mode:rw",
    "./schemas/notes.json",
    "./sop.md",
    "--interval=1",
    "--timeout=1",
    "CMD",
    "\"",
    "é",
    "\u{202e}",
];

const CEDAR: &[&str] = &[
    "permit",
    "forbid",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ";",
    "principal",
    "action",
    "resource",
    "context",
    ".",
    "path",
    "==",
    "in",
    "is",
    "like",
    "has",
    "when",
    "unless",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "if",
    "then",
    "else",
    "true",
    "false",
    "AgentRC::Path::\"/work/a\"",
    "AgentRC::Action::\"filesystem.write\"",
    "AgentRC::Action::\"tool.invoke\"",
    "AgentRC::Tool::\"a\"",
    "\"/work/*\"",
    "\"/work/a\"",
    "\"\\",
    "@id(\"x\")",
    "@approval(\"y\")",
    "#",
    "//",
    "\n",
    ".startsWith(\"/a\")",
    "resource in [AgentRC::Tool::\"a\"]",
    "context.path like \"/work/*\"",
    "(principal, action, resource)",
    "permit(principal, action, resource)",
    "?principal",
    "9223372036854775807",
    "ip(\"1\")",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(source in proptest::collection::vec(any::<u8>(), 0..400)) {
        holds(&source);
    }

    #[test]
    fn any_lines(lines in proptest::collection::vec(
        (proptest::sample::select(DIRECTIVES), proptest::collection::vec(proptest::sample::select(WORDS), 0..5)),
        0..12,
    )) {
        let text: String = lines.iter().map(|(directive, words)| format!("{directive} {}\n", words.join(" "))).collect();
        holds(text.as_bytes());
    }

    #[test]
    fn any_policy(words in proptest::collection::vec(proptest::sample::select(CEDAR), 0..30)) {
        holds(format!("AGENT x\nCMD true\nBIND ./src /work rw\nTOOL strands:a\nPOLICY\n{}\nEND\n", words.join(" ")).as_bytes());
    }
}
