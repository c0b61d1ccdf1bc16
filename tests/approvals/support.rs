//! Runs that ask, and another process that decides.

use std::time::Duration;

use agentrc_test_support::broker::python;
use agentrc_test_support::outcome::{Child, within};
use agentrc_test_support::{Lab, Outcome};
use serde_json::Value;

pub(crate) const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
pub(crate) const ANYTHING: &str =
    r#"{"description": "A tool of the test's.", "inputSchema": {"type": "object"}}"#;
/// A tool that says what it was given, and whose calls a person approves.
pub(crate) const ASKED: &str = "AGENT asker\nTOOL local:./tools/probe\nPOLICY\n@id(\"ask\") @approval(\"it probes\") permit(principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"probe\");\nEND\n";
pub(crate) const PROBE: &str = "#!/bin/sh\nread -r given\necho \"{\\\"given\\\": $given}\"\n";

pub(crate) fn prepare(lab: &Lab, agentfile: &str, code: &str) -> std::path::PathBuf {
    lab.script(lab.project("tools/probe"), PROBE);
    lab.file(lab.project("tools/probe.schema.json"), ANYTHING);
    lab.script(lab.project("go.sh"), &python(code));
    lab.agentfile(&format!("{agentfile}CMD /bin/sh ./go.sh\n"))
}

/// Starts a run whose agent executes `code`.
pub(crate) fn start(lab: &Lab, agentfile: &str, code: &str, options: &[&str]) -> Child {
    let path = prepare(lab, agentfile, code);
    let mut command = lab.agentrc(["run"]);
    command.args(options).arg(path);
    Child::start(lab, command)
}

/// `agentrc approvals` in another process of the same user.
#[track_caller]
pub(crate) fn approvals(lab: &Lab, words: &[&str]) -> Outcome {
    lab.finish_command(lab.agentrc([&["approvals"], words].concat()))
}

/// The tickets that wait, once there are so many.
#[track_caller]
pub(crate) fn waiting(lab: &Lab, child: &Child, number: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let there = within(Duration::from_secs(20), || {
        let listed: Value =
            serde_json::from_slice(&approvals(lab, &["--json"]).stdout).expect("JSON of the list");
        found = listed.get("tickets").and_then(Value::as_array).expect("tickets").clone();
        found.len() >= number
    });
    assert!(there && found.len() == number, "as {}: {found:#?}{}{}", lab.who.name, child.out(), child.err());
    found
}

pub(crate) fn id(ticket: &Value) -> &str {
    ticket.pointer("/ticket/id").and_then(Value::as_str).expect("an id")
}

/// The one ticket that waits.
#[track_caller]
pub(crate) fn only(lab: &Lab, child: &Child) -> String {
    id(waiting(lab, child, 1).first().expect("a ticket")).to_owned()
}

/// Outcomes, scopes and deciders on record, in order.
pub(crate) fn decided(outcome: &Outcome) -> Vec<(String, String, Option<u64>)> {
    let text = |event: &Value, name: &str| event[name].as_str().expect(name).to_owned();
    outcome
        .events_named("approval.decided")
        .iter()
        .map(|event| (text(event, "outcome"), text(event, "scope"), event["by"].as_u64()))
        .collect()
}

#[track_caller]
pub(crate) fn end(child: Child) -> Outcome {
    let outcome = child.finish();
    assert_eq!(outcome.code(), 0, "{}{}", outcome.out(), outcome.stderr);
    outcome
}

pub(crate) const CALL: &str = "b = Broker()\nsay(b.call('probe', a=1))";

/// What the host's configuration of this lab's identity says; root has none in its home, but by `XDG_CONFIG_HOME`.
pub(crate) fn configure(lab: &Lab, text: &str) {
    lab.file(lab.path("home/.config/agentrc/agentrc.toml"), text);
}

/// The tickets that wait now.
pub(crate) fn here(lab: &Lab) -> Vec<Value> {
    let listed = approvals(lab, &["--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON of the list");
    listed.get("tickets").and_then(Value::as_array).expect("tickets").clone()
}

/// How many that are.
pub(crate) fn waiting_here(lab: &Lab) -> usize {
    here(lab).len()
}

/// The name of the first.
pub(crate) fn one_here(lab: &Lab) -> String {
    id(here(lab).first().expect("a ticket")).to_owned()
}
