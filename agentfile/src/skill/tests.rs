//! What front matter is taken, and what is refused, with its place.

use super::*;

fn faults(text: &str) -> Vec<String> {
    let found = judge(text.as_bytes(), "review");
    found
        .iter()
        .map(|fault| format!("{} {}:{} {}", fault.code, fault.line, fault.column, fault.what))
        .collect()
}

/// With a good name and description, and `lines` between them.
fn with(lines: &str) -> Vec<String> {
    faults(&format!("---\nname: review\n{lines}\ndescription: reviews\n---\n# Review\n"))
}

#[track_caller]
fn refused(lines: &str, expected: &str) {
    let found = with(lines);
    assert!(found.len() == 1 && found[0].starts_with(expected), "{lines:?}: {found:#?}");
}

#[test]
fn front_matter_of_the_public_format_is_taken() {
    for lines in [
        "",
        "# a comment\n\nlicense: Apache-2.0 # and why",
        "license: \"a: b # c \\\"d\\\" \\\\\"",
        "license: 'it''s # mine'   # yes",
        "compatibility: needs git, jq (1.7 or newer)",
        "allowed-tools: Bash(git:*) Read",
        "allowed-tools:\n  - Bash(git:*)\n  - \"Read\"",
        "allowed-tools:\n- Read\n# and\n- Write",
        "metadata:\n  author: example-org\n  version: \"1.0\"\n\n  url: https://a.example/x#y",
        "license: |\n  one\n\n    two: three\n  # not a comment",
        "license: >-\n  one\n  two: three\n",
    ] {
        assert_eq!(with(lines), [""; 0], "{lines:?}");
    }
    assert_eq!(faults("---\r\nname: review\r\ndescription: x\r\n---\r\n"), [""; 0]);
    assert_eq!(faults("---\nname: review\ndescription: x\n---"), [""; 0]);
}

#[test]
fn a_file_without_front_matter_is_refused() {
    for text in ["", "# Review\n", "----\n", " ---\nname: review\n---\n", "\u{feff}---\nname: review\n---\n"]
    {
        assert_eq!(
            faults(text),
            ["E090 1:1 the first line is not `---`: there is no front matter"],
            "{text:?}"
        );
    }
    assert_eq!(faults("---\nname: review\n"), ["E090 1:1 no second line `---` ends the front matter"]);
    assert_eq!(judge(b"---\nname: \xff\n---\n", "x")[0].what, "the file is not UTF-8");
    let long = format!("---\nname: review\ndescription: x\n{}---\n", "# comment\n".repeat(7000));
    assert!(faults(&long)[0].ends_with("longer than 64 KiB"));
    for hidden in ["\u{1b}", "\u{202e}", "\0", "\r"] {
        let found = faults(&format!("---\nname: review\ndescription: a{hidden}b\n---\n"));
        assert_eq!(found, ["E090 3:15 a character that hides text or drives a terminal"], "{hidden:?}");
    }
}

#[test]
fn what_yaml_has_beyond_texts_is_refused_with_its_place() {
    for value in ["[a, b]", "{a: b}", "&x a", "*x", "!!str a", "@a", "`a`", "%a", "- a", "? a", ", a"] {
        refused(&format!("license: {value}"), "E091 3:10 a value that starts with");
    }
    for value in [
        "1.10",
        "1",
        "-1",
        "+.5",
        "0x1f",
        "1e3",
        "1_000",
        "12:30:00",
        "2026-01-02",
        "true",
        "No",
        "NULL",
        "~",
        ".inf",
        "-.INF",
    ] {
        refused(&format!("license: {value}"), &format!("E091 3:10 `{value}` is a number"));
        assert_eq!(with(&format!("license: \"{value}\"")), [""; 0]);
    }
    refused("license: use when: asked", "E091 3:10 a colon and a blank");
    refused("license: so:", "E091 3:10 a colon and a blank");
    refused("license: \"a", "E091 3:10 this quote");
    refused("license: \"a\" b", "E091 3:10 something follows");
    refused("license: 'a'b", "E091 3:10 something follows");
    refused("license: \"\\x41\"", "E091 3:10 inside quotes");
    refused("license: one\n  two", "E091 4:1 an indented line");
    refused("license: |2\n  two", "E091 3:10 `|2` is not understood");
    refused("license: >\n  one\n    two", "E091 5:3 a line of a folded text");
    refused("license:", "E091 3:1 `license` has no value");
    refused("license: # none", "E091 3:1 `license` has no value");
    refused("metadata:\n  a:\n    b: c", "E091 4:5 there is no value");
    refused("metadata:\n  a: b\n    c: d", "E091 5:5 a line of `metadata`");
    refused("metadata:\n  a: b\n  - c", "E091 5:3 a line of `metadata`");
    refused("metadata:\n\ta: b", "E091 3:1 `metadata` has no value");
    refused("metadata:\n  a: b\n  a: c", "E091 5:3 `a` is written twice, first on line 4");
    refused("metadata:\n  a: |\n  b: |2\n    c", "E091 5:6 `|2` is not understood");
    refused("allowed-tools:\n  - a: b", "E091 4:5 a colon and a blank");
    refused("license: a\nlicense: b", "E091 4:1 `license` is written twice, first on line 3");
    refused("\"license\": a", "E091 3:1 not a line `key: value`");
    refused("license:a", "E091 3:1 not a line `key: value`");
    refused("<<: a", "E091 3:1 not a line `key: value`");
    refused("...", "E091 3:1 not a line `key: value`");
}

#[test]
fn what_a_skill_asks_for_keeps_its_places() {
    let text = |lines: &str| {
        format!(
            "---\nname: review\ndescription: x\nmetadata:\n  a: b\n{lines}  z: |\n    text\nlicense: x\n---\n"
        )
    };
    let whole = text("  agentrc-boundaries: |\n    MOUNT /a ro\n\n    # why\n      URL http://a.example\n");
    assert_eq!(faults(&whole), [""; 0]);
    let lines = boundaries(whole.as_bytes()).unwrap();
    let found: Vec<_> = lines.lines().collect();
    assert_eq!(
        found,
        ["", "", "", "", "", "", "    MOUNT /a ro", "    ", "    # why", "      URL http://a.example"]
    );
    assert_eq!(boundaries(text("").as_bytes()), None);
    // Nothing is beneath it: what follows is not.
    let nothing = text("  agentrc-boundaries: |\n");
    assert_eq!(faults(&nothing), [""; 0]);
    assert_eq!(boundaries(nothing.as_bytes()).unwrap().trim(), "");
    refused(
        "metadata:\n  agentrc-boundaries: MOUNT /a ro",
        "E094 4:3 `agentrc-boundaries` is not a text of lines",
    );
    refused("metadata:\n  agentrc-boundaries: >\n    MOUNT /a ro", "E094 4:3 `agentrc-boundaries` is not");
    refused("metadata:\n  agentrc-boundary: |\n    MOUNT /a ro", "E094 4:3 `agentrc-boundary` means nothing");
}

#[test]
fn all_faults_are_said_at_once() {
    let found = faults("---\nname: Review\nlicence: x\nlicense: [a]\n  b\ndescription: \"\"\n---\n");
    assert_eq!(
        found,
        [
            "E092 2:1 `Review` is not a skill's name",
            "E092 3:1 a skill has no `licence`",
            "E091 4:10 a value that starts with `[` is no text here: of YAML, only texts, lists and maps of texts are read",
            "E092 6:1 `description` is empty",
        ]
    );
}

#[test]
fn each_field_is_of_its_kind_and_length() {
    refused("metadata: a", "E092 3:1 `metadata` is not a map");
    refused("license:\n  - a", "E092 3:1 `license` is not a text");
    refused("allowed-tools:\n  a: b", "E092 3:1 `allowed-tools` is not a text, or a list");
    refused(&format!("compatibility: {}", "é".repeat(501)), "E092 3:1 `compatibility` has 501 characters");
    assert_eq!(with(&format!("compatibility: {}", "é".repeat(500))), [""; 0]);
    for (length, expected) in [(1024, None), (1025, Some("E092 3:1 `description` has 1025 characters"))] {
        let found = faults(&format!("---\nname: review\ndescription: {}\n---\n", "é".repeat(length)));
        assert_eq!(found.first().map(String::as_str), expected);
    }
    assert_eq!(faults("---\n---\n"), ["E092 1:1 there is no `name`", "E092 1:1 there is no `description`"]);
}

#[test]
fn the_name_is_the_folders() {
    assert!(
        judge(b"---\nname: other\ndescription: x\n---\n", "review")[0].what.contains("its folder `review`")
    );
    let longest = "a".repeat(NAME_MAX);
    for name in ["a", "9", "a-b-2", longest.as_str()] {
        assert!(is_name(name), "{name}");
    }
    let longer = "a".repeat(NAME_MAX + 1);
    for name in ["", "-a", "a-", "a--b", "A", "a_b", "a.b", "é", "a b", "a\n", longer.as_str()] {
        assert!(!is_name(name), "{name:?}");
    }
}

#[test]
fn as_many_entries_as_fit_are_taken() {
    let text = |count: usize| {
        let lines: String = (0..count).map(|index| format!("  k{index}: v\n")).collect();
        format!("---\nname: review\ndescription: x\nmetadata:\n{lines}---\n")
    };
    assert_eq!(faults(&text(5000)), [""; 0]);
}
