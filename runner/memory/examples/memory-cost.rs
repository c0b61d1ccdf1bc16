//! What a memory costs, for docs/decisions/0015-memory.md: `cargo run --release -p agentrc-memory --example memory-cost DIRECTORY`.
//! The directory is to be on the disk that is measured; what is written there goes again.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use agentrc_audit::folder::Folder;
use agentrc_memory::{Limits, Mode, Name, Provenance, Schema, Store, Trust};
use rusqlite::Connection;
use serde_json::{Value, json};

const SCHEMA: &str = r#"{"title": "Note", "type": "object", "required": ["text"], "additionalProperties": false,
    "properties": {"text": {"type": "string", "maxLength": 10000}, "tags": {"type": "array", "items": {"type": "string"}}}}"#;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let directory = std::env::args().nth(1).ok_or("say in which directory")?;
    let private = Permissions::from_mode(0o700);
    let dir = tempfile::Builder::new().permissions(private).tempdir_in(directory)?;

    floor(dir.path())?;
    for (journal, synchronous) in [("delete", "full"), ("wal", "full"), ("wal", "normal"), ("wal", "off")] {
        control(dir.path(), journal, synchronous)?;
    }

    measure("Schema::compile", 500, |_| schema().map(drop))?;
    let checked = schema()?;
    let value = note(0);
    measure("Schema::unfit of 1 KiB", 5000, |_| match checked.unfit(&value) {
        None => Ok(()),
        Some(why) => Err(why.into()),
    })?;

    measure("Store::open of a new memory", 20, |index| open(dir.path(), &format!("new-{index}")).map(drop))?;
    let mut store = open(dir.path(), "notes")?;
    let provenance = Provenance { run: "run".into(), call: "call".into(), trust: Trust::Trusted };
    let write = |store: &mut Store, index: usize| {
        store.write(&format!("key-{}", index % 5000), &note(index), &provenance, None).map(drop)
    };
    measure("Store::write of 1 KiB", 2000, |index| Ok(write(&mut store, index)?))?;
    for index in 2000..10_000 {
        write(&mut store, index)?;
    }
    floor(dir.path())?;
    measure("Store::write of 1 KiB, after 10,000 versions", 2000, |index| Ok(write(&mut store, index)?))?;
    measure("Store::read", 5000, |index| Ok(store.read(&format!("key-{}", index % 5000)).map(drop)?))?;
    measure("Store::list of 100", 500, |_| Ok(store.list(None, 100).map(drop)?))?;
    measure("Store::search, one match", 500, |index| {
        Ok(store.search(&format!("n{index}"), 0, 10).map(drop)?)
    })?;
    measure("Store::search, 5,000 matches", 100, |_| Ok(store.search("word", 0, 10).map(drop)?))?;
    drop(store);
    let size = std::fs::metadata(dir.path().join("memory/coder/notes/memory.db"))?.len();
    println!("12,000 versions of 1 KiB: {} MiB", size >> 20);
    measure("Store::open of that memory", 20, |_| open(dir.path(), "notes").map(drop))?;
    Ok(())
}

fn schema() -> Outcome<Schema> {
    Ok(Schema::compile(SCHEMA.as_bytes(), "Note")?)
}

fn open(state: &Path, memory: &str) -> Outcome<Store> {
    let name = Name { agent: "coder", memory, mode: Mode::ReadWrite };
    Ok(Store::open(&Folder::open(state)?, name, schema()?, Limits::default())?)
}

/// About 1 KiB of words.
fn note(index: usize) -> Value {
    json!({ "text": format!("n{index} {}", "word and some more words ".repeat(40)), "tags": ["a", "b"] })
}

/// What the disk takes: it may be busy with something else.
fn floor(dir: &Path) -> Outcome<()> {
    let mut file = File::create(dir.join("floor"))?;
    measure("write(2) and fdatasync(2) of 1 KiB", 500, |_| {
        file.write_all(&[7; 1024])?;
        Ok(file.sync_data()?)
    })
}

/// What SQLite alone takes in each mode for a row of 1 KiB.
fn control(dir: &Path, journal: &str, synchronous: &str) -> Outcome<()> {
    let connection = Connection::open(dir.join(format!("{journal}-{synchronous}.db")))?;
    connection.pragma_update(None, "journal_mode", journal)?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch("CREATE TABLE t (value BLOB)")?;
    let row = [7_u8; 1024];
    measure(&format!("SQLite alone, {journal}, {synchronous}"), 500, |_| {
        Ok(connection.execute("INSERT INTO t (value) VALUES (?1)", [row]).map(drop)?)
    })
}

/// Prints the median and the 99th percentile of `times` calls.
fn measure(what: &str, times: usize, mut call: impl FnMut(usize) -> Outcome<()>) -> Outcome<()> {
    let mut took = Vec::with_capacity(times);
    for index in 0..times {
        let begun = Instant::now();
        call(index)?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let at = |part: usize| took.get(times * part / 100).copied().unwrap_or(Duration::MAX);
    println!("{what:50} p50 {:>10.1?}  p99 {:>10.1?}", at(50), at(99));
    Ok(())
}
