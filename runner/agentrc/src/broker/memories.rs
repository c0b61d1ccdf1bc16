//! Where memories are.

use std::path::{Path, PathBuf};

use agentrc_host::StateDir;

use super::LAYER;
use crate::host;
use crate::refusal::Refusal;

/// The folder of all memories in the state directory.
const MEMORIES: &str = "memory";

/// The folder of all memories, made when it is not there.
pub(super) fn memories(state: &StateDir) -> Result<PathBuf, Refusal> {
    let name = Path::new(MEMORIES);
    let made = state.folder().private_folder(name).map_err(agentrc_host::Error::from);
    made.map_err(|error| host::refusal(&error).step(LAYER))?;
    Ok(state.folder().path_of(name))
}
