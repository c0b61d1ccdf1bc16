//! The files of a store are this user's alone, or it is not opened.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use agentrc_audit::folder::Folder;
use agentrc_memory::{Error, Limits, Mode, Name, Schema, Store};

use crate::{NOTE, State, put, text};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The store is refused for `why`, and opens again after `mend`.
#[track_caller]
fn refused_until(state: &State, why: &str, mend: impl FnOnce()) {
    let error = state.reopen().unwrap_err();
    assert!(matches!(error, Error::Kept(_)), "{error:?}");
    assert!(error.to_string().contains(why), "{error}");
    mend();
    assert_eq!(text(&state.store(), "a").as_deref(), Some("one"));
}

/// A state with a store that holds a note under `a`, closed.
fn kept() -> State {
    let state = State::new();
    put(&mut state.store(), "a", "one");
    state
}

#[test]
fn folders_are_0700_and_files_0600_while_the_store_is_open_too() {
    let state = State::new();
    let mut store = state.store();
    put(&mut store, "a", "one");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    for folder in ["memory", "memory/coder", "memory/coder/notes"] {
        assert_eq!(mode(&state.dir.path().join(folder)), 0o700, "{folder}");
    }
    let mut files: Vec<_> = fs::read_dir(state.file(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["memory.db", "memory.db-shm", "memory.db-wal"]);
    for file in files {
        assert_eq!(mode(&state.file(&file)), 0o600, "{file}");
    }
    drop(store);
    assert_eq!(fs::read_dir(state.file("")).unwrap().count(), 1);
}

#[test]
fn a_file_that_others_may_read_or_write_is_refused() {
    let state = kept();
    for mode in [0o640, 0o602, 0o666] {
        chmod(&state.database(), mode);
        refused_until(&state, "is open to other users", || chmod(&state.database(), 0o600));
    }
    fs::write(state.file("memory.db-wal"), "").unwrap();
    chmod(&state.file("memory.db-wal"), 0o644);
    refused_until(&state, "memory.db-wal` is open to other users", || {
        chmod(&state.file("memory.db-wal"), 0o600);
    });
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let state = kept();
    for folder in ["memory/coder/notes", "memory/coder", "memory", ""] {
        let folder = state.dir.path().join(folder);
        chmod(&folder, 0o750);
        refused_until(&state, "is open to other users", || chmod(&folder, 0o700));
    }
}

#[test]
fn a_symbolic_or_hard_link_or_a_pipe_is_refused() {
    let state = kept();
    let aside = state.dir.path().join("aside");
    for name in ["memory.db", "memory.db-wal", "memory.db-shm", "memory.db-journal"] {
        let file = state.file(name);
        let was_there = file.exists();
        if was_there {
            fs::rename(&file, &aside).unwrap();
        }
        let back = || {
            fs::remove_file(&file).unwrap();
            if was_there {
                fs::rename(&aside, &file).unwrap();
            }
        };
        symlink(&aside, &file).unwrap();
        refused_until(&state, "is not an ordinary file", back);
        if was_there {
            fs::rename(&file, &aside).unwrap();
        }
        // Opening a pipe would wait for the other end.
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        refused_until(&state, "is not an ordinary file", back);
    }
    fs::hard_link(state.database(), &aside).unwrap();
    refused_until(&state, "is not an ordinary file with one name", || fs::remove_file(&aside).unwrap());
}

#[test]
fn a_folder_that_is_a_symbolic_link_is_refused() {
    let state = kept();
    for folder in ["memory/coder/notes", "memory/coder", "memory"] {
        let folder = state.dir.path().join(folder);
        let aside = state.dir.path().join("aside");
        fs::rename(&folder, &aside).unwrap();
        symlink(&aside, &folder).unwrap();
        refused_until(&state, "cannot open", || {
            fs::remove_file(&folder).unwrap();
            fs::rename(&aside, &folder).unwrap();
        });
    }
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if rustix::process::geteuid().is_root() {
        let state = kept();
        for path in ["memory/coder/notes/memory.db", "memory/coder/notes", "memory/coder", "memory"] {
            let path = state.dir.path().join(path);
            chown(&path, Some(65_534), None).unwrap();
            refused_until(&state, "belongs to user 65534", || chown(&path, Some(0), None).unwrap());
        }
    } else {
        // A user can give nothing away; what is root's is another's.
        let root = Folder::open(Path::new("/")).unwrap();
        let schema = Schema::compile(NOTE.as_bytes(), "Note").unwrap();
        let name = Name { agent: "a", memory: "b", mode: Mode::ReadOnly };
        let error = Store::open(&root, name, schema, Limits::default()).unwrap_err();
        assert!(error.to_string().contains("belongs to user 0"), "{error}");
    }
}

#[test]
fn a_state_directory_behind_a_symbolic_link_of_the_operator_is_used() {
    let state = kept();
    let outer = tempfile::tempdir().unwrap();
    let link = outer.path().join("link");
    symlink(state.dir.path(), &link).unwrap();
    let schema = Schema::compile(NOTE.as_bytes(), "Note").unwrap();
    let name = Name { agent: "coder", memory: "notes", mode: Mode::ReadWrite };
    let store = Store::open(&Folder::open(&link).unwrap(), name, schema, Limits::default()).unwrap();
    assert_eq!(text(&store, "a").as_deref(), Some("one"));
    assert_eq!(store.path(), fs::canonicalize(state.database()).unwrap());
}

#[test]
fn drafts_of_processes_that_were_killed_are_removed() {
    let state = State::new();
    fs::create_dir_all(state.file("")).unwrap();
    for folder in ["memory", "memory/coder", "memory/coder/notes"] {
        chmod(&state.dir.path().join(folder), 0o700);
    }
    for name in [".memory.db.00", ".memory.db.00-wal", ".memory.db.00-shm"] {
        fs::write(state.file(name), "half").unwrap();
    }
    drop(state.store());
    let left: Vec<_> =
        fs::read_dir(state.file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["memory.db"]);
}
