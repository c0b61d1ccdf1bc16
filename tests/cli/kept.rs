//! What is kept on the host: runs, grants, logs; and commands about runs that do not exist.

use crate::support::World;

#[test]
fn an_empty_state_is_said_to_be_empty() {
    let world = World::new();
    world.ends(["runs"], 0).out_has(&["no runs yet"]);
    world.ends(["grants"], 0).out_has(&["no grants"]);
    world.ends(["audit", "list"], 0).out_has(&["no logs yet"]);
    assert_eq!(world.ends(["runs", "--json"], 0).json(), serde_json::json!({"runs": []}));
    assert_eq!(world.ends(["grants", "--json"], 0).json(), serde_json::json!({"grants": []}));
    assert_eq!(world.ends(["audit", "list", "--json"], 0).json(), serde_json::json!({"logs": []}));
}

#[test]
fn a_run_that_does_not_exist_is_an_error_with_a_way_out() {
    let world = World::new();
    for words in [["diff", "latest"], ["apply", "latest"], ["discard", "latest"], ["why", "latest"]] {
        world.ends(words, 1).err_has(&["no run is called `latest`", "help: `agentrc runs` lists them"]);
    }
    for words in [["audit", "show", "x/../y"], ["audit", "verify", "../../etc"], ["runs", "--remove", "."]] {
        world.ends(words, 1).err_has(&["no run is called"]);
    }
    world.ends(["why", "\u{1b}[2J"], 1).plain();
}

#[test]
fn a_state_directory_that_others_may_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.ends(["runs"], 0);
    let state = world.outside("state/agentrc");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.ends(["runs"], 1).err_has(&["open to other users", "help: chmod 0700"]);
}

#[test]
fn revoking_what_nobody_granted_is_an_error() {
    let world = World::new();
    world.ends(["grants", "--revoke", "."], 1).err_has(&["nothing is granted to", "agentrc grants"]);
    world.ends(["grants", "--revoke", "missing"], 1).err_has(&["cannot find `missing`"]);
}
