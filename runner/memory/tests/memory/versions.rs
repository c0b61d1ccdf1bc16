//! Every version is kept, and bounded.

use agentrc_memory::{Error, Limits, Mode, Provenance, Trust, VALUE_BYTES_MAX};
use serde_json::json;

use crate::{NOTE, State, note, put, text, trusted};

#[test]
fn each_write_and_deletion_is_a_version_with_its_provenance() {
    let state = State::new();
    let mut store = state.store();
    let by =
        |call: &str| Provenance { run: "run-7".to_owned(), call: call.to_owned(), trust: Trust::Trusted };
    assert_eq!(store.write("a", &note("one"), &by("c1"), None).unwrap(), 1);
    assert_eq!(store.write("a", &note("two"), &by("c2"), None).unwrap(), 2);
    assert_eq!(store.delete("a", &by("c3"), None).unwrap(), 3);
    assert_eq!(store.read("a").unwrap(), None);
    assert_eq!(store.write("a", &note("three"), &by("c4"), None).unwrap(), 4);
    drop(store);

    let store = state.store();
    let history = store.history("a", None, 10).unwrap();
    assert!(!history.more);
    let seen: Vec<_> = history
        .items
        .iter()
        .map(|item| (item.version, item.value.clone(), item.provenance.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (4, Some(note("three")), by("c4")),
            (3, None, by("c3")),
            (2, Some(note("two")), by("c2")),
            (1, Some(note("one")), by("c1")),
        ]
    );
    assert_eq!(store.read("a").unwrap().as_ref(), history.items.first());
    assert_eq!(store.history("b", None, 10).unwrap().items, []);
}

#[test]
fn a_value_that_does_not_fit_the_schema_is_refused_without_being_quoted() {
    let state = State::new();
    let mut store = state.store();
    for (value, place) in [
        (json!({"text": 17_171_717}), "/text"),
        (json!({"txt": "17171717"}), "the value"),
        (json!("17171717"), "the value"),
        (json!({"text": "", "tags": ["", 17_171_717]}), "/tags/1"),
    ] {
        let error = store.write("a", &value, &trusted(), None).unwrap_err();
        assert!(matches!(error, Error::Unfit(_)), "{error}");
        assert!(error.to_string().contains(place), "{error}");
        assert!(!error.to_string().contains("17171717"), "{error}");
    }
    assert_eq!(store.history("a", None, 10).unwrap().items, []);
}

#[test]
fn values_of_another_schema_are_still_read_and_say_that_they_do_not_fit() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "short", "abc");
    put(&mut store, "long", "abcdef");
    drop(store);

    let stricter = NOTE.replace(r#"{"type": "string"},"#, r#"{"type": "string", "maxLength": 3},"#);
    let store = state.try_open("coder", "notes", Mode::ReadWrite, &stricter).unwrap();
    let short = store.read("short").unwrap().unwrap();
    let long = store.read("long").unwrap().unwrap();
    assert_eq!(short.unfit, None);
    let unfit = long.unfit.unwrap();
    assert!(unfit.contains("/text") && !unfit.contains("abcdef"), "{unfit}");
    assert_eq!(long.value, Some(note("abcdef")));
    let written_with = agentrc_memory::Schema::compile(NOTE.as_bytes(), "Note").unwrap();
    assert_eq!((long.schema_sha256.as_str(), long.schema_type.as_str()), (written_with.sha256(), "Note"));
    assert_eq!(short.schema_sha256, long.schema_sha256);
}

#[test]
fn a_schema_that_is_not_the_one_of_the_plan_is_refused() {
    let compiled = agentrc_memory::Schema::compile(NOTE.as_bytes(), "Note").unwrap();
    agentrc_memory::Schema::planned(NOTE.as_bytes(), "Note", compiled.sha256()).unwrap();
    let other = NOTE.replace("Note", "Nota");
    let error = agentrc_memory::Schema::planned(other.as_bytes(), "Nota", compiled.sha256()).unwrap_err();
    assert!(matches!(error, Error::SchemaChanged { .. }), "{error}");
}

#[test]
fn a_read_only_memory_is_read_and_not_written() {
    let state = State::new();
    let read_only = || state.try_open("coder", "notes", Mode::of(false), NOTE).unwrap();
    assert_eq!(read_only().list(None, 10).unwrap().items, []);
    put(&mut state.store(), "a", "one");
    let mut store = read_only();
    assert_eq!(text(&store, "a").unwrap(), "one");
    let refused = [
        store.write("a", &note("two"), &trusted(), None).unwrap_err(),
        store.delete("a", &trusted(), None).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(&error, Error::ReadOnly(name) if name == "notes"), "{error}");
    }
    assert_eq!(text(&store, "a").unwrap(), "one");
}

#[test]
fn memories_of_other_names_and_agents_are_other_memories() {
    let state = State::new();
    put(&mut state.store(), "a", "one");
    for (agent, memory) in [("coder", "plans"), ("tester", "notes")] {
        let store = state.try_open(agent, memory, Mode::ReadWrite, NOTE).unwrap();
        assert_eq!(store.read("a").unwrap(), None);
    }
    for (agent, memory) in
        [("..", "notes"), ("coder", "../notes"), ("coder", ""), ("a/b", "n"), (".a", "n"), ("a", "n\0")]
    {
        let error = state.try_open(agent, memory, Mode::ReadWrite, NOTE).unwrap_err();
        assert!(matches!(error, Error::Name(_)), "{error}");
    }
}

#[test]
fn keys_are_texts_that_a_person_can_see() {
    let state = State::new();
    let mut store = state.store();
    let long = "k".repeat(256);
    for key in ["a", "user/name", "é ü", "'; DROP TABLE item; --", "%", "*", "\"", long.as_str()] {
        put(&mut store, key, key);
        assert_eq!(text(&store, key).as_deref(), Some(key));
    }
    let longer = "k".repeat(257);
    for key in ["", "a\0", "a\n", "\u{1b}[2J", "a\u{202e}b", "\u{200b}", longer.as_str()] {
        assert!(matches!(store.write(key, &note(""), &trusted(), None), Err(Error::Key { .. })), "{key:?}");
        assert!(matches!(store.read(key), Err(Error::Key { .. })), "{key:?}");
    }
    assert_eq!(store.list(None, 100).unwrap().items.len(), 8);
}

#[test]
fn a_version_says_who_made_it_or_is_not_made() {
    let mut store = State::new().store();
    for (run, call) in [("", "c"), ("r", ""), ("r\n", "c"), ("r", "\u{1b}c")] {
        let provenance = Provenance { run: run.to_owned(), call: call.to_owned(), trust: Trust::Trusted };
        assert!(matches!(store.write("a", &note(""), &provenance, None), Err(Error::Provenance(_))));
    }
}

#[test]
fn deleting_nothing_is_an_error() {
    let state = State::new();
    let mut store = state.store();
    assert!(matches!(store.delete("a", &trusted(), None), Err(Error::Absent(_))));
    put(&mut store, "a", "one");
    store.delete("a", &trusted(), None).unwrap();
    assert!(matches!(store.delete("a", &trusted(), None), Err(Error::Absent(_))));
    assert_eq!(store.history("a", None, 10).unwrap().items.len(), 2);
}

#[test]
fn values_that_are_too_large_or_too_deep_are_refused() {
    let state = State::with(Limits { value_bytes: 100, ..Limits::default() });
    let mut store = state.try_open("coder", "any", Mode::ReadWrite, r#"{"title": "Note"}"#).unwrap();
    // The JSON of a text has two quotes more.
    store.write("a", &json!("x".repeat(98)), &trusted(), None).unwrap();
    let large = store.write("a", &json!("x".repeat(99)), &trusted(), None).unwrap_err();
    assert!(matches!(&large, Error::Value(why) if why == "101 bytes, of at most 100"), "{large}");
    let nest = |depth: usize| (1..depth).fold(json!(1), |inner, _| json!([inner]));
    let state = State::new();
    let mut store = state.try_open("coder", "any", Mode::ReadWrite, r#"{"title": "Note"}"#).unwrap();
    store.write("a", &nest(64), &trusted(), None).unwrap();
    assert!(matches!(store.write("a", &nest(65), &trusted(), None), Err(Error::Value(_))));
    assert_eq!(store.read("a").unwrap().unwrap().value, Some(nest(64)));

    let limits = Limits { value_bytes: VALUE_BYTES_MAX + 1, ..Limits::default() };
    assert!(matches!(State::with(limits).reopen(), Err(Error::Limits(_))));
}

#[test]
fn the_largest_value_that_can_be_allowed_is_kept() {
    let state = State::with(Limits { value_bytes: VALUE_BYTES_MAX, ..Limits::default() });
    let mut store = state.try_open("coder", "any", Mode::ReadWrite, r#"{"title": "Note"}"#).unwrap();
    let value = json!("word ".repeat(VALUE_BYTES_MAX as usize / 5 - 1));
    store.write("a", &value, &trusted(), None).unwrap();
    assert_eq!(store.read("a").unwrap().unwrap().value, Some(value));
    assert_eq!(store.search("word", 0, 1).unwrap().items.len(), 1);
}

#[test]
fn no_more_keys_have_values_than_allowed_at_one_time() {
    let state = State::with(Limits { values: 2, ..Limits::default() });
    let mut store = state.store();
    put(&mut store, "a", "one");
    put(&mut store, "b", "two");
    let full = store.write("c", &note(""), &trusted(), None).unwrap_err();
    assert!(matches!(&full, Error::Full { what, .. } if what == "2 values"), "{full}");
    put(&mut store, "b", "another");
    store.delete("a", &trusted(), None).unwrap();
    put(&mut store, "c", "three");
}

#[test]
fn old_versions_and_deletions_count_until_the_memory_is_full() {
    let state = State::with(Limits { total_bytes: 3 * 300, ..Limits::default() });
    let mut store = state.store();
    let mut kept = 0;
    let full = loop {
        match store.write("a", &note("one"), &trusted(), None) {
            Ok(version) => kept = version,
            Err(error) => break error,
        }
    };
    assert!(matches!(&full, Error::Full { what, .. } if what.starts_with("900 bytes")), "{full}");
    assert_eq!(kept, 3);
    assert!(matches!(store.delete("a", &trusted(), None), Err(Error::Full { .. })));
    drop(store);
    let store = State { limits: Limits::default(), ..state }.store();
    assert_eq!(store.history("a", None, 10).unwrap().items.len(), 3);
}
