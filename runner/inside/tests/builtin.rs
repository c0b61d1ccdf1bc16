//! The built-in file tools, on real files: what they do, what they refuse.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};
use support::{Folder, builtin, error, program, raw};

fn paths(listed: &Value, of: &str) -> Vec<String> {
    listed[of].as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_file_is_read_in_parts_and_as_base64() {
    let folder = Folder::new();
    let file = folder.file("a", "héllo");
    let (ok, whole) = builtin("file_read", &json!({ "path": file }));
    let wanted = json!({
        "path": file, "size": 6, "offset": 0, "content": "héllo", "encoding": "utf-8", "truncated": false
    });
    assert!(ok && whole == wanted, "{whole}");
    let (_, cut) = builtin("file_read", &json!({ "path": file, "limit": 2 }));
    assert_eq!((&cut["content"], &cut["truncated"]), (&json!("h"), &json!(true)));
    let (_, rest) = builtin("file_read", &json!({ "path": file, "offset": 1, "limit": 5 }));
    assert_eq!((&rest["content"], &rest["truncated"]), (&json!("éllo"), &json!(false)));
    assert!(error("file_read", &json!({ "path": file, "offset": 2 })).contains("base64"));
    assert!(error("file_read", &json!({ "path": file, "offset": 1, "limit": 1 })).contains("`limit`"));
    let (_, raw) = builtin("file_read", &json!({ "path": file, "offset": 2, "encoding": "base64" }));
    assert_eq!(raw["content"], "qWxsbw==");
    let (ok, beyond) = builtin("file_read", &json!({ "path": file, "offset": 1000 }));
    assert!(ok && beyond["content"] == "" && beyond["truncated"] == false, "{beyond}");
}

#[test]
fn a_huge_file_is_read_up_to_the_limit() {
    let folder = Folder::new();
    let file = folder.at("huge");
    std::fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    let (_, part) = builtin("file_read", &json!({ "path": file, "offset": 1_u64 << 39 }));
    assert_eq!(part["content"].as_str().unwrap().len(), 262_144);
    assert_eq!((&part["size"], &part["truncated"]), (&json!(1_u64 << 40), &json!(true)));
    let (ok, _) = builtin("file_read", &json!({ "path": file, "limit": 1_048_576 }));
    assert!(ok);
    assert!(error("file_read", &json!({ "path": file, "limit": 1_048_577 })).contains("1048576"));
    assert!(error("file_read", &json!({ "path": file, "offset": u64::MAX })).contains("`offset`"));
}

/// A file of /proc has no size, and still a content.
#[test]
fn a_file_without_a_size_is_read() {
    let path = format!("/proc/{}/status", std::process::id());
    let (ok, read) = builtin("file_read", &json!({ "path": path }));
    assert!(ok && read["content"].as_str().unwrap().starts_with("Name:"), "{read}");
}

#[test]
fn no_link_is_followed_in_any_part_of_a_path() {
    let folder = Folder::new();
    folder.file("real/a", "secret");
    symlink("real", folder.at("way")).unwrap();
    symlink("real/a", folder.at("link")).unwrap();
    symlink("nothing", folder.at("dangling")).unwrap();
    for way in ["way/a", "link", "dangling"] {
        let at = folder.at(way);
        for (name, arguments) in [
            ("file_read", json!({ "path": at })),
            ("file_write", json!({ "path": at, "content": "x" })),
            ("file_write", json!({ "path": at, "content": "x", "mode": "append" })),
            ("file_search", json!({ "path": at, "text": "secret" })),
        ] {
            let said = error(name, &arguments);
            assert!(said.contains(&at) && said.contains("symbolic link"), "{name}: {said}");
        }
        error("file_write", &json!({ "path": at, "content": "x", "mode": "create" }));
    }
    for at in ["way", "link"] {
        assert!(error("file_list", &json!({ "path": folder.at(at) })).contains("symbolic link"));
    }
    assert_eq!(std::fs::read_to_string(folder.at("real/a")).unwrap(), "secret");
    assert_eq!(folder.names(), ["dangling", "link", "real", "way"]);
}

#[test]
fn paths_that_could_be_read_in_two_ways_are_refused() {
    let folder = Folder::new();
    folder.file("d/a", "x");
    for (path, wanted) in [
        ("", "empty"),
        ("/proc/self/root/etc/hostname", "symbolic link"),
        (&folder.at("d/../d/a"), "`..`"),
        (&folder.at("d/a\0b"), "NUL"),
        (&folder.at("nothing"), "No such file"),
        (&folder.at("d/a/b"), "Not a directory"),
        (&folder.at(&"x".repeat(300)), "File name too long"),
    ] {
        let said = error("file_read", &json!({ "path": path }));
        assert!(said.contains(wanted), "{path}: {said}");
    }
    // Those below the working directory may be written so.
    for path in ["d/a", "./d//a"] {
        let mut command = program(&["--builtin", "file_read"]);
        let (ok, read) = raw_in(command.current_dir(folder.at("")), &json!({ "path": path }));
        assert!(ok && read["content"] == "x" && read["path"] == path, "{read}");
        let (ok, _) = raw_in(command.current_dir(folder.at("d")), &json!({ "path": "../d/a" }));
        assert!(!ok);
    }
}

fn raw_in(command: &mut std::process::Command, arguments: &Value) -> (bool, Value) {
    let output = support::finish(command.spawn().unwrap(), arguments.to_string().as_bytes());
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn writing_replaces_whole_or_creates_or_appends() {
    let folder = Folder::new();
    let file = folder.file("a", "old");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let before = std::fs::File::open(&file).unwrap();
    let (ok, said) = builtin("file_write", &json!({ "path": file, "content": "née" }));
    assert!(ok && said == json!({ "path": file, "written": 4 }), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "née");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    // Who had opened the old one has it, whole.
    assert_eq!(std::io::read_to_string(before).unwrap(), "old");
    assert!(builtin("file_write", &json!({ "path": file, "content": "!", "mode": "append" })).0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "née!");
    let create =
        |path: &str| json!({ "path": path, "content": "AP8=", "encoding": "base64", "mode": "create" });
    assert!(error("file_write", &create(&file)).contains("File exists"));
    for (name, mode) in [("b", "create"), ("c", "replace"), ("d", "append")] {
        let other = folder.at(name);
        let arguments = json!({ "path": other, "content": "AP8=", "encoding": "base64", "mode": mode });
        assert!(builtin("file_write", &arguments).0);
        assert_eq!(std::fs::read(&other).unwrap(), [0, 0xff], "{mode}");
    }
    let bad = json!({ "path": folder.at("b"), "content": "A", "encoding": "base64" });
    assert!(error("file_write", &bad).contains("base64"));
    assert_eq!(std::fs::read(folder.at("b")).unwrap(), [0, 0xff]);
    for path in [folder.at(""), folder.at("new/"), folder.at("no/x"), "/".to_owned()] {
        error("file_write", &json!({ "path": path, "content": "x" }));
    }
    assert_eq!(folder.names(), ["a", "b", "c", "d"], "no draft is left");
}

#[test]
fn listing_is_by_name_bounded_and_follows_nothing() {
    let folder = Folder::new();
    folder.file("b.txt", "12345");
    folder.file("d/e/c.rs", "");
    folder.file("d.x", "");
    symlink("/etc", folder.at("etc")).unwrap();
    let list = |more: Value| {
        let mut arguments = json!({ "path": folder.at("") });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (ok, listed) = builtin("file_list", &arguments);
        assert!(ok, "{listed}");
        listed
    };
    let listed = list(json!({ "depth": 8 }));
    assert_eq!(paths(&listed, "entries"), ["b.txt", "d", "d/e", "d/e/c.rs", "d.x", "etc"]);
    assert_eq!(listed["entries"][0], json!({ "path": "b.txt", "kind": "file", "size": 5 }));
    assert_eq!(listed["entries"][1]["kind"], "directory");
    assert_eq!(listed["entries"][5]["kind"], "symlink");
    assert_eq!((&listed["truncated"], listed.get("unreadable")), (&json!(false), None));
    assert_eq!(paths(&list(json!({})), "entries"), ["b.txt", "d", "d.x", "etc"]);
    assert_eq!(paths(&list(json!({ "depth": 2 })), "entries"), ["b.txt", "d", "d/e", "d.x", "etc"]);
    let few = list(json!({ "depth": 8, "limit": 2 }));
    assert!(paths(&few, "entries") == ["b.txt", "d"] && few["truncated"] == true);
    assert_eq!(list(json!({ "depth": 8, "limit": 6 }))["truncated"], false);
    assert!(error("file_list", &json!({ "path": folder.at("b.txt") })).contains("Not a directory"));
}

#[test]
fn searching_finds_lines_as_they_stand() {
    let folder = Folder::new();
    folder.file("b.txt", "one\nneedle here\r\nNEEDLE\n");
    folder.file("d/e/c.rs", format!("{}needle", "é".repeat(500)));
    folder.file("d/latin", b"\xe9 needle");
    folder.file("bin", b"\0needle");
    folder.file("late", [&[b'x'; 9000][..], b"\0\nneedle"].concat());
    let large = std::fs::File::create(folder.at("large")).unwrap();
    std::io::Write::write_all(&mut &large, b"needle\n").unwrap();
    large.set_len((8 << 20) + 1).unwrap();
    symlink("b.txt", folder.at("link")).unwrap();
    let search = |more: Value| {
        let mut arguments = json!({ "path": folder.at(""), "text": "needle" });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (ok, found) = builtin("file_search", &arguments);
        assert!(ok, "{found}");
        found
    };
    let found = search(json!({}));
    let wanted = ["b.txt", "d/e/c.rs", "d/latin", "late"];
    assert_eq!(paths(&found, "matches"), wanted);
    assert_eq!(found["matches"][0], json!({ "path": wanted[0], "line": 2, "text": "needle here" }));
    assert_eq!(found["matches"][1]["text"], "é".repeat(400));
    assert_eq!((&found["truncated"], &found["files"]), (&json!(false), &json!(5)));
    assert_eq!(paths(&search(json!({ "names": "*.r?" })), "matches"), ["d/e/c.rs"]);
    let one = search(json!({ "limit": 1 }));
    assert!(paths(&one, "matches").len() == 1 && one["truncated"] == true, "{one}");
    assert_eq!(search(json!({ "limit": 4 }))["truncated"], false);
    // No pattern, and in one file, too.
    assert!(paths(&search(json!({ "text": ".*" })), "matches").is_empty());
    let file = search(json!({ "path": folder.at("b.txt") }));
    assert_eq!(paths(&file, "matches"), ["b.txt"]);
    for text in ["", "a\nb", &"x".repeat(1001)] {
        assert!(error("file_search", &json!({ "path": folder.at(""), "text": text })).contains("`text`"));
    }
    error("file_search", &json!({ "path": folder.at("large"), "text": "needle" }));
}

#[test]
fn arguments_of_another_type_or_name_are_errors() {
    let folder = Folder::new();
    let file = folder.file("a", "x");
    for (name, arguments, wanted) in [
        ("file_read", json!({ "path": 1 }), "`path` is no text"),
        ("file_read", json!({ "path": null }), "`path` is no text"),
        ("file_read", json!({ "path": file, "limit": "1" }), "`limit` is no number from 1 to 1048576"),
        ("file_read", json!({ "path": file, "limit": 0 }), "`limit`"),
        ("file_read", json!({ "path": file, "limit": 1.0 }), "`limit`"),
        ("file_read", json!({ "path": file, "offset": -1 }), "`offset`"),
        ("file_read", json!({ "path": file, "encoding": "latin1" }), "none of: utf-8, base64"),
        ("file_read", json!({ "path": file, "Path": file }), "no argument `Path`"),
        ("file_write", json!({ "path": file }), "`content` is missing"),
        ("file_write", json!({ "path": file, "content": ["x"] }), "`content` is no text"),
        ("file_write", json!({ "path": file, "content": "y", "mode": "truncate" }), "`mode`"),
        ("file_list", json!({}), "`path` is missing"),
        ("file_list", json!({ "path": file, "depth": 9 }), "from 1 to 8"),
        ("file_list", json!({ "path": file, "limit": 10_001 }), "from 1 to 10000"),
        ("file_search", json!({ "path": file, "text": "x", "limit": 1001 }), "from 1 to 1000"),
        ("file_search", json!({ "path": file, "text": "x", "names": 1 }), "`names` is no text"),
        ("shell", json!({ "command": [] }), "`command` is no text"),
        ("shell", json!({ "command": "true", "timeout_seconds": 601 }), "from 1 to 600"),
        ("shell", json!({ "command": "true", "environment": {} }), "no argument"),
        ("current_time", json!({}), "no built-in tool"),
    ] {
        let said = error(name, &arguments);
        assert!(said.contains(wanted), "{name} {arguments}: {said}");
    }
    for input in [&b""[..], b"[]", b"{", b"{\"path\":\"/a\",\"path\":\"/b\"}", &[b' '; (4 << 20) + 1]] {
        let (ok, said) = raw(program(&["--builtin", "file_read"]), input);
        assert!(!ok && said["error"].as_str().unwrap().contains("standard input"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
}
