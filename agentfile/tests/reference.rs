//! `docs/agentfile.md` is written from the tables that the parser reads and can therefore not disagree with it. This test
//! fails when the file is stale; `AGENTRC_BLESS=1` writes it.
#![cfg(test)]

use std::fmt::Write as _;

use agentfile::code::CODES;
use agentfile::directive::{DIRECTIVES, Support};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

fn support(support: Support) -> &'static str {
    match support {
        Support::Enforced => "enforced, or the run is refused",
        Support::Refused => "checked and planned; a run that needs it is refused",
        Support::Hint => "honoured where it names what this runner does, an error otherwise",
    }
}

/// Pipes would end a table's cell, in code as well.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn reference(intro: &str) -> String {
    let mut out = String::from("# The Agentfile\n\n");
    out.push_str("<!-- Written by a test from docs/agentfile.intro.md and the tables in agentfile/src/{directive,code}.rs:\n");
    out.push_str("     AGENTRC_BLESS=1 cargo test -p agentfile --test reference -->\n\n");
    out.push_str(intro.trim());
    out.push_str("\n\n## Directives\n\n| directive | | class | this version |\n|---|---|---|---|\n");
    for entry in DIRECTIVES {
        let (keyword, summary) = (entry.keyword, cell(entry.summary));
        let link = keyword.to_lowercase();
        let support = support(entry.support);
        writeln!(out, "| [`{keyword}`](#{link}) | {summary} | {} | {support} |", entry.class).unwrap();
    }
    for entry in DIRECTIVES {
        write!(out, "\n### {}\n\n`{}`\n\n", entry.keyword, entry.grammar).unwrap();
        write!(out, "{} {}\n\n```\n{}\n```\n", entry.summary, entry.meaning, entry.example).unwrap();
    }
    out.push_str("\n## Findings\n\n");
    out.push_str("`E…` are errors: there is no plan. `W…` are warnings: legal, and probably not what was meant. Codes are never reused.\n\n");
    out.push_str("| code | what | why, and what to do |\n|---|---|---|\n");
    for code in CODES {
        writeln!(out, "| `{}` | {} | {} |", code.code, cell(code.title), cell(code.explanation)).unwrap();
    }
    out
}

#[test]
fn the_reference_is_what_the_tables_say() {
    let intro = std::fs::read_to_string(format!("{DOCS}/agentfile.intro.md")).unwrap();
    let expected = reference(&intro);
    let path = format!("{DOCS}/agentfile.md");
    if std::env::var_os("AGENTRC_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/agentfile.md is stale: AGENTRC_BLESS=1 cargo test -p agentfile --test reference"
    );
}

#[test]
fn the_example_of_the_introduction_parses() {
    let intro = std::fs::read_to_string(format!("{DOCS}/agentfile.intro.md")).unwrap();
    let example = intro.split("```\n").nth(1).unwrap();
    let (file, findings) = agentfile::parse::parse(example.as_bytes());
    assert_eq!(findings, []);
    assert!(file.statements.len() > 5);
    assert_eq!(agentfile::fmt::format(example.as_bytes()).as_deref(), Ok(example));
}
