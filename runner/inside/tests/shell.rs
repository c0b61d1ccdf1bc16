//! The built-in `shell`: what a command said, how it ended, and that nothing of it goes on.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use serde_json::json;
use support::{Folder, builtin, error};

/// That the process whose number is in `pid` ends: it was killed, which the kernel carries out when it next runs it.
fn is_ended(folder: &Folder) {
    let pid = std::fs::read_to_string(folder.at("pid")).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let ended = || state().is_empty() || state().contains(") Z");
    for _ in 0..10_000 {
        if ended() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(ended(), "it is still there: {}", state());
}

#[test]
fn a_command_says_what_it_said_on_both_streams() {
    let folder = Folder::new();
    let command = "echo out; echo err >&2; pwd; exit 3";
    let (ok, said) = builtin("shell", &json!({ "command": command, "directory": folder.at("") }));
    let wanted = json!({
        "exit_code": 3, "stdout": format!("out\n{}\n", folder.at("")), "stderr": "err\n", "truncated": false
    });
    assert!(ok && said == wanted, "{said}");
    let (_, said) = builtin("shell", &json!({ "command": "kill -9 $$" }));
    assert_eq!(said, json!({ "signal": 9, "stdout": "", "stderr": "", "truncated": false }));
    let (_, said) = builtin("shell", &json!({ "command": "printf 'a\\377b'" }));
    assert_eq!(said["stdout"], "a\u{fffd}b");
}

#[test]
fn what_is_too_much_is_counted() {
    let command = "head -c 3000000 /dev/zero | tr '\\0' x; head -c 1048576 /dev/zero | tr '\\0' y >&2";
    let (ok, said) = builtin("shell", &json!({ "command": command }));
    assert!(ok && said["truncated"] == true && said["exit_code"] == 0);
    assert_eq!(said["stdout"].as_str().unwrap().len(), 256 << 10);
    assert_eq!(said["stderr"].as_str().unwrap().len(), 256 << 10);
    assert_eq!(said["bytes"], json!({ "stdout": 3_000_000, "stderr": 1_048_576 }));
}

#[test]
fn a_command_has_no_input() {
    let (ok, said) = builtin("shell", &json!({ "command": "cat; echo end" }));
    assert!(ok && said["stdout"] == "end\n", "{said}");
}

/// It would hold the output open, and the call would wait for it.
#[test]
fn what_is_left_in_the_background_ends_with_the_command() {
    let folder = Folder::new();
    let command = "sleep 1000 & echo $! > pid; echo done";
    let (ok, said) = builtin("shell", &json!({ "command": command, "directory": folder.at("") }));
    assert!(ok && said["stdout"] == "done\n" && said["exit_code"] == 0, "{said}");
    is_ended(&folder);
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let folder = Folder::new();
    let command = "sleep 1000 & echo $! > pid; sleep 1000";
    let arguments = json!({ "command": command, "directory": folder.at(""), "timeout_seconds": 8 });
    assert_eq!(error("shell", &arguments), "the command took more than 8 s, and was ended");
    is_ended(&folder);
}

#[test]
fn what_leaves_its_group_and_holds_the_output_is_given_up() {
    let folder = Folder::new();
    let command = "setsid sh -c 'echo $$ > pid; exec sleep 1000' & while [ ! -s pid ]; do sleep 0.01; done";
    let arguments = json!({ "command": command, "directory": folder.at(""), "timeout_seconds": 8 });
    let said = error("shell", &arguments);
    let pid = std::fs::read_to_string(folder.at("pid")).unwrap();
    // Inside, the sandbox of the call ends it.
    std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    assert!(said.contains("what it left behind"), "{said}");
}

#[test]
fn a_folder_that_is_none_is_told_apart_from_a_shell_that_is_none() {
    let folder = Folder::new();
    let file = folder.file("f", "");
    let nothing = folder.at("nothing");
    for (directory, wanted) in [(&nothing, "No such file"), (&file, "no folder"), (&"a\0b".to_owned(), "NUL")]
    {
        let said = error("shell", &json!({ "command": "true", "directory": directory }));
        assert!(said.to_lowercase().contains(&wanted.to_lowercase()), "{said}");
    }
    assert!(error("shell", &json!({ "command": "a\0b" })).contains("NUL"));
}
