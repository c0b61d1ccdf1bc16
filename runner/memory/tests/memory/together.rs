//! Several runs at one memory.

use std::sync::Barrier;
use std::time::Duration;

use agentrc_audit::folder::Folder;
use agentrc_memory::{Error, Limits};
use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};

use crate::{State, note, put, text, trusted};

#[test]
fn writes_of_several_runs_come_one_after_the_other_and_none_is_lost() {
    const RUNS: usize = 6;
    const WRITES: usize = 15;
    let state = State::with(Limits { wait: Duration::from_secs(60), ..Limits::default() });
    let start = Barrier::new(RUNS);
    // None of them finds the memory made: they also make it together.
    let mut versions: Vec<u64> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..RUNS)
            .map(|run| {
                let (state, start) = (&state, &start);
                scope.spawn(move || {
                    start.wait();
                    let mut store = state.store();
                    (0..WRITES)
                        .map(|write| put(&mut store, "a", &format!("{run}-{write}")))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    versions.sort_unstable();
    assert_eq!(versions, (1..=(RUNS * WRITES) as u64).collect::<Vec<_>>());
    let store = state.store();
    assert_eq!(store.history("a", None, 100).unwrap().items.len(), RUNS * WRITES);
    assert_eq!(store.list(None, 10).unwrap().items.len(), 1);
}

#[test]
fn a_memory_that_another_holds_is_a_clear_error_and_works_again_afterwards() {
    let state = State::with(Limits { wait: Duration::from_millis(30), ..Limits::default() });
    let mut store = state.store();
    put(&mut store, "a", "one");
    let other = Connection::open(state.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = store.write("a", &note("two"), &trusted(), None).unwrap_err();
    assert!(matches!(&busy, Error::Busy { waited, .. } if *waited == state.limits.wait), "{busy}");
    assert!(busy.to_string().contains("another run was writing"), "{busy}");
    // Who only reads waits for nobody.
    assert_eq!(text(&store, "a").unwrap(), "one");
    assert_eq!(text(&state.store(), "a").unwrap(), "one");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(put(&mut store, "a", "two"), 2);
}

#[test]
fn a_memory_that_another_is_making_is_waited_for_and_not_for_ever() {
    let state = State::with(Limits { wait: Duration::from_millis(30), ..Limits::default() });
    let folder = Folder::open(state.dir.path()).unwrap();
    let mut inner = folder;
    for part in ["memory", "coder", "notes"] {
        inner = inner.private_folder(part.as_ref()).unwrap();
    }
    flock(&inner, FlockOperation::LockExclusive).unwrap();
    assert!(matches!(state.reopen(), Err(Error::Busy { .. })));
    assert!(!state.database().exists());
    drop(inner);
    put(&mut state.store(), "a", "one");
}

#[test]
fn what_another_run_wrote_is_read_at_once() {
    let state = State::new();
    let (mut one, two) = (state.store(), state.store());
    put(&mut one, "a", "one");
    assert_eq!(text(&two, "a").unwrap(), "one");
    one.delete("a", &trusted(), None).unwrap();
    assert_eq!(text(&two, "a"), None);
    assert_eq!(two.search("one", 0, 1).unwrap().items, []);
}
