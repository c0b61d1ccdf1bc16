//! What the operator of a host insists on (`docs/configuration.md`): a layer that cannot be had is a refusal then, and the
//! first event says what is in force in any case.

use agentrc_test_support::{Lab, as_each, audit};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const NETWORK: &str = "AGENT required\nURL https://api.example.com\nCMD /bin/true\n";

/// Runs with a configuration; the exit code, and what was said.
fn run(lab: &Lab, configuration: &str) -> (i32, String) {
    lab.directory(lab.path("config"));
    lab.directory(lab.path("config/agentrc"));
    lab.file(lab.path("config/agentrc/agentrc.toml"), configuration);
    lab.agentfile(NETWORK);
    let mut command = lab.agentrc(["run".as_ref(), lab.project("Agentfile").as_os_str()]);
    command.env("XDG_CONFIG_HOME", lab.path("config"));
    let outcome = lab.finish_command(command);
    (outcome.code(), outcome.stderr)
}

/// The evidence of the last run about the egress filter.
fn attached(lab: &Lab) -> String {
    let run = lab.runs().pop().unwrap_or_default();
    let events = audit::events(&run);
    let layers =
        events.first().and_then(|event| event.pointer("/evidence/layers")).cloned().unwrap_or_default();
    let of_the_filter = |layer: &&serde_json::Value| layer.pointer("/layer") == Some(&"ebpf".into());
    let layer = layers.as_array().into_iter().flatten().find(of_the_filter).cloned().unwrap_or_default();
    layer.pointer("/read_back/attached").and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

#[test]
fn the_first_event_says_whether_the_egress_filter_is_attached() {
    as_each(AGENTRC, |lab| {
        let (code, said) = run(lab, "");
        assert_eq!(code, 0, "as {}: {said}", lab.who.name);
        let attached = attached(lab);
        if lab.who.is_root() {
            assert_eq!(attached, "yes");
        } else {
            assert!(attached.starts_with("no: "), "as {}: {attached}", lab.who.name);
        }
    });
}

#[test]
fn a_required_filter_that_cannot_be_loaded_is_a_refusal_that_names_the_place() {
    as_each(AGENTRC, |lab| {
        let (code, said) = run(lab, "[enforcement]\nrequire = [\"ebpf\"]\n");
        if lab.who.is_root() {
            assert_eq!(code, 0, "{said}");
        } else {
            assert_eq!(code, 125, "as {}: {said}", lab.who.name);
            assert!(said.contains("agentrc.toml:2:"), "as {}: {said}", lab.who.name);
        }
    });
}

#[test]
fn a_configuration_that_cannot_be_read_or_trusted_is_a_refusal() {
    as_each(AGENTRC, |lab| {
        let (code, said) = run(lab, "[enforcement]\nrequire = [\"everything\"]\n");
        assert_eq!(code, 125, "as {}: {said}", lab.who.name);
        assert!(said.contains("agentrc.toml:2:") && said.contains("everything"), "{said}");
    });
}
