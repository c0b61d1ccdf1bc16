//! What is not trusted changes nothing without a confirmation of exactly that change.

use agentrc_memory::{Approver, Change, Effect, Error, Mode, Store, Trust};
use serde_json::Value;

use crate::{NOTE, State, from, note, put, text, trusted};

/// The effect of an untrusted write, which is not done.
#[track_caller]
fn effect(store: &mut Store, key: &str, value: &Value, trust: Trust) -> Effect {
    match store.write(key, value, &from(trust), None) {
        Err(Error::NeedsConfirmation(effect)) => *effect,
        other => panic!("{other:?}"),
    }
}

fn approver() -> Approver {
    Approver::new("ticket 12, user 1000")
}

#[test]
fn untrusted_content_changes_nothing_without_a_confirmation() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "a", "mine");
    for trust in [Trust::Tool, Trust::Network] {
        let effect = effect(&mut store, "a", &note("theirs"), trust);
        assert_eq!((effect.key(), effect.old(), effect.trust()), ("a", Some(1), trust));
        assert_eq!(effect.change(), &Change::Write(note("theirs").to_string()));
        let deletion = store.delete("a", &from(trust), None).unwrap_err();
        assert!(matches!(deletion, Error::NeedsConfirmation(effect) if effect.change() == &Change::Delete));
    }
    assert_eq!(text(&store, "a").unwrap(), "mine");
    assert_eq!(store.history("a", None, 10).unwrap().items.len(), 1);
    assert_eq!(store.search("theirs", 0, 10).unwrap().items, []);
}

#[test]
fn a_confirmation_lets_its_effect_happen_and_is_kept_with_it() {
    let state = State::new();
    let mut store = state.store();
    let write = effect(&mut store, "a", &note("theirs"), Trust::Tool);
    assert_eq!(
        store.write("a", &note("theirs"), &from(Trust::Tool), Some(approver().confirm(&write))).unwrap(),
        1
    );
    let Err(Error::NeedsConfirmation(delete)) = store.delete("a", &from(Trust::Network), None) else {
        panic!()
    };
    assert_eq!(store.delete("a", &from(Trust::Network), Some(approver().confirm(&delete))).unwrap(), 2);
    let history = store.history("a", None, 10).unwrap().items;
    for (version, trust) in history.iter().zip([Trust::Network, Trust::Tool]) {
        assert_eq!(version.provenance.trust, trust);
        assert_eq!(version.approval.as_deref(), Some("ticket 12, user 1000"));
    }
    put(&mut store, "a", "mine");
    assert_eq!(store.read("a").unwrap().unwrap().approval, None);
}

#[test]
fn a_confirmation_of_another_effect_is_refused() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "a", "mine");
    put(&mut store, "b", "mine");
    let confirmed = effect(&mut store, "a", &note("theirs"), Trust::Tool);
    let confirm = || Some(approver().confirm(&confirmed));
    let mut other = state.try_open("coder", "plans", Mode::ReadWrite, NOTE).unwrap();
    put(&mut other, "a", "mine");
    let refused = [
        ("value", store.write("a", &note("other"), &from(Trust::Tool), confirm())),
        ("key", store.write("b", &note("theirs"), &from(Trust::Tool), confirm())),
        ("trust", store.write("a", &note("theirs"), &from(Trust::Network), confirm())),
        ("trusted", store.write("a", &note("theirs"), &trusted(), confirm())),
        ("deletion", store.delete("a", &from(Trust::Tool), confirm())),
        ("memory", other.write("a", &note("theirs"), &from(Trust::Tool), confirm())),
    ];
    for (what, result) in refused {
        assert!(matches!(result, Err(Error::OtherEffect { .. })), "{what}: {result:?}");
    }
    assert_eq!(text(&store, "a").unwrap(), "mine");
    assert_eq!(text(&store, "b").unwrap(), "mine");
    store.write("a", &note("theirs"), &from(Trust::Tool), confirm()).unwrap();
}

#[test]
fn a_confirmation_holds_once() {
    let state = State::new();
    let mut store = state.store();
    let confirmed = effect(&mut store, "a", &note("theirs"), Trust::Tool);
    let (first, second) = (approver().confirm(&confirmed), approver().confirm(&confirmed));
    store.write("a", &note("theirs"), &from(Trust::Tool), Some(first)).unwrap();
    let again = store.write("a", &note("theirs"), &from(Trust::Tool), Some(second)).unwrap_err();
    assert!(matches!(&again, Error::Stale { confirmed: None, now: Some(1), .. }), "{again}");
    // Nor does it hold again when the key has no value, as then.
    store.delete("a", &trusted(), None).unwrap();
    let late = approver().confirm(&confirmed);
    let again = store.write("a", &note("theirs"), &from(Trust::Tool), Some(late)).unwrap_err();
    assert!(matches!(again, Error::Stale { confirmed: None, now: Some(2), .. }), "{again}");
    assert_eq!(store.read("a").unwrap(), None);
}

#[test]
fn a_confirmation_does_not_outlive_the_state_that_was_shown() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "a", "mine");
    let confirmed = effect(&mut store, "a", &note("theirs"), Trust::Tool);
    // Another run changes the value, and even back.
    let mut other = state.store();
    put(&mut other, "a", "newer");
    put(&mut other, "a", "mine");
    let confirmation = approver().confirm(&confirmed);
    let stale = store.write("a", &note("theirs"), &from(Trust::Tool), Some(confirmation)).unwrap_err();
    assert!(matches!(stale, Error::Stale { confirmed: Some(1), now: Some(3), .. }), "{stale}");
    assert_eq!(text(&store, "a").unwrap(), "mine");
}

#[test]
fn a_memory_that_was_made_anew_takes_no_confirmation_of_the_old_one() {
    let state = State::new();
    let mut store = state.store();
    let confirmed = effect(&mut store, "a", &note("theirs"), Trust::Tool);
    drop(store);
    std::fs::remove_dir_all(state.dir.path().join("memory")).unwrap();
    let mut store = state.store();
    let confirmation = approver().confirm(&confirmed);
    let refused = store.write("a", &note("theirs"), &from(Trust::Tool), Some(confirmation));
    assert!(matches!(refused, Err(Error::OtherEffect { .. })), "{refused:?}");
}

#[test]
fn nobody_is_asked_for_what_would_be_refused_anyway() {
    let state = State::with(agentrc_memory::Limits { values: 0, ..agentrc_memory::Limits::default() });
    let mut store = state.store();
    let full = store.write("a", &note("theirs"), &from(Trust::Tool), None);
    assert!(matches!(full, Err(Error::Full { .. })), "{full:?}");
    let unfit = store.write("a", &Value::Null, &from(Trust::Tool), None);
    assert!(matches!(unfit, Err(Error::Unfit(_))), "{unfit:?}");
    let absent = store.delete("a", &from(Trust::Tool), None);
    assert!(matches!(absent, Err(Error::Absent(_))), "{absent:?}");
}

#[test]
fn what_a_person_is_shown_is_whole_and_drives_no_terminal() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "a", "mine");
    let shown = effect(&mut store, "a", &note("\u{1b}[2Jx\u{202e}y\u{9b}\u{200b}\r\nend"), Trust::Network)
        .to_string();
    assert!(!shown.contains(agentfile::characters::is_unseen), "{shown:?}");
    assert!(
        shown.contains("write `a` = ") && shown.contains("end") && shown.contains("now version 1"),
        "{shown}"
    );
    assert!(shown.contains("`notes` of `coder`") && shown.ends_with("content from: network"), "{shown}");
}
