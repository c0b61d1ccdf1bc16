//! What people read: each `messages/*.agentfile` with the words that it gets beside it. `AGENTRC_BLESS=1` rewrites the
//! words; a change of them is then a diff to be reviewed.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use agentfile::{parse, render};

/// Every case: its name, its bytes, and where its expected words are.
fn cases() -> Vec<(String, Vec<u8>, PathBuf)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages"));
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "agentfile") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            cases.push((name, std::fs::read(&path).unwrap(), path.with_extension("stderr")));
        }
    }
    cases.sort();
    cases
}

fn words(source: &[u8]) -> String {
    let (_, findings) = parse::parse(source);
    format!("{}\n{}\n", render::text("Agentfile", source, &findings, false), render::summary(&findings))
}

#[test]
fn every_file_gets_the_words_beside_it() {
    let bless = std::env::var_os("AGENTRC_BLESS").is_some();
    let mut different = Vec::new();
    for (name, source, expected) in cases() {
        let found = words(&source);
        if bless {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).ok().as_deref() != Some(found.as_str()) {
            different.push(format!("=== {name}\n{found}"));
        }
    }
    assert!(
        different.is_empty(),
        "not what is beside it (AGENTRC_BLESS=1 rewrites):\n{}",
        different.join("\n")
    );
}

#[test]
fn every_code_of_the_parser_has_a_case_named_after_it_that_gets_it() {
    let mut covered = BTreeSet::new();
    for (name, source, _) in cases() {
        let (_, findings) = parse::parse(&source);
        let codes: BTreeSet<_> = findings.iter().map(|finding| finding.code).collect();
        if let Some((code, _)) = name.split_once('-').filter(|(code, _)| *code != "many") {
            assert!(codes.contains(code), "{name}: {codes:?}");
            covered.insert(code.to_owned());
        } else {
            assert!(findings.len() > 2, "{name}");
        }
    }
    let numbers = |letter: char, range: std::ops::RangeInclusive<u32>| {
        range.map(move |number| format!("{letter}{number:03}"))
    };
    let all: BTreeSet<_> = numbers('E', 1..=22).chain(numbers('W', 1..=5)).collect();
    assert_eq!(covered, all);
}

#[test]
fn every_finding_of_the_cases_has_a_help_line() {
    for (name, source, _) in cases() {
        for finding in parse::parse(&source).1 {
            assert!(finding.help.is_some(), "{name}: {finding:?}");
            let first = finding.message.chars().next().unwrap();
            assert!(!first.is_uppercase(), "{name}: {}", finding.message);
        }
    }
}
