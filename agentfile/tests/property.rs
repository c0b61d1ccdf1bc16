//! What holds for every file (`invariants/`), asked of random ones. Cases are few for speed; `PROPTEST_CASES` raises them, and `fuzz/` looks without end.

#![cfg(test)]

mod invariants;

use agentfile::{directive, fmt, parse, render};
use invariants::holds;
use proptest::prelude::*;

/// Pieces that are often right, put together at random: far more of the grammar is reached than by random bytes.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let keywords: Vec<_> =
        directive::DIRECTIVES.iter().map(|entry| entry.keyword.as_bytes().to_vec()).collect();
    let examples: Vec<_> =
        directive::DIRECTIVES.iter().map(|entry| format!("{}\n", entry.example).into_bytes()).collect();
    let words = [
        " ",
        "\t",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "#",
        " # ",
        "\"",
        "\\",
        "END",
        "END\n",
        "\nEND\n",
        "POLICY\n",
        "SOP\n",
        "# syntax=agentrc.agentfile/v0.1\n",
        "CMD \"a b\" ",
        "rw",
        "/work",
        "./x",
        "https://h.example",
        "env:K",
        "sk-1",
        "host:h",
        "memory",
        "2G",
        "60/min",
        "é",
        "日本",
        "\u{301}",
        "\u{202e}",
        "\u{feff}",
        "\u{a0}",
        "\u{3164}",
        "\nEND # x\n",
        "{\"k\":1}",
        "[\"a\"]",
        " && ",
        "API_KEY=",
        "u:p@",
        "\0",
        "\u{1b}[31m",
        "IDENTITY",
        "a",
        "CMD ",
        "CRED k ",
        "--interval=5 ",
        "cpu=",
        "mem=",
    ];
    let words: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    prop_oneof![
        3 => proptest::sample::select(examples),
        2 => proptest::sample::select(keywords),
        8 => proptest::sample::select(words),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

fn source() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => proptest::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat()),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

/// Files without errors, of examples, blanks, comments and commands.
fn good() -> impl Strategy<Value = Vec<u8>> {
    let examples: Vec<_> = directive::DIRECTIVES.iter().map(|entry| entry.example.to_owned()).collect();
    let word = "[a-z#\"\\\\ \t]{0,6}";
    let command = proptest::collection::vec(word, 0..4).prop_map(|words| {
        let quoted =
            words.iter().map(|word| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")));
        format!("CMD x {}", quoted.collect::<Vec<_>>().join(" \t"))
    });
    let line = prop_oneof![
        4 => proptest::sample::select(examples),
        3 => command,
        2 => "[ \t]{0,3}",
        2 => "[ \t]{0,2}#[ -~\t]{0,12}",
        1 => Just("# syntax=agentrc.agentfile/v0.1".to_owned()),
        1 => "POLICY([ \t]{1,2}#[a-z ]{0,5})?[ \t]{0,2}\n[ -~\n\t]{0,30}\n[ \t]{0,2}END[ \t]{0,2}",
    ];
    let ended = (line, prop_oneof![Just("\n"), Just("\r\n"), Just(" \t\n"), Just("  # why \n")]).prop_map(
        |(line, end)| {
            // After a line that is only `END`, and in comments, another comment would be something else.
            if line.contains(['#', '\n']) && end.contains('#') {
                format!("{line}\n")
            } else {
                format!("{line}{end}")
            }
        },
    );
    proptest::collection::vec(ended, 0..12).prop_map(|lines| lines.concat().into_bytes())
}

/// Cases per property.
fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_bytes_are_read_shown_and_formatted_without_a_panic(source in source()) {
        holds(&source);
    }

    #[test]
    fn a_good_file_is_formatted_to_the_same_meaning(source in good()) {
        prop_assert!(fmt::format(&source).is_ok(), "{:?}", String::from_utf8_lossy(&source));
        holds(&source);
    }

    #[test]
    fn a_file_of_examples_has_all_its_statements(
        chosen in proptest::collection::vec(proptest::sample::select(directive::DIRECTIVES.to_vec()), 0..20)
    ) {
        let source: String = chosen.iter().map(|entry| format!("{}\n", entry.example)).collect();
        let (file, findings) = parse::parse(source.as_bytes());
        prop_assert_eq!(findings, vec![]);
        prop_assert_eq!(file.statements.len(), chosen.len());
    }
}

/// The corpus of the fuzzer, on every run of the tests and any toolchain.
#[test]
fn the_corpus_of_the_fuzzer_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/compile");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        holds(&std::fs::read(entry.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 20, "{seen} seeds");
}

/// Each of these was quadratic or worse in some reader of some language.
#[test]
fn many_of_anything_takes_linear_time() {
    let start = std::time::Instant::now();
    for unit in [
        "\0", "\u{202e}", "a", " ", "\n", "\"", "#", "\\\"", "END\n", "POLICY\n", "AGENT x ", "CRED k ", "é",
        "\u{301}",
    ] {
        for prefix in ["", "CMD ", "CRED k env:K ", "SLICE ", "URL https://", "SOP\n"] {
            let source = format!("{prefix}{}", unit.repeat(40_000 / unit.len()));
            let (_, findings) = parse::parse(source.as_bytes());
            let _ = render::text("f", source.as_bytes(), &findings, false);
            let _ = render::json("f", source.as_bytes(), &findings);
            let _ = fmt::format(source.as_bytes());
        }
    }
    // Some seconds in an unoptimised build; a quadratic step at any place would be many minutes.
    assert!(start.elapsed().as_secs() < 120, "{:?}", start.elapsed());
}
