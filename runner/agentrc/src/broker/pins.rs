//! What the run's tools were said to be at their first use, between the state directory, the plan and the broker. What the package's own
//! say is in the plan, and is compared before anything is started; what those of servers say, the broker hears and compares.

use std::path::{Path, PathBuf};

use agentfile::plan::Plan;
use agentfile::plan::told::Told;
use agentrc_audit::line::Digest;
use agentrc_audit::text::printable_text;
use agentrc_broker::difference;
use agentrc_host::StateDir;
use agentrc_host::pins::Pinned;
use serde_json::Value;

use super::LAYER;
use crate::consent::quoted;
use crate::lockfile::{self, NAME as LOCKED};
use crate::refusal::Refusal;
use crate::{host, terminal};

/// How the broker says that a tool is not what it was.
const FIRST_USE: &str = "is not what it was at its first use: ";
/// What can be done where the lockfile has something else.
const WRITE_AGAIN: &str =
    "if the change is meant: remove agentrc.lock, run this once, and write it again by `agentrc pins --lock`";
/// Most bytes of one definition: more than a broker takes.
const LONGEST: usize = 128 << 10;
/// Most tools that are new at once.
const TOOLS: usize = 4096;

/// Pins of one Agentfile's folder, as far as a run needs them.
#[derive(Default)]
pub struct Pins {
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
    /// Those of the folder of `agentfile`; none are read for a plan whose tools are all agentrc's own.
    ///
    /// # Errors
    /// They cannot be read, or a tool that the package brings is not what is pinned.
    pub fn of(plan: &Plan, state: &StateDir, folder: &Path, agentfile: &Path) -> Result<Self, Refusal> {
        let told: Vec<_> = plan.told().collect();
        if !plan.has_broker() || told.is_empty() && plan.servers_asked().next().is_none() {
            return Ok(Self::default());
        }
        let mut pins = Self::read(state, folder).map_err(|refusal| refusal.step(LAYER))?;
        for told in told {
            pins.compare(told, agentfile).map_err(|refusal| refusal.step(LAYER))?;
        }
        Ok(pins)
    }

    fn read(state: &StateDir, folder: &Path) -> Result<Self, Refusal> {
        if let Some((known, digest)) = lockfile::read(folder)? {
            return Ok(Self { known, locked: Some(digest), ..Self::default() });
        }
        let refused = |error: agentrc_host::Error| host::refusal(&error);
        let known = state.pinned(folder).map_err(refused)?;
        let state = state.again().map_err(refused)?;
        Ok(Self { known, place: Some((state, folder.to_owned())), ..Self::default() })
    }

    /// Whether a tool that the package brings is what it was. One that is new is kept later, as those of servers are.
    fn compare(&mut self, told: Told<'_>, agentfile: &Path) -> Result<(), Refusal> {
        let Told { name, source, definition, origin } = told;
        let Some(pinned) = self.known.tools.get(&source) else {
            if self.locked.is_some() {
                let reason = format!("`{LOCKED}` has no tool `{name}` (`{source}`), which is to be used");
                return Err(Refusal::new(reason).at(origin).help(WRITE_AGAIN));
            }
            self.new.tools.insert(source, definition);
            return Ok(());
        };
        if *pinned == definition {
            return Ok(());
        }
        let changed = printable_text(&difference(pinned, &definition));
        let refusal = if self.locked.is_some() {
            Refusal::new(format!("the tool `{name}` is not what `{LOCKED}` says: {changed}"))
                .help(WRITE_AGAIN)
        } else {
            let (path, tool) = (quoted(&terminal::path(agentfile)), quoted(&terminal::escape(&name)));
            Refusal::new(format!("the tool `{name}` {FIRST_USE}{changed}")).help(format!(
                "if the change is meant, make the next run a first use:\nagentrc pins --forget {path} --tool {tool}"
            ))
        };
        Err(refusal.at(origin))
    }

    /// The next part of a definition.
    pub(super) fn take(&mut self, server: &str, tool: &str, part: &str, more: bool) -> Result<(), String> {
        self.part.push_str(part);
        if self.part.len() > LONGEST || self.new.number() >= TOOLS {
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
        let known = self.known.servers.get(server).is_some_and(|tools| tools.contains_key(tool));
        if known {
            return Err(format!("the broker pins `{server}.{tool}`, which is pinned"));
        }
        self.new.servers.entry(server.to_owned()).or_default().insert(tool.to_owned(), definition);
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
            Some(_) if reason.starts_with(&format!("`{LOCKED}`")) || is_of_pin(reason) => said(WRITE_AGAIN),
            None if is_of_pin(reason) => said(
                "`agentrc pins` shows what its tools were at their first use, and forgets it if the change is meant",
            ),
            _ => None,
        }
    }

    /// Keeps what is new. What it is, for the evidence.
    pub(super) fn keep(&mut self) -> Result<Vec<(String, String)>, String> {
        let new = std::mem::take(&mut self.new);
        let said = |name: String, definition: &Value| {
            let digest = Digest::of(definition.to_string().as_bytes());
            (format!("first use of {name}"), format!("pinned, sha256:{digest}"))
        };
        let named = |definition: &Value| definition.get("name").and_then(Value::as_str).map(str::to_owned);
        let own = new.tools.iter();
        let own = own.map(|(source, definition)| {
            said(named(definition).unwrap_or_else(|| source.clone()), definition)
        });
        let of_servers = new.servers.iter().flat_map(|(server, tools)| {
            tools.iter().map(move |(tool, definition)| said(format!("{server}.{tool}"), definition))
        });
        let evidence = own.chain(of_servers).collect();
        if let Some((state, folder)) = self.place.as_ref().filter(|_| new.number() > 0) {
            state
                .pin(folder, new)
                .map_err(|error| format!("what the tools are cannot be pinned: {error}"))?;
        }
        Ok(evidence)
    }
}

/// Whether the broker says that a tool is not what it was: in its own words, and not in those of a server that it passes on.
fn is_of_pin(reason: &str) -> bool {
    let behind = reason.split_once("cannot be used: ").map(|(_, behind)| behind);
    behind.is_some_and(|behind| behind.starts_with("its tool `") && behind.contains(FIRST_USE))
}
