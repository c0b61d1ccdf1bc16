//! `doctor`: what the machine can hold.

use crate::support::World;

#[test]
fn doctor_says_of_every_feature_what_it_costs_and_for_a_missing_one_how_to_get_it() {
    let world = World::new();
    let output = world.agentrc(["doctor", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let features = report["features"].as_array().unwrap();
    let mut required = true;
    for feature in features {
        assert!(feature["cost"].is_string(), "{feature:#}");
        if feature["present"] == false {
            let remedies = feature["remedies"].as_array().unwrap();
            assert!(!remedies.is_empty(), "{feature:#}");
            assert!(remedies.iter().all(|remedy| !remedy["fix"].as_str().unwrap().is_empty()), "{feature:#}");
            required &= feature["needed_for"] != "every run";
        }
    }
    for name in ["user-namespaces", "landlock", "seccomp", "overlay", "cgroup-memory"] {
        assert!(features.iter().any(|feature| feature["name"] == name), "{name}");
    }
    assert_eq!(report["ready"], required);
    assert_eq!(output.status.code(), Some(if required { 0 } else { 1 }));
}

#[test]
fn doctor_in_text_has_a_line_for_each_feature_and_no_colour_in_a_file() {
    let world = World::new();
    let text = world.agentrc(["doctor"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("state-directory") && text.contains("user-namespaces"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn doctor_reports_a_state_directory_that_cannot_be_used() {
    let world = World::new();
    let output = world.agentrc(["doctor", "--json"]).env("XDG_STATE_HOME", "relative").assert().code(1);
    let report: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(report["ready"], false);
    assert!(report["state_directory_error"].as_str().unwrap().contains("not absolute"), "{report:#}");
    let text = world.agentrc(["doctor"]).env("XDG_STATE_HOME", "relative").assert().code(1);
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    assert!(text.contains("MISSING   state-directory") && text.contains("agentrc cannot run here"), "{text}");
}
