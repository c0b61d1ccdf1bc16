//! What holds for everything that an agent or a server can send (`invariants/`), asked of the fuzzers' seeds, of random bytes, and of
//! pieces that are often right. Cases are few for speed; `PROPTEST_CASES` raises them, and `fuzz/` looks without end.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod invariants;

use std::path::Path;

use proptest::prelude::*;

/// Runs every seed of `fuzz/corpus/NAME`.
fn seeds(name: &str, holds: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "hardly any seed of {name}");
    files.iter().for_each(|file| holds(&std::fs::read(file).unwrap()));
}

#[test]
fn the_seeds_of_the_fuzzers_keep_to_it() {
    seeds("broker_line", invariants::line);
    seeds("broker_name", invariants::name);
    seeds("broker_stream", invariants::stream);
}

proptest! {
    #[test]
    fn a_line_is_one_message_or_an_error(
        members in prop::collection::vec((
            prop::sample::select(vec!["jsonrpc", "id", "method", "params", "result", "error", "x"]),
            prop::sample::select(vec!["\"2.0\"", "1", "\"tools/call\"", "\"ping\"", "{}", "[]", "null", "{\"name\":\"a\",\"arguments\":{}}", "1e400", "\"\\ud800\""]),
        ), 0..6),
        end in prop::sample::select(vec!["}", "", "}}", "} ", "]"]),
        more in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        invariants::line(format!("{{{}{end}", members.join(",")).as_bytes());
        invariants::line(&more);
    }

    #[test]
    fn a_name_has_one_reading(
        text in "(https?|file|memo|HTTP|a)?:?(//)?(u@)?(a\\.example|[a-z]{0,3}|127\\.1|\\[::1\\])?(:443|:80)?/?[a-z./%2eEfF5cC#?;\\\\]{0,16}",
    ) {
        invariants::name(text.as_bytes());
    }

    #[test]
    fn events_are_the_same_however_they_come(
        parts in prop::collection::vec(prop::sample::select(vec!["data: a", "data:", "event: x", "event: message", ": c", "\n", "\r\n", "\r", "id: 1", "\u{feff}", "\n\n", "x"]), 0..20),
        more in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        invariants::stream(parts.concat().as_bytes());
        invariants::stream(&more);
    }
}
