//! What the tools of the run's servers were said to be at their first use, between the state directory and the broker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agentrc_audit::line::Digest;
use agentrc_host::StateDir;
use agentrc_host::pins::Pinned;
use serde_json::Value;

use super::LAYER;
use crate::host;
use crate::lockfile::{self, NAME as LOCKED};
use crate::refusal::Refusal;

/// How the broker says that a tool is not what it was.
const FIRST_USE: &str = "is not what it was at its first use: ";
/// Most bytes of one definition: more than a broker takes.
const LONGEST: usize = 128 << 10;
/// Most tools of all servers together.
const TOOLS: usize = 4096;

/// Pins of one Agentfile's folder.
#[derive(Default)]
pub(super) struct Pins {
    /// Those that there were.
    pub(super) known: Pinned,
    /// Where they are kept; nowhere when a lockfile has them.
    place: Option<(StateDir, PathBuf)>,
    /// The digest of the lockfile, if there is one.
    locked: Option<String>,
    new: Pinned,
    /// The part that came of a definition that is not all there.
    part: String,
}

impl Pins {
    pub(super) fn none() -> Self {
        Self::default()
    }

    pub(super) fn of(state: &StateDir, folder: &Path) -> Result<Self, Refusal> {
        if let Some((known, digest)) = lockfile::read(folder).map_err(|refusal| refusal.step(LAYER))? {
            return Ok(Self { known, locked: Some(digest), ..Self::default() });
        }
        let refused = |error: agentrc_host::Error| host::refusal(&error).step(LAYER);
        let known = state.pinned(folder).map_err(refused)?;
        let state = state.again().map_err(refused)?;
        Ok(Self { known, place: Some((state, folder.to_owned())), ..Self::default() })
    }

    /// The next part of a definition.
    pub(super) fn take(&mut self, server: &str, tool: &str, part: &str, more: bool) -> Result<(), String> {
        self.part.push_str(part);
        if self.part.len() > LONGEST || self.new.values().map(BTreeMap::len).sum::<usize>() >= TOOLS {
            return Err("the broker told more of tools than there can be".to_owned());
        }
        if more {
            return Ok(());
        }
        let text = std::mem::take(&mut self.part);
        let definition: Value =
            serde_json::from_str(&text).map_err(|error| format!("the broker said no JSON: {error}"))?;
        if self.locked.is_some() {
            return Err(format!("`{LOCKED}` has no tool `{server}.{tool}`, which is to be used"));
        }
        let known = self.known.get(server).is_some_and(|tools| tools.contains_key(tool));
        if known {
            return Err(format!("the broker pins `{server}.{tool}`, which is pinned"));
        }
        self.new.entry(server.to_owned()).or_default().insert(tool.to_owned(), definition);
        Ok(())
    }

    /// What is to be said of them where the run begins.
    pub(super) fn source(&self) -> Option<(String, String)> {
        let digest = self.locked.as_ref()?;
        Some(("pins".to_owned(), format!("those of {LOCKED}, sha256:{digest}")))
    }

    /// What a person can do where a tool is not what is pinned.
    pub(super) fn help(&self, reason: &str) -> Option<String> {
        let said = |text: &str| Some(text.to_owned());
        match &self.locked {
            Some(_) if reason.starts_with(&format!("`{LOCKED}`")) || is_of_pin(reason) => said(
                "if the change is meant: remove agentrc.lock, run this once, and write it again by `agentrc pins --lock`",
            ),
            None if is_of_pin(reason) => said(
                "`agentrc pins` shows what its tools were at their first use, and forgets it if the change is meant",
            ),
            _ => None,
        }
    }

    /// Keeps what is new. What it is, for the evidence.
    pub(super) fn keep(&mut self) -> Result<Vec<(String, String)>, String> {
        let new = std::mem::take(&mut self.new);
        let mut said = Vec::new();
        for (server, tools) in &new {
            for (tool, definition) in tools {
                let digest = Digest::of(definition.to_string().as_bytes());
                said.push((format!("first use of {server}.{tool}"), format!("pinned, sha256:{digest}")));
            }
        }
        if let Some((state, folder)) = self.place.as_ref().filter(|_| !new.is_empty()) {
            state
                .pin(folder, new)
                .map_err(|error| format!("what its tools are cannot be pinned: {error}"))?;
        }
        Ok(said)
    }
}

/// Whether the broker says that a tool is not what it was: in its own words, and not in those of a server that it passes on.
fn is_of_pin(reason: &str) -> bool {
    let behind = reason.split_once("cannot be used: ").map(|(_, behind)| behind);
    behind.is_some_and(|behind| behind.starts_with("its tool `") && behind.contains(FIRST_USE))
}
