//! A package in memory, and short ways to compile.

use std::collections::BTreeMap;

use agentfile::compile::{Compiled, Validate, compile};
use agentfile::diag::Severity;
use agentfile::host::ServerTable;
use agentfile::plan::Plan;
use agentfile::{Kind, Package};

/// A schema beside a program, with all that one may say.
const LINT: &str = r#"{
  "title": "Lint",
  "description": "Looks for mistakes in a file.",
  "inputSchema": {
    "type": "object",
    "properties": {
      "strict": { "type": "boolean", "default": false },
      "file": { "type": "string", "description": "What to look at." },
      "service": { "type": "string" },
      "method": { "enum": ["GET", "POST"], "type": "string" }
    },
    "required": ["file"],
    "additionalProperties": false
  },
  "facts": { "path": "file", "url": "service", "method": "method" },
  "annotations": { "readOnlyHint": true, "destructiveHint": false }
}"#;

/// Files by path; folders are those that the paths have.
pub(crate) struct Folder(pub(crate) BTreeMap<String, Vec<u8>>);

impl Folder {
    /// What the tests' Agentfiles name.
    pub(crate) fn usual() -> Self {
        let files = [
            ("agent.py", "print('hello')\n"),
            ("tools/lint", "#!/bin/sh\n"),
            ("tools/lint.schema.json", LINT),
            ("tools/bare.py", "#!/usr/bin/env python3\n"),
            ("tools/bare.schema.json", r#"{"description": "Takes nothing.", "type": "object"}"#),
            ("tools/mute", "#!/bin/sh\n"),
            ("tools/broken", "#!/bin/sh\n"),
            ("tools/broken.schema.json", r#"{"description": "Breaks.", "inputSchema": {"type": "objekt"}}"#),
            ("tools/odd+name", "#!/bin/sh\n"),
            (
                "functions/review.py",
                "def summarize(text: str, lines: int = 3) -> str:\n    '''Summarizes a text.'''\n    return text\n",
            ),
            ("skills/review/SKILL.md", "---\nname: review\ndescription: reviews\n---\n# Review\n"),
            ("skills/review/scripts/run.sh", "#!/bin/sh\n"),
            ("skills/odd/SKILL.md", "---\nname: odd\ndescription: has a script with an odd name\n---\n"),
            ("skills/odd/scripts/run it.sh", "#!/bin/sh\n"),
            ("skills/empty/README.md", "no skill\n"),
            ("sop.md", "# Procedure\n\nRead first.\n"),
            ("schemas/notes.json", r#"{"title": "Notes", "$defs": {"Note": {"type": "object"}}}"#),
            ("schemas/broken.json", "{"),
            ("schemas/outside.json", r#"{"title": "Note", "items": {"$ref": "https://h.example/s.json"}}"#),
            ("src/main.rs", "fn main() {}\n"),
            ("src/nested/.keep", ""),
            ("skills/review/.keep", ""),
            ("out/.keep", ""),
            (".git/hooks/pre-commit", ""),
            ("mcp.json", include_str!("../plans/mcp.json")),
        ];
        Self(files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect())
    }
}

impl Package for Folder {
    fn kind(&self, path: &str) -> Kind {
        // The one name of neither kind.
        if path == "fifo" {
            return Kind::Other;
        }
        let below = format!("{path}/");
        if self.0.contains_key(path) {
            Kind::File
        } else if self.0.range(below.clone()..).next().is_some_and(|(name, _)| name.starts_with(&below)) {
            Kind::Directory
        } else {
            Kind::Missing
        }
    }

    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn executables(&self, path: &str) -> std::io::Result<Vec<String>> {
        let below = format!("{path}/");
        let names = self.0.iter().filter(|(_, bytes)| bytes.starts_with(b"#!"));
        let names =
            names.filter_map(|(name, _)| name.strip_prefix(&below)).filter(|name| !name.contains('/'));
        Ok(names.map(str::to_owned).collect())
    }

    fn list(&self, path: &str, suffix: &str) -> std::io::Result<Vec<String>> {
        let below = format!("{path}/");
        let names = self.0.keys().filter_map(|name| name.strip_prefix(&below));
        Ok(names.filter(|name| !name.contains('/') && name.ends_with(suffix)).map(str::to_owned).collect())
    }

    fn folder_name(&self) -> &str {
        "My Agent"
    }

    /// What is at names that no package has.
    fn host_servers(&self) -> Result<Vec<ServerTable>, String> {
        let tables = self.0.range("/etc/".to_owned().."/etc0".to_owned());
        Ok(tables.map(|(path, bytes)| ServerTable { path: path.clone(), bytes: bytes.clone() }).collect())
    }

    fn host_namespace(&self, namespace: &str) -> Result<Option<String>, String> {
        let place = "/etc/agentrc/agentrc.toml:2:1".to_owned();
        match namespace {
            "langchain" => Ok(Some(place)),
            "unreadable" => Err(format!("{place}: `x` serves no tools\n  help: write `utcp`")),
            _ => Ok(None),
        }
    }
}

/// Compiles with everything checked.
pub(crate) fn compiled(source: &str) -> Compiled {
    compile("Agentfile", source.as_bytes(), &Folder::usual(), Validate::Always)
}

/// The plan of a file without errors.
pub(crate) fn plan(source: &str) -> Plan {
    let compiled = compiled(source);
    compiled.plan.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics))
}

/// Codes of all findings, with the text that each is at.
pub(crate) fn findings(source: &str) -> Vec<(&'static str, &str)> {
    compiled(source)
        .diagnostics
        .iter()
        .map(|found| (found.code, source.get(found.span.start..found.span.end).unwrap_or("?")))
        .collect()
}

/// Codes of all errors.
pub(crate) fn errors(source: &str) -> Vec<&'static str> {
    let compiled = compiled(source);
    let errors = compiled.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let codes: Vec<_> = errors.map(|found| found.code).collect();
    assert_eq!(codes.is_empty(), compiled.plan.is_some(), "a plan exists exactly when there is no error");
    codes
}

/// A file with `lines` and a block of `policy`.
pub(crate) fn with_policy(lines: &str, policy: &str) -> String {
    format!("AGENT x\nCMD true\n{lines}\nPOLICY\n{policy}\nEND\n")
}

/// A `forbid` of one action.
pub(crate) fn forbid(action: &str, when: &str) -> String {
    format!("forbid(principal, action == AgentRC::Action::\"{action}\", resource) when {{ {when} }};")
}
