//! The broker's process, confined: it keeps memories in its folder, and can do nothing else with files, sockets or programs.

use std::collections::BTreeMap;

use crate::program::as_each;

/// Everything that is tried, with what must come of it.
const TRIED: &[(&str, &str)] = &[
    ("status", "done"),
    ("read", "PermissionDenied"),
    ("write", "PermissionDenied"),
    ("read /proc of the supervisor", "PermissionDenied"),
    ("write to /proc", "PermissionDenied"),
    ("unix socket", "Uncategorized"),
    ("tcp socket", "Uncategorized"),
    // No table names it: a call of a later kernel than this one, to whoever asks.
    ("chmod", "Unsupported"),
];

#[test]
fn it_keeps_memories_and_nothing_else_is_left_to_it() {
    as_each(|lab| {
        let memories = lab.path("memories");
        lab.directory(&memories);
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&memories, private).expect("chmod");
        for folder in [None, Some(&memories)] {
            let mut command = lab.agentrc(["confined"]);
            command.args(folder);
            let outcome = lab.finish_command(command);
            outcome.expect_code(0);
            let out = outcome.out();
            let said: BTreeMap<_, _> = out.lines().filter_map(|line| line.split_once(": ")).collect();
            for (act, expected) in TRIED {
                assert_eq!(said.get(act), Some(expected), "{act}, {folder:?}: {out}");
            }
            assert_eq!(said.get("keep").copied(), folder.map(|_| "done"), "{out}");
            // It tried, and was killed.
            assert!(out.contains("\nexecute\n") && !said.contains_key("execute"), "{out}");
            assert_eq!(said.get("table"), Some(&"Some(\"broker\")"), "{out}");
        }
        assert!(!std::path::Path::new("/tmp/agentrc-broker-wrote").exists());
    });
}

#[test]
fn a_folder_that_is_not_there_is_a_refusal() {
    as_each(|lab| {
        let mut command = lab.agentrc(["confined"]);
        command.arg(lab.path("nowhere"));
        let outcome = lab.finish_command(command);
        let expected = format!(
            "refused at broker-confine: could not take the broker's own rights away (`{}",
            lab.path("nowhere").display()
        );
        assert!(outcome.out().starts_with(&expected), "{}", outcome.out());
    });
}
