//! What people read of the compiler's findings: each `tests/findings/*.agentfile` with the words that it gets beside it.
//! `AGENTRC_BLESS=1` rewrites the words; a change of them is then a diff to be reviewed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use agentfile::compile::{Validate, compile};
use agentfile::diag::Diagnostic;
use agentfile::{code, render};

use crate::support::Folder;

/// Findings of the compiler that no text causes: a fault of its own; and E056, which the parser sees first.
const WITHOUT_A_TEXT: [&str; 2] = ["E056", "E099"];

fn cases() -> Vec<(PathBuf, Vec<u8>, Vec<Diagnostic>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/findings");
    let mut package = Folder::usual();
    package.0.insert("binary.md".to_owned(), vec![0xff, 0xfe]);
    let toolset = b"tools = [\n  \"utcp:file_raed\",\n  \"local:./tools/mute\",\n]\n";
    package.0.insert("toolsets/x.toml".to_owned(), toolset.to_vec());
    let manual =
        br#"{"utcp_version": "1.0.1", "tools": [{"name": "log", "description": "Logs.", "tool_call_template":
        {"call_template_type": "cli", "commands": [{"command": "git log | head"}]}}]}"#;
    package.0.insert("tools/git.utcp.json".to_owned(), manual.to_vec());
    package.0.insert("toolsets/broken.toml".to_owned(), b"tool = 1\n".to_vec());
    for (skill, text) in [
        ("plain", "# A skill\n"),
        ("flow", "---\nname: flow\ndescription: [a, b]\nmetadata:\n  version: 1.10\n---\n"),
        ("fields", "---\nname: Fields\nmodel: large\n---\n"),
    ] {
        package.0.insert(format!("skills/{skill}/SKILL.md"), text.as_bytes().to_vec());
    }
    for (skill, lines) in [
        (
            "asks",
            "BIND ~/.ssh /keys ro\n    CRED key env:KEY host:a.example\n    ALLOW invoke shell\n    LIMIT tool_calls 1\n    URL a.example\n    URL http://b.example\n    URL http://b.example\n    MOUNT /usr/x ro",
        ),
        (
            "wider",
            "MOUNT /none ro\n    MOUNT /ref rw\n    MOUNT /copy ro\n    MOUNT /own ro\n    MOUNT /work ro\n    MOUNT /ref/secret/x ro\n    MOUNT /ref/none ro\n    URL http://b.example\n    URL https://a.example\n    URL http://a.example/v1x\n    URL http://counted.example",
        ),
        ("held", "MOUNT /out/.git/hooks rw\n    MOUNT /usual ro"),
    ] {
        let text = format!(
            "---\nname: {skill}\ndescription: x\nmetadata:\n  agentrc-boundaries: |\n    {lines}\n---\n"
        );
        package.0.insert(format!("skills/{skill}/SKILL.md"), text.as_bytes().to_vec());
    }
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "agentfile") {
            let source = std::fs::read(&path).unwrap();
            let found = compile("Agentfile", &source, &package, Validate::Always).diagnostics;
            cases.push((path, source, found));
        }
    }
    cases.sort_by(|one, other| one.0.cmp(&other.0));
    cases
}

#[test]
fn every_file_gets_the_words_beside_it() {
    let mut different = Vec::new();
    for (path, source, found) in cases() {
        let words =
            format!("{}\n{}\n", render::text("Agentfile", &source, &found, false), render::summary(&found));
        let expected = path.with_extension("stderr");
        if std::env::var_os("AGENTRC_BLESS").is_some() {
            std::fs::write(&expected, &words).unwrap();
        } else if std::fs::read_to_string(&expected).ok().as_deref() != Some(words.as_str()) {
            different.push(format!("=== {}\n{words}", path.display()));
        }
    }
    assert!(
        different.is_empty(),
        "not what is beside it (AGENTRC_BLESS=1 rewrites):\n{}",
        different.join("\n")
    );
}

#[test]
fn every_code_of_the_compiler_has_a_case() {
    let met: BTreeSet<_> =
        cases().iter().flat_map(|(_, _, found)| found.iter().map(|one| one.code)).collect();
    let missing: Vec<_> = code::CODES
        .iter()
        .map(|entry| entry.code)
        .filter(|code| (*code >= "E040" && *code < "W") || *code >= "W010")
        .filter(|code| !met.contains(code) && !WITHOUT_A_TEXT.contains(code))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn every_finding_begins_in_lower_case_and_shows_a_way_out() {
    for (path, _, found) in cases() {
        for finding in found {
            let first = finding.message.chars().next().unwrap();
            assert!(
                !first.is_uppercase() || finding.message.starts_with("Cedar"),
                "{path:?}: {}",
                finding.message
            );
            assert!(finding.help.is_some(), "{path:?}: {finding:?}");
        }
    }
}
