//! Writers that are killed (SIGKILL) at any moment: no write that was acknowledged is lost, and the memory always opens.
//!
//! The program starts itself as the writers, which say on their standard output what was acknowledged. It has no test
//! harness, since that would run a writer as a test.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use agentrc_audit::folder::{Folder, random};
use agentrc_memory::{Limits, Mode, Name, Provenance, Schema, Store, Trust};
use serde_json::{Value, json};

/// Memories, each of which is new at first.
const MEMORIES: usize = 12;
/// Kills of writers, for each memory.
const ROUNDS: usize = 12;
/// Writers at one time.
const WRITERS: usize = 2;
/// Keys that they write to, all of them to all.
const KEYS: u64 = 5;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "write", state, name] => write(Path::new(state), name),
        _ => kill(),
    }
}

fn open(state: &Path) -> Store {
    let schema = Schema::compile(br#"{"title": "Note", "type": "object"}"#, "Note").unwrap();
    let limits = Limits { wait: Duration::from_secs(60), ..Limits::default() };
    let name = Name { agent: "coder", memory: "notes", mode: Mode::ReadWrite };
    Store::open(&Folder::open(state).unwrap(), name, schema, limits).unwrap()
}

/// Writes for ever, every fifth time a deletion, and says what was acknowledged.
fn write(state: &Path, name: &str) {
    let mut store = open(state);
    let mut out = std::io::stdout();
    for count in 0_u64.. {
        let key = format!("k{}", count % KEYS);
        let call = format!("{name}x{count}");
        let provenance = Provenance { run: "r".to_owned(), call: call.clone(), trust: Trust::Trusted };
        let done = if count % 5 == 4 {
            store.delete(&key, &provenance, None)
        } else {
            // Some of several pages, so that a write is more than one frame of the log.
            let text = format!("{call} ").repeat(if count % 3 == 0 { 900 } else { 3 });
            store.write(&key, &json!({ "text": text }), &provenance, None)
        };
        match done {
            Ok(version) => {
                writeln!(out, "{key} {version} {call}").unwrap();
                out.flush().unwrap();
            }
            // The other writer deleted it first.
            Err(agentrc_memory::Error::Absent(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// An acknowledged version: its key, number and call.
type Acknowledged = (String, u64, String);

struct Writer {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Writer {
    fn start(state: &Path, name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["write".as_ref(), state.as_os_str(), name.as_ref()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Waits for `count` acknowledgements.
    fn hear(&mut self, count: u8, heard: &mut String) {
        for _ in 0..count {
            assert!(self.out.read_line(heard).unwrap() > 0, "a writer ended by itself");
        }
    }

    /// Kills it, and hears what it still said.
    fn kill(mut self, heard: &mut String) {
        self.child.kill().unwrap();
        self.out.read_to_string(heard).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "a writer ended by itself: {status}");
    }
}

fn kill() {
    let (mut total, mut logs) = (0, 0);
    for memory in 0..MEMORIES {
        let private = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        let mut acknowledged: Vec<Acknowledged> = Vec::new();
        for round in 0..ROUNDS {
            let mut heard = String::new();
            let [count, wait, fine, _] = random::<4>().unwrap();
            let mut writers: Vec<_> = (0..WRITERS)
                .map(|writer| Writer::start(dir.path(), &format!("w{memory}x{round}x{writer}")))
                .collect();
            // Half of them some time after an acknowledgement, half some time after the start, while they make or open it.
            if round % 2 == 1 {
                writers[0].hear(count % 16 + 1, &mut heard);
                std::thread::sleep(Duration::from_micros(u64::from(wait) * 8));
            } else {
                std::thread::sleep(Duration::from_micros(u64::from(wait) * 64 + u64::from(fine)));
            }
            for writer in writers {
                writer.kill(&mut heard);
            }
            // A last line is cut off when the writer was killed in the middle of it; then it was not heard.
            let whole = heard.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            acknowledged.extend(whole.map(|line| {
                let mut words = line.split(' ');
                let mut word = || words.next().unwrap().to_owned();
                (word(), word().parse().unwrap(), word())
            }));
            logs += usize::from(dir.path().join("memory/coder/notes/memory.db-wal").exists());
            check(dir.path(), &acknowledged, (round + 1) * WRITERS);
        }
        total += acknowledged.len();
    }
    assert!(total > MEMORIES * ROUNDS / 2, "{total} writes were acknowledged");
    assert!(logs > MEMORIES * ROUNDS / 4, "only {logs} kills left a log to recover");
    println!("crash: {} kills, {total} acknowledged writes, none lost", MEMORIES * ROUNDS * WRITERS);
}

/// All of what was acknowledged is there, whole, and little else: of each kill at most the one write that was on its way.
fn check(state: &Path, acknowledged: &[Acknowledged], kills: usize) {
    let mut store = open(state);
    let mut kept: BTreeMap<(String, u64), String> = BTreeMap::new();
    let mut live = Vec::new();
    for key in (0..KEYS).map(|key| format!("k{key}")) {
        let mut before = None;
        let mut newest = None;
        loop {
            let page = store.history(&key, before, 100).unwrap();
            for version in page.items {
                let call = version.provenance.call;
                if let Some(text) = version.value.as_ref().map(|value| value["text"].as_str().unwrap()) {
                    assert!(
                        text.split(' ').all(|word| word == call || word.is_empty()),
                        "a value was mixed up"
                    );
                }
                let follows = before.is_none_or(|before: u64| before == version.version + 1);
                assert!(follows, "a version of {key} before {before:?} is missing");
                before = Some(version.version);
                newest.get_or_insert((version.version, version.value.is_some(), call.clone()));
                kept.insert((key.clone(), version.version), call);
            }
            if !page.more {
                break;
            }
        }
        assert!(before.is_none_or(|first| first == 1));
        if let Some((version, true, call)) = newest {
            assert_eq!(store.read(&key).unwrap().unwrap().version, version);
            assert_eq!(store.search(&call, 0, 9).unwrap().items.len(), 1, "{call} is not found");
            live.push(key);
        }
    }
    for (key, version, call) in acknowledged {
        assert_eq!(kept.get(&(key.clone(), *version)), Some(call), "an acknowledged write was lost");
    }
    let heard: HashSet<_> = acknowledged.iter().map(|(_, _, call)| call).collect();
    let unheard = kept.values().filter(|call| !heard.contains(call)).count();
    assert!(unheard <= kills, "{unheard} versions that nobody acknowledged, after {kills} kills");
    let listed: Vec<_> = store.list(None, 100).unwrap().items.into_iter().map(|item| item.key).collect();
    assert_eq!(listed, live);
    // And it can be written to.
    let provenance = Provenance { run: "r".to_owned(), call: "check".to_owned(), trust: Trust::Trusted };
    store.write("checked", &Value::Object(serde_json::Map::new()), &provenance, None).unwrap();
    store.delete("checked", &provenance, None).unwrap();
}
