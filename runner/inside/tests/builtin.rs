//! The built-in file tools, on real files: what they do, and what they do not follow.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The result of one; whether it succeeded.
fn run(name: &str, arguments: &Value) -> (bool, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agentrc-inside"))
        .args(["--builtin", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(arguments.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().canonicalize().unwrap().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_file_is_read_in_parts_and_as_base64() {
    let folder = folder();
    let file = path(&folder, "a");
    std::fs::write(&file, "héllo").unwrap();
    let (ok, whole) = run("file_read", &json!({ "path": file }));
    assert!(
        ok && whole["content"] == "héllo" && whole["size"] == 6 && whole["truncated"] == false,
        "{whole}"
    );
    let (_, cut) = run("file_read", &json!({ "path": file, "limit": 2 }));
    assert!(cut["content"] == "h" && cut["truncated"] == true, "{cut}");
    let (ok, bad) = run("file_read", &json!({ "path": file, "offset": 2 }));
    assert!(!ok && bad["error"].as_str().unwrap().contains("base64"), "{bad}");
    let (_, raw) = run("file_read", &json!({ "path": file, "offset": 2, "encoding": "base64" }));
    assert_eq!(raw["content"], "qWxsbw==");
}

#[test]
fn no_link_is_followed_in_any_part_of_a_path() {
    let folder = folder();
    std::fs::create_dir(path(&folder, "real")).unwrap();
    std::fs::write(path(&folder, "real/a"), "secret").unwrap();
    symlink("real", path(&folder, "way")).unwrap();
    symlink("real/a", path(&folder, "link")).unwrap();
    for way in ["way/a", "link"] {
        let at = path(&folder, way);
        for (name, arguments) in [
            ("file_read", json!({ "path": at })),
            ("file_write", json!({ "path": at, "content": "x" })),
            ("file_write", json!({ "path": at, "content": "x", "mode": "append" })),
        ] {
            let (ok, said) = run(name, &arguments);
            assert!(!ok, "{name} {at}: {said}");
        }
    }
    for at in ["way", "link"] {
        assert!(!run("file_list", &json!({ "path": path(&folder, at) })).0);
        assert!(!run("file_search", &json!({ "path": path(&folder, at), "text": "secret" })).0);
    }
    assert_eq!(std::fs::read_to_string(path(&folder, "real/a")).unwrap(), "secret");
    for odd in ["/proc/self/root/etc/hostname", "relative", "/tmp/../etc/hostname", ""] {
        assert!(!run("file_read", &json!({ "path": odd })).0, "{odd}");
    }
}

#[test]
fn writing_replaces_whole_or_creates_or_appends() {
    let folder = folder();
    let file = path(&folder, "a");
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(run("file_write", &json!({ "path": file, "content": "new" })).0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(run("file_write", &json!({ "path": file, "content": "er", "mode": "append" })).0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "newer");
    assert!(!run("file_write", &json!({ "path": file, "content": "x", "mode": "create" })).0);
    let other = path(&folder, "b");
    assert!(
        run(
            "file_write",
            &json!({ "path": other, "content": "AP8=", "encoding": "base64", "mode": "create" })
        )
        .0
    );
    assert_eq!(std::fs::read(&other).unwrap(), [0, 0xff]);
    assert!(!run("file_write", &json!({ "path": other, "content": "A", "encoding": "base64" })).0);
    assert!(!run("file_write", &json!({ "path": folder.path(), "content": "x" })).0);
    // Nothing is left of drafts.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn listing_and_searching_stay_below_and_are_bounded() {
    let folder = folder();
    std::fs::create_dir_all(path(&folder, "d/e")).unwrap();
    for (name, text) in [("b.txt", "one\nneedle here\r\n"), ("d/e/c.rs", "needle"), ("bin", "\0needle")] {
        std::fs::write(path(&folder, name), text).unwrap();
    }
    symlink("/etc", path(&folder, "etc")).unwrap();
    let (_, listed) = run("file_list", &json!({ "path": path(&folder, ""), "depth": 8 }));
    let names: Vec<_> =
        listed["entries"].as_array().unwrap().iter().map(|entry| entry["path"].clone()).collect();
    assert_eq!(names, ["b.txt", "bin", "d", "d/e", "d/e/c.rs", "etc"], "{listed}");
    let (_, few) = run("file_list", &json!({ "path": path(&folder, ""), "depth": 8, "limit": 2 }));
    assert!(few["entries"].as_array().unwrap().len() == 2 && few["truncated"] == true);
    let (_, found) = run("file_search", &json!({ "path": path(&folder, ""), "text": "needle" }));
    assert_eq!(
        found["matches"],
        json!([{ "path": "b.txt", "line": 2, "text": "needle here" }, { "path": "d/e/c.rs", "line": 1, "text": "needle" }])
    );
    let (_, named) =
        run("file_search", &json!({ "path": path(&folder, ""), "text": "needle", "names": "*.rs" }));
    assert_eq!(named["matches"].as_array().unwrap().len(), 1);
}

#[test]
fn a_pipe_does_not_hold_it_up_and_a_device_is_no_file() {
    let folder = folder();
    let pipe = path(&folder, "pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for at in [pipe.as_str(), "/dev/zero", "/"] {
        assert!(!run("file_read", &json!({ "path": at })).0, "{at}");
        assert!(!run("file_write", &json!({ "path": at, "content": "x" })).0, "{at}");
    }
}

#[test]
fn arguments_of_another_type_are_errors() {
    for (name, arguments) in [
        ("file_read", json!({ "path": 1 })),
        ("file_read", json!({ "path": "/etc/hostname", "limit": "1" })),
        ("file_read", json!({ "path": "/etc/hostname", "limit": 0 })),
        ("file_read", json!({ "path": "/etc/hostname", "encoding": "latin1" })),
        ("file_list", json!({})),
        ("shell", json!({ "command": [] })),
        ("nothing", json!({})),
        ("file_read", json!([])),
    ] {
        let (ok, said) = run(name, &arguments);
        assert!(!ok && said["error"].is_string(), "{name} {arguments}: {said}");
    }
}

#[test]
fn a_command_says_what_it_said_on_both_streams() {
    let (ok, said) = run("shell", &json!({ "command": "echo out; echo err >&2; exit 3", "directory": "/" }));
    assert!(ok, "{said}");
    assert_eq!(
        (&said["stdout"], &said["stderr"], &said["exit_code"]),
        (&json!("out\n"), &json!("err\n"), &json!(3))
    );
    let (_, much) = run("shell", &json!({ "command": "head -c 400000 /dev/zero | tr '\\0' x" }));
    assert!(much["truncated"] == true && much["stdout"].as_str().unwrap().len() == 256 << 10);
    let (_, killed) = run("shell", &json!({ "command": "kill -9 $$" }));
    assert_eq!(killed["signal"], 9);
    let (ok, late) = run("shell", &json!({ "command": "sleep 60", "timeout_seconds": 1 }));
    assert!(!ok && late["error"].as_str().unwrap().contains("1 s"), "{late}");
}
