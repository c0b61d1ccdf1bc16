//! The audit log as anyone can read it: JSON Lines in the run's folder. Whether its chain holds is for
//! `agentrc audit verify` to say.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folders of runs below a state folder, oldest first, without those of servers.
pub fn runs(state: &Path) -> Vec<PathBuf> {
    all(state).into_iter().filter(|run| !serves(run)).collect()
}

/// The folders of runs that are an MCP server of another.
pub fn serving(state: &Path) -> Vec<PathBuf> {
    all(state).into_iter().filter(|run| serves(run)).collect()
}

fn serves(run: &Path) -> bool {
    let record = std::fs::read(run.join("run.json")).ok();
    let record = record.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    record.is_some_and(|record| record.get("serves").is_some())
}

fn all(state: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(state.join("runs")) else { return Vec::new() };
    let mut runs: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((born(&entry.path())?, entry.path())))
        .collect();
    runs.sort();
    runs.into_iter().map(|(_, run)| run).collect()
}

fn born(run: &Path) -> Option<std::time::SystemTime> {
    let metadata = run.symlink_metadata().ok()?;
    metadata.created().or_else(|_| metadata.modified()).ok()
}

/// The events of a run, in order.
pub fn events(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("audit.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON: {e}: {line}")))
        .collect()
}

/// The name of an event, wherever in the line it stands.
pub fn name(line: &Value) -> &str {
    line.get("event")
        .and_then(|event| event.as_str().or_else(|| event.get("event")?.as_str()))
        .unwrap_or_default()
}

/// What the first event of a run says of the eBPF egress filter: `yes`, or `no: ` and why. `None`: no run was armed.
pub fn filter_of(run: &Path) -> Option<String> {
    let events = events(run);
    let layers = events.first()?.pointer("/evidence/layers")?.as_array()?;
    let filter = layers.iter().find(|layer| layer.pointer("/layer") == Some(&"ebpf".into()));
    let attached = filter.and_then(|layer| layer.pointer("/read_back/attached")).and_then(Value::as_str);
    Some(attached.expect("the first event speaks of the egress filter").to_owned())
}
