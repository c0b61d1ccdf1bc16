//! Lists, pages and full-text search.

use agentrc_memory::{Error, Limits, Mode, PAGE_BYTES, PAGE_ITEMS, Store, Trust};
use proptest::prelude::*;
use serde_json::json;

use crate::{NOTE, State, note, put, trusted};

fn found(store: &Store, query: &str) -> Vec<String> {
    let mut keys: Vec<_> =
        store.search(query, 0, 100).unwrap().items.into_iter().map(|version| version.key).collect();
    keys.sort();
    keys
}

#[test]
fn all_words_must_be_there_in_any_case_and_order() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "a", "The quick brown fox");
    put(&mut store, "b", "a brown dog, 42 years");
    let tagged = json!({"text": "x", "tags": ["Crème brûlée"]});
    store.write("recipe", &tagged, &trusted(), None).unwrap();
    assert_eq!(found(&store, "brown"), ["a", "b"]);
    assert_eq!(found(&store, "FOX quick"), ["a"]);
    assert_eq!(found(&store, "brown cat"), [""; 0]);
    assert_eq!(found(&store, "42"), ["b"]);
    assert_eq!(found(&store, "creme"), ["recipe"]);
    assert_eq!(found(&store, "recipe"), ["recipe"]);
    assert_eq!(found(&store, "tags"), ["recipe"]);
    let best = store.search("quick", 0, 1).unwrap();
    assert_eq!(best.items[0].value, Some(note("The quick brown fox")));
    assert_eq!(best.items[0].provenance, trusted());
}

#[test]
fn only_what_there_is_now_is_found() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "a", "apple");
    put(&mut store, "a", "pear");
    assert_eq!(found(&store, "apple"), [""; 0]);
    assert_eq!(found(&store, "pear"), ["a"]);
    store.delete("a", &trusted(), None).unwrap();
    assert_eq!(found(&store, "pear"), [""; 0]);
    put(&mut store, "a", "apple");
    assert_eq!(found(&store, "apple"), ["a"]);
}

#[test]
fn nothing_in_a_query_is_syntax() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "a", "apple near pear");
    put(&mut store, "b", "banana");
    put(&mut store, "c", "not or and");
    // As FTS5 would read them, each of these finds what it must not find, or is an error.
    for (query, keys) in [
        ("apple OR banana", vec![]),
        ("apple NOT pear", vec![]),
        ("not or and", vec!["c"]),
        ("NEAR(apple pear)", vec![]),
        ("key : a", vec![]),
        ("- banana", vec!["b"]),
        ("ban*", vec![]),
        ("^apple", vec!["a"]),
        ("{key words} : apple", vec![]),
        ("apple\"", vec!["a"]),
        ("\"apple", vec!["a"]),
        ("\"\"\"", vec![]),
        ("apple\" OR \"banana", vec![]),
        ("(", vec![]),
        ("", vec![]),
        (" \t\n", vec![]),
        ("apple\0banana", vec![]),
        ("apple\0", vec!["a"]),
        ("'; DROP TABLE search; --", vec![]),
        ("apple + pear", vec!["a"]),
    ] {
        assert_eq!(found(&store, query), keys, "{query:?}");
    }
    assert_eq!(found(&store, "banana"), ["b"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_query_is_answered_and_any_text_is_kept(query in "\\PC{0,40}", odd in "[\"*^:(){}+\\-a\0 ORNDT]{0,30}") {
        let state = State::new();
        let mut store = state.store();
        put(&mut store, "a", &odd);
        put(&mut store, "b", &query);
        let wanted = |page: agentrc_memory::Page<agentrc_memory::Version>, key: &str| {
            page.items.iter().any(|version| version.key == key)
        };
        for (text, key) in [(&odd, "a"), (&query, "b")] {
            let page = store.search(text, 0, 10).unwrap();
            // A text is found by itself, when there is a word of letters or digits in it.
            if text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| !word.is_empty()) && text.is_ascii() {
                prop_assert!(wanted(page, key), "{:?}", text);
            }
        }
    }
}

#[test]
fn a_query_is_bounded() {
    let store = State::new().store();
    assert!(matches!(store.search(&"x".repeat(1025), 0, 1), Err(Error::Query(_))));
    assert!(matches!(store.search(&"x ".repeat(33), 0, 1), Err(Error::Query(_))));
    assert_eq!(store.search(&"x ".repeat(32), 0, 1).unwrap().items, []);
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let state = State::new();
    let mut store = state.store();
    for index in 0..25 {
        put(&mut store, &format!("key-{index:02}"), "same");
    }
    store.delete("key-13", &trusted(), None).unwrap();
    let (mut after, mut listed) = (None::<String>, Vec::new());
    loop {
        let page = store.list(after.as_deref(), 7).unwrap();
        assert!(page.items.len() <= 7);
        listed.extend(page.items.iter().map(|item| item.key.clone()));
        after = page.items.last().map(|item| item.key.clone());
        if !page.more {
            break;
        }
    }
    let wanted: Vec<_> =
        (0..25).filter(|index| *index != 13).map(|index| format!("key-{index:02}")).collect();
    assert_eq!(listed, wanted);

    let (mut skip, mut hits) = (0, Vec::new());
    loop {
        let page = store.search("same", skip, 5).unwrap();
        skip += u32::try_from(page.items.len()).unwrap();
        hits.extend(page.items.into_iter().map(|version| version.key));
        if !page.more {
            break;
        }
    }
    hits.sort();
    assert_eq!(hits, wanted);

    for _ in 0..10 {
        put(&mut store, "often", "x");
    }
    let newest = store.history("often", None, 4).unwrap();
    assert!(newest.more);
    assert_eq!(newest.items.iter().map(|item| item.version).collect::<Vec<_>>(), [10, 9, 8, 7]);
    let rest = store.history("often", Some(7), 100).unwrap();
    assert!(!rest.more);
    assert_eq!(rest.items.iter().map(|item| item.version).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1]);
    assert_eq!(store.history("often", Some(u64::MAX), 100).unwrap().items.len(), 10);
}

#[test]
fn a_page_has_no_more_results_and_bytes_than_there_may_be() {
    let state = State::with(Limits { value_bytes: PAGE_BYTES as u64, ..Limits::default() });
    let mut store = state.store();
    for index in 0..=PAGE_ITEMS {
        put(&mut store, &format!("k{index}"), "word");
    }
    for page in [
        store.list(None, usize::MAX).unwrap().items.len(),
        store.search("word", 0, usize::MAX).unwrap().items.len(),
    ] {
        assert_eq!(page, PAGE_ITEMS);
    }
    assert_eq!(store.list(None, 0).unwrap().items.len(), 1);
    for _ in 0..3 {
        put(&mut store, "large", &"x".repeat(PAGE_BYTES / 2));
    }
    let page = store.history("large", None, 10).unwrap();
    assert_eq!((page.items.len(), page.more), (1, true));
}

#[test]
fn what_came_from_elsewhere_is_labelled_in_lists_too() {
    let state = State::new();
    let mut store = state.try_open("coder", "notes", Mode::ReadWrite, NOTE).unwrap();
    put(&mut store, "a", "mine");
    let Err(Error::NeedsConfirmation(effect)) =
        store.write("b", &note("theirs"), &crate::from(Trust::Network), None)
    else {
        panic!("written without a confirmation");
    };
    let confirmation = agentrc_memory::Approver::new("test").confirm(&effect);
    store.write("b", &note("theirs"), &crate::from(Trust::Network), Some(confirmation)).unwrap();
    let listed = store.list(None, 10).unwrap().items;
    assert_eq!(listed.iter().map(|item| item.trust).collect::<Vec<_>>(), [Trust::Trusted, Trust::Network]);
}
