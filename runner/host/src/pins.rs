//! What a package's tools, and those of its servers, were said to be at their first use. All of one folder are in one file,
//! `pins/SHA256-OF-THE-FOLDER.json`; one that cannot be understood is an error, and never a first use.

use std::collections::BTreeMap;
use std::path::Path;

use agentrc_audit::folder::{Durable, Folder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::grants::{file_of, lock, name_of};
use crate::state::StateDir;
use crate::tree;

/// Name of the folder of pins in the state directory.
pub const PINS: &str = "pins";
/// Version of the files' format.
const FORMAT: u32 = 1;
const LIMIT: u64 = 64 << 20;

/// What each tool of each server was said to be, by their names.
pub type Servers = BTreeMap<String, BTreeMap<String, Value>>;
/// What each tool that the package brings was said to be, by its source ([`agentfile::plan::told`]).
pub type Tools = BTreeMap<String, Value>;

/// What tools were said to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pinned {
    /// Those of servers.
    pub servers: Servers,
    /// Those that the package brings.
    pub tools: Tools,
}

impl Pinned {
    /// How many there are.
    #[must_use]
    pub fn number(&self) -> usize {
        number(&self.servers, &self.tools)
    }

    /// Adds what `others` has besides. `false`: of some tool it says something else, and not all of it was added.
    #[must_use]
    pub fn join(&mut self, others: Self) -> bool {
        let mut servers = others.servers.into_iter();
        servers.all(|(server, tools)| add(self.servers.entry(server).or_default(), tools))
            && add(&mut self.tools, others.tools)
    }
}

/// Which are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten<'a> {
    /// All of the folder.
    All,
    /// Those of this server.
    Server(&'a str),
    /// The one of this name, as an agent calls it: `files.read`, `function.score`.
    Tool(&'a str),
}

impl Forgotten<'_> {
    fn is_of_server(self, server: &str, tool: &str) -> bool {
        match self {
            Self::All => true,
            Self::Server(name) => name == server,
            Self::Tool(name) => {
                name.strip_prefix(server).and_then(|rest| rest.strip_prefix('.')) == Some(tool)
            }
        }
    }

    fn is_brought(self, definition: &Value) -> bool {
        match self {
            Self::All => true,
            Self::Server(_) => false,
            Self::Tool(name) => definition.get("name").and_then(Value::as_str) == Some(name),
        }
    }
}

/// The pins of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderPins {
    format: u32,
    /// Absolute, without symbolic links.
    pub folder: String,
    /// By server, and by tool.
    pub servers: Servers,
    /// Those that the package brings, by source. A record that is older has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: Tools,
}

impl StateDir {
    /// What is pinned for the Agentfiles of `folder` (absolute, resolved by the caller).
    ///
    /// # Errors
    /// The record is damaged, or not this user's alone.
    pub fn pinned(&self, folder: &Path) -> Result<Pinned, Error> {
        let (_, FolderPins { servers, tools, .. }) = self.pins_of(&self.pins_folder()?, folder)?;
        Ok(Pinned { servers, tools })
    }

    /// Adds to them, durably.
    ///
    /// # Errors
    /// The record is damaged or cannot be written, or another run has pinned something else meanwhile.
    pub fn pin(&self, folder: &Path, new: Pinned) -> Result<(), Error> {
        let all = self.pins_folder()?;
        lock(&all)?;
        let (file, FolderPins { format, folder, servers, tools }) = self.pins_of(&all, folder)?;
        let mut pinned = Pinned { servers, tools };
        if !pinned.join(new) {
            let why = "another run pinned the same tool meanwhile, and it was not the same";
            return Err(Error::Pins { path: all.path_of(&file), why: why.to_owned() });
        }
        let Pinned { servers, tools } = pinned;
        write(&all, &file, &FolderPins { format, folder, servers, tools })
    }

    /// Forgets some in a folder; how many tools there were.
    ///
    /// # Errors
    /// The record is damaged or cannot be written.
    pub fn unpin(&self, folder: &Path, which: Forgotten<'_>) -> Result<usize, Error> {
        let all = self.pins_folder()?;
        lock(&all)?;
        let (file, mut pins) = self.pins_of(&all, folder)?;
        let before = number(&pins.servers, &pins.tools);
        for (server, tools) in &mut pins.servers {
            tools.retain(|tool, _| !which.is_of_server(server, tool));
        }
        pins.servers.retain(|_, tools| !tools.is_empty());
        pins.tools.retain(|_, definition| !which.is_brought(definition));
        let forgotten = before - number(&pins.servers, &pins.tools);
        if forgotten > 0 {
            write(&all, &file, &pins)?;
        }
        Ok(forgotten)
    }

    /// All pins, by folder.
    ///
    /// # Errors
    /// A record is damaged.
    pub fn pins(&self) -> Result<Vec<FolderPins>, Error> {
        let all = self.pins_folder()?;
        let mut found = Vec::new();
        for (name, _) in tree::entries(&all)? {
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let damaged = |why: &str| Error::Pins { path: all.path_of(name), why: why.to_owned() };
            let pins = read(&all, name)?.ok_or_else(|| damaged("it vanished"))?;
            if file_of(&pins.folder) != name {
                return Err(damaged("its name is not that of its folder"));
            }
            if number(&pins.servers, &pins.tools) > 0 {
                found.push(pins);
            }
        }
        found.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(found)
    }

    fn pins_folder(&self) -> Result<Folder, Error> {
        Ok(self.folder().private_folder(Path::new(PINS))?)
    }

    fn pins_of(&self, all: &Folder, folder: &Path) -> Result<(String, FolderPins), Error> {
        let folder = name_of(folder)?;
        let file = file_of(folder);
        let none = FolderPins {
            format: FORMAT,
            folder: folder.to_owned(),
            servers: Servers::new(),
            tools: Tools::new(),
        };
        let pins = read(all, &file)?.unwrap_or(none);
        if pins.folder != folder {
            let why = format!("it is about the folder `{}`", pins.folder);
            return Err(Error::Pins { path: all.path_of(&file), why });
        }
        Ok((file, pins))
    }
}

fn number(servers: &Servers, tools: &Tools) -> usize {
    tools.len() + servers.values().map(BTreeMap::len).sum::<usize>()
}

/// Adds what is new; whether what was there already is the same.
fn add(known: &mut Tools, new: Tools) -> bool {
    new.into_iter()
        .all(|(tool, definition)| *known.entry(tool).or_insert_with(|| definition.clone()) == definition)
}

fn read(all: &Folder, file: &str) -> Result<Option<FolderPins>, Error> {
    let Some(bytes) = all.read(file, LIMIT)? else { return Ok(None) };
    let damaged = |why: String| Error::Pins { path: all.path_of(file), why };
    let pins: FolderPins = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if pins.format != FORMAT {
        return Err(damaged(format!("format {} is not one that this version reads", pins.format)));
    }
    Ok(Some(pins))
}

fn write(all: &Folder, file: &str, pins: &FolderPins) -> Result<(), Error> {
    let damaged = |error: serde_json::Error| Error::Pins { path: all.path_of(file), why: error.to_string() };
    let mut bytes = serde_json::to_vec(pins).map_err(damaged)?;
    bytes.push(b'\n');
    // Not what could not be read again.
    if bytes.len() as u64 > LIMIT {
        let why = format!("it would have {} bytes, of at most {LIMIT}", bytes.len());
        return Err(Error::Pins { path: all.path_of(file), why });
    }
    Ok(all.replace(file, &bytes, Durable::Yes)?)
}
