//! A database that this crate did not make, or that is damaged, is refused in words and left as it is.

use std::fs;

use agentrc_memory::{Error, Limits, Mode};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::{NOTE, State, put, text};

/// A state with a store of some pages, closed.
fn kept() -> State {
    let state = State::new();
    let mut store = state.store();
    for index in 0..40 {
        put(&mut store, &format!("k{index}"), &format!("word{index} ").repeat(60));
    }
    state
}

/// Opening fails, says why, and changes nothing.
#[track_caller]
fn refused(state: &State, why: &str) -> Error {
    let before = fs::read(state.database()).unwrap();
    let error = state.reopen().unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(fs::read(state.database()).unwrap(), before);
    error
}

/// Runs SQL that a stranger could, without any of our switches.
fn sql(state: &State, sql: &str) {
    let connection = Connection::open(state.database()).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let state = kept();
    for content in [
        &b"not a database at all, but longer than a header, which is of 100 bytes".repeat(9),
        &b"short".to_vec(),
    ] {
        fs::write(state.database(), content).unwrap();
        assert!(matches!(refused(&state, "file is not a database"), Error::Damaged { .. }));
    }
    fs::write(state.database(), "").unwrap();
    assert!(matches!(refused(&state, "something else, or empty"), Error::Foreign { .. }));
}

#[test]
fn a_database_of_something_else_is_refused() {
    let state = kept();
    fs::remove_file(state.database()).unwrap();
    sql(&state, "CREATE TABLE cookies (value TEXT)");
    fs::set_permissions(state.database(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(matches!(refused(&state, "something else"), Error::Foreign { .. }));
}

#[test]
fn a_database_of_another_version_is_refused() {
    for version in [0, 2, -1, i32::MAX] {
        let state = kept();
        sql(&state, &format!("PRAGMA user_version = {version}"));
        let error = refused(&state, "this agentrc knows 1");
        assert!(
            matches!(error, Error::Format { found, known: 1, .. } if found == i64::from(version)),
            "{error}"
        );
    }
}

#[test]
fn tables_that_are_not_ours_are_refused() {
    for more in [
        "CREATE TABLE more (x)",
        "CREATE VIEW more AS SELECT * FROM item",
        "CREATE TRIGGER more AFTER INSERT ON version BEGIN DELETE FROM item; END",
        "CREATE INDEX more ON version (run)",
        "DROP TABLE search",
        "ALTER TABLE version ADD COLUMN more TEXT",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'item'",
    ] {
        let state = kept();
        sql(&state, more);
        assert!(matches!(refused(&state, "its tables are not those"), Error::Damaged { .. }), "{more}");
    }
}

#[test]
fn rows_that_we_never_write_are_errors() {
    for wrong in [
        "UPDATE version SET value = '{'",
        "UPDATE version SET trust = 'everything'",
        "UPDATE version SET version = -1; UPDATE item SET version = -1",
    ] {
        let state = kept();
        sql(&state, wrong);
        let error = state.store().read("k1").unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{wrong}: {error}");
    }
    let state = kept();
    sql(&state, "DELETE FROM store");
    assert!(matches!(refused(&state, "is damaged"), Error::Damaged { .. }));
}

#[test]
fn the_memory_of_another_agent_is_refused_where_it_was_not_made() {
    let state = kept();
    drop(state.try_open("tester", "notes", Mode::ReadWrite, NOTE).unwrap());
    fs::copy(state.dir.path().join("memory/tester/notes/memory.db"), state.database()).unwrap();
    assert!(matches!(refused(&state, "it is the memory `tester/notes`"), Error::Foreign { .. }));
}

#[test]
fn a_log_without_its_database_is_not_replaced_by_an_empty_memory() {
    let state = kept();
    let store = state.store();
    assert!(state.file("memory.db-shm").exists());
    fs::copy(state.database(), state.file("memory.db-wal")).unwrap();
    fs::remove_file(state.database()).unwrap();
    let error = state.reopen().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(!state.database().exists());
    drop(store);
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let state = kept();
    let whole = fs::read(state.database()).unwrap();
    for length in (100..whole.len()).step_by(whole.len() / 40) {
        fs::write(state.database(), &whole[..length]).unwrap();
        let error = state.reopen().unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{length}: {error}");
    }
    fs::write(state.database(), &whole).unwrap();
    assert!(text(&state.store(), "k1").is_some());
}

#[test]
fn a_page_of_nonsense_is_found_when_the_memory_is_opened_or_read() {
    let state = kept();
    let whole = fs::read(state.database()).unwrap();
    let page = 4096;
    for (index, _) in whole.chunks(page).enumerate() {
        let mut bytes = whole.clone();
        bytes[index * page..(index + 1) * page].fill(0xa5);
        fs::write(state.database(), &bytes).unwrap();
        match state.reopen() {
            Err(error) => {
                assert!(matches!(error, Error::Damaged { .. } | Error::Foreign { .. }), "{index}: {error}")
            }
            // A page of a long value has no structure that SQLite checks.
            Ok(store) => {
                let unread = (0..40).filter(|key| store.read(&format!("k{key}")).is_err()).count();
                let unfound =
                    (0..40).filter(|key| store.search(&format!("word{key}"), 0, 9).is_err()).count();
                assert!(unread + unfound > 0, "page {index} was not missed");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_file_holds_nothing_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        header in any::<bool>(),
    ) {
        let state = State { limits: Limits { values: 100, ..Limits::default() }, ..State::new() };
        let mut store = state.store();
        for key in ["a", "b", "c"] {
            put(&mut store, key, &"some words ".repeat(30));
        }
        drop(store);
        let mut bytes = fs::read(state.database()).unwrap();
        let within = if header { 200 } else { bytes.len() };
        for (at, value) in flips {
            let at = at.index(within);
            bytes[at] = value;
        }
        fs::write(state.database(), &bytes).unwrap();
        if let Ok(mut store) = state.reopen() {
            let _ = store.read("a");
            let _ = store.list(None, 10);
            let _ = store.search("words", 0, 10);
            let _ = store.history("b", None, 10);
            let _ = store.write("c", &crate::note("new"), &crate::trusted(), None);
            let _ = store.delete("a", &crate::trusted(), None);
        }
    }
}
