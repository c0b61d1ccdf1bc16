//! What the tools of a package's servers were said to be at their first use. All of one folder are in one file,
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
pub type Pinned = BTreeMap<String, BTreeMap<String, Value>>;

/// The pins of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderPins {
    format: u32,
    /// Absolute, without symbolic links.
    pub folder: String,
    /// By server, and by tool.
    pub servers: Pinned,
}

impl StateDir {
    /// What is pinned for the Agentfiles of `folder` (absolute, resolved by the caller).
    ///
    /// # Errors
    /// The record is damaged, or not this user's alone.
    pub fn pinned(&self, folder: &Path) -> Result<Pinned, Error> {
        Ok(self.pins_of(&self.pins_folder()?, folder)?.1.servers)
    }

    /// Adds to them, durably.
    ///
    /// # Errors
    /// The record is damaged or cannot be written, or another run has pinned something else meanwhile.
    pub fn pin(&self, folder: &Path, new: Pinned) -> Result<(), Error> {
        let all = self.pins_folder()?;
        lock(&all)?;
        let (file, mut pins) = self.pins_of(&all, folder)?;
        for (server, tools) in new {
            let known = pins.servers.entry(server).or_default();
            for (tool, definition) in tools {
                let pinned = known.entry(tool).or_insert_with(|| definition.clone());
                if *pinned != definition {
                    let why =
                        "another run pinned a tool of the same server meanwhile, and it is not the same tool";
                    return Err(Error::Pins { path: all.path_of(&file), why: why.to_owned() });
                }
            }
        }
        write(&all, &file, &pins)
    }

    /// Forgets those of one server, or of all, in a folder; how many tools there were.
    ///
    /// # Errors
    /// The record is damaged or cannot be written.
    pub fn unpin(&self, folder: &Path, server: Option<&str>) -> Result<usize, Error> {
        let all = self.pins_folder()?;
        lock(&all)?;
        let (file, mut pins) = self.pins_of(&all, folder)?;
        let meant = |name: &String| server.is_none_or(|server| server == name);
        let number = pins.servers.iter().filter(|(name, _)| meant(name)).map(|(_, tools)| tools.len()).sum();
        pins.servers.retain(|name, _| !meant(name));
        if number > 0 {
            write(&all, &file, &pins)?;
        }
        Ok(number)
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
            if !pins.servers.is_empty() {
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
        let none = FolderPins { format: FORMAT, folder: folder.to_owned(), servers: Pinned::new() };
        let pins = read(all, &file)?.unwrap_or(none);
        if pins.folder != folder {
            let why = format!("it is about the folder `{}`", pins.folder);
            return Err(Error::Pins { path: all.path_of(&file), why });
        }
        Ok((file, pins))
    }
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
