//! The built-in file tools among files that somebody made in order to harm: pipes, odd names, races, mounts, full disks.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::{Folder, builtin, error, finish};

#[test]
fn a_pipe_does_not_hold_it_up_and_only_a_file_is_one() {
    let folder = Folder::new();
    let pipe = folder.at("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = UnixListener::bind(folder.at("socket")).unwrap();
    std::fs::create_dir(folder.at("folder")).unwrap();
    for at in [&pipe, &folder.at("socket"), &folder.at("folder"), "/dev/null", "/"] {
        error("file_read", &json!({ "path": at }));
        for mode in ["replace", "append", "create"] {
            error("file_write", &json!({ "path": at, "content": "x", "mode": mode }));
        }
    }
    let (ok, found) = builtin("file_search", &json!({ "path": folder.at(""), "text": "x" }));
    assert!(ok && found["files"] == 0, "{found}");
    let (_, listed) = builtin("file_list", &json!({ "path": folder.at("") }));
    let kinds: Vec<_> = listed["entries"].as_array().unwrap().iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["directory", "other", "other"]);
    // With a reader it can be opened for writing, and is no file still.
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    assert!(
        error("file_write", &json!({ "path": pipe, "content": "x", "mode": "append" })).contains("no file")
    );
    drop(reader);
}

#[test]
fn names_of_any_bytes_are_shown_and_marked_where_they_are_not_shown_as_they_are() {
    let folder = Folder::new();
    let odd: [&[u8]; 5] = [b"\xff\xfe", b"a\nb", b"a\x1b[2J", b"-rf *", "\u{202e}txt".as_bytes()];
    for name in odd {
        std::fs::write(std::path::Path::new(&folder.at("")).join(OsStr::from_bytes(name)), "needle").unwrap();
    }
    let (ok, listed) = builtin("file_list", &json!({ "path": folder.at("") }));
    assert!(ok, "{listed}");
    let entries = listed["entries"].as_array().unwrap();
    let lossy: Vec<_> = entries.iter().filter(|entry| entry.get("lossy").is_some()).collect();
    assert!(entries.len() == 5 && lossy.len() == 1 && lossy[0]["path"] == "\u{fffd}\u{fffd}", "{listed}");
    let (_, found) = builtin("file_search", &json!({ "path": folder.at(""), "text": "needle" }));
    assert_eq!(found["matches"].as_array().unwrap().len(), 5);
    let name = folder.at("a\nb");
    assert!(builtin("file_write", &json!({ "path": name, "content": "new" })).0);
    assert_eq!(std::fs::read_to_string(name).unwrap(), "new");
    // A name as long as a name may be has room for its draft.
    let long = folder.file(&"é".repeat(127), "old");
    assert!(builtin("file_write", &json!({ "path": long, "content": "new" })).0);
    assert_eq!(std::fs::read_to_string(long).unwrap(), "new");
}

#[test]
fn deep_trees_and_many_names_are_bounded() {
    let folder = Folder::new();
    let deep = "d/".repeat(40);
    folder.file(&format!("{deep}x"), "needle");
    let (_, found) = builtin("file_search", &json!({ "path": folder.at(""), "text": "needle" }));
    assert_eq!(
        (&found["files"], &found["truncated"]),
        (&json!(0), &json!(true)),
        "it says that it did not look"
    );
    for number in 0..10_001 {
        std::fs::File::create(folder.at(&format!("f{number:05}"))).unwrap();
    }
    let (_, listed) = builtin("file_list", &json!({ "path": folder.at(""), "limit": 10_000 }));
    let entries = listed["entries"].as_array().unwrap();
    assert_eq!(
        (entries.len(), &listed["truncated"], &entries[9999]["path"]),
        (10_000, &json!(true), &json!("f09998"))
    );
}

/// A search that takes time by the product of lengths would take hours.
#[test]
fn a_text_made_to_search_slowly_is_searched_in_linear_time() {
    let folder = Folder::new();
    for number in 0..4 {
        folder.file(&format!("f{number}"), "a".repeat(8 << 20));
    }
    let text = format!("{}b", "a".repeat(999));
    let (ok, found) = builtin("file_search", &json!({ "path": folder.at(""), "text": text }));
    assert!(ok && found["files"] == 4 && found["matches"] == json!([]), "{found}");
}

/// While one party exchanges a folder, and the file in it, for links to a secret, nothing reads or writes the secret.
#[test]
fn a_path_that_is_exchanged_for_a_link_meanwhile_leads_nowhere() {
    let folder = Folder::new();
    let secret = folder.file("secret/f", "secret");
    folder.file("way/f", "open");
    symlink("secret", folder.at("other")).unwrap();
    let (way, other, spare) = (folder.at("way"), folder.at("other"), folder.at("spare"));
    let stop = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&stop);
    let racer = std::thread::spawn(move || {
        let mut turns = 0_u64;
        while !until.load(Ordering::Relaxed) {
            std::fs::rename(&way, &spare).unwrap();
            std::fs::rename(&other, &way).unwrap();
            std::fs::rename(&way, &other).unwrap();
            std::fs::rename(&spare, &way).unwrap();
            turns += 1;
        }
        turns
    });
    let path = folder.at("way/f");
    let (mut opened, mut refused) = (0, 0);
    // Both must have happened: otherwise nothing was tried.
    while opened < 20 || refused < 20 {
        let (ok, read) = builtin("file_read", &json!({ "path": path }));
        assert!(!ok || read["content"] != "secret", "{read}");
        let (wrote, _) = builtin("file_write", &json!({ "path": path, "content": "open" }));
        let (searched, found) =
            builtin("file_search", &json!({ "path": folder.at("way"), "text": "secret" }));
        assert!(!searched || found["matches"] == json!([]), "{found}");
        if ok || wrote {
            opened += 1
        } else {
            refused += 1
        }
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(racer.join().unwrap() > 0);
}

#[test]
fn writers_at_the_same_time_leave_one_content_whole() {
    let folder = Folder::new();
    let path = folder.file("f", "0");
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let arguments = json!({ "path": path, "content": number.to_string().repeat(200_000) });
            std::thread::spawn(move || {
                for _ in 0..5 {
                    let (ok, said) = builtin("file_write", &arguments);
                    assert!(ok, "{said}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let content = std::fs::read_to_string(&path).unwrap();
    assert!(content.len() == 200_000 && content.bytes().all(|byte| byte == content.as_bytes()[0]));
    assert_eq!(folder.names(), ["f"]);
}

/// Runs `script` in namespaces of its own, in which it may mount; `$PROGRAM` is the program, as `mcp`.
fn in_mounts(script: &str, folder: &Folder) -> (bool, Value) {
    let script = format!("set -e\ncd '{}'\n{script}", folder.at(""));
    let program = format!("exec -a mcp {}", env!("CARGO_BIN_EXE_agentrc-inside"));
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "bash",
        "-c",
        &script.replace("$PROGRAM", &program),
    ]);
    let output = finish(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap(), b"");
    (output.status.success(), serde_json::from_slice(&output.stdout).expect("the tool's result"))
}

#[test]
fn a_file_that_is_mounted_is_written_in_place() {
    for (folder_is, script) in [
        ("writable", "mount --bind outside d/f\n"),
        ("read-only", "mount --bind d d\nmount --bind outside d/f\nmount -o remount,ro,bind d\n"),
    ] {
        let folder = Folder::new();
        folder.file("outside", "old and longer");
        folder.file("d/f", "under the mount");
        let arguments = json!({ "path": folder.at("d/f"), "content": "new" });
        let (ok, said) =
            in_mounts(&format!("{script}echo '{arguments}' | ($PROGRAM --builtin file_write)"), &folder);
        assert!(ok, "{folder_is}: {said}");
        assert_eq!(std::fs::read_to_string(folder.at("outside")).unwrap(), "new", "{folder_is}");
        assert_eq!(std::fs::read_to_string(folder.at("d/f")).unwrap(), "under the mount");
        assert_eq!(std::fs::read_dir(folder.at("d")).unwrap().count(), 1, "{folder_is}: no draft is left");
    }
}

/// What is written in place is gone when there is no room for the new: so a full disk is no reason to write in place.
#[test]
fn a_full_disk_leaves_the_old_content() {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("d")).unwrap();
    let arguments = |mode: &str, name: &str| {
        json!({ "path": folder.at(name), "content": "x".repeat(50_000), "mode": mode }).to_string()
    };
    let mount = "mount -t tmpfs -o size=32k tmpfs d\necho old > d/f\n";
    for (mode, name, left) in [("replace", "d/f", "f"), ("create", "d/g", "f"), ("replace", "d/g", "f")] {
        folder.file("arguments", arguments(mode, name));
        let script = format!(
            "{mount}($PROGRAM --builtin file_write) < arguments && exit 1\n[ \"$(cat d/f)\" = old ] && [ \"$(ls -A d)\" = {left} ]"
        );
        let (as_expected, said) = in_mounts(&script, &folder);
        assert!(as_expected && said["error"].as_str().unwrap().contains("No space"), "{mode} {name}: {said}");
    }
}

#[test]
fn what_cannot_be_read_is_counted() {
    let folder = Folder::new();
    folder.file("closed/f", "needle");
    folder.file("hidden", "needle");
    folder.file("open", "needle");
    for name in ["closed", "hidden"] {
        std::fs::set_permissions(folder.at(name), std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
    }
    // Another user than the one whose files they are, since root reads everything.
    let ask = |name: &str, arguments: Value| {
        let program = format!("exec -a mcp {} --builtin {name}", env!("CARGO_BIN_EXE_agentrc-inside"));
        let mut command = if rustix::process::geteuid().is_root() {
            std::fs::set_permissions(folder.at(""), std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
            let mut command = Command::new("setpriv");
            command.args(["--reuid=61400", "--regid=61400", "--clear-groups", "bash"]);
            command
        } else {
            Command::new("bash")
        };
        command.args(["-c", &program]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let output = finish(command.spawn().unwrap(), arguments.to_string().as_bytes());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let listed = ask("file_list", json!({ "path": folder.at(""), "depth": 2 }));
    assert_eq!(
        (listed["entries"].as_array().unwrap().len(), &listed["unreadable"]),
        (3, &json!(1)),
        "{listed}"
    );
    let found = ask("file_search", json!({ "path": folder.at(""), "text": "needle" }));
    assert_eq!((found["matches"].as_array().unwrap().len(), &found["unreadable"]), (1, &json!(2)), "{found}");
    let read = ask("file_read", json!({ "path": folder.at("hidden") }));
    assert!(read["error"].as_str().unwrap().contains("Permission denied"), "{read}");
    for name in ["closed", "hidden"] {
        std::fs::set_permissions(folder.at(name), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
    }
}
