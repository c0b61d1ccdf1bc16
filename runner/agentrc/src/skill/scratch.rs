//! The state directory of one run that is to leave nothing behind: made for it below the temporary folder, for this user
//! alone, and removed with everything in it.

use std::path::PathBuf;

use agentrc_audit::folder::{Folder, random};
use agentrc_audit::line::hex;
use agentrc_host::StateDir;
use agentrc_host::state::Place;

use crate::refusal::Refusal;
use crate::{fault, host};

/// What its name begins with.
const PREFIX: &str = "agentrc-skill-";

/// The directory. Dropping it removes it, too; [`Scratch::remove`] also says what failed.
#[derive(Debug)]
pub struct Scratch {
    base: Folder,
    name: String,
    gone: bool,
}

impl Scratch {
    /// Makes one in `$TMPDIR`, or `/tmp`.
    ///
    /// # Errors
    /// The temporary folder is not there, or others can replace what is in it.
    pub fn make() -> Result<(Self, StateDir), Refusal> {
        let temporary = std::env::temp_dir();
        let refused = |error: &dyn std::error::Error| {
            let reason = host::refusal(error).reason;
            Refusal::new(format!("there is no place for the run's log: {reason}"))
                .step(fault::STATE_DIRECTORY)
                .help("set `TMPDIR` to a folder of your own, or keep the run with --keep")
        };
        let base: PathBuf = temporary.canonicalize().map_err(|error| refused(&error))?;
        let bytes = random::<8>().map_err(|error| refused(&error))?;
        let name = format!("{PREFIX}{}", hex(&bytes));
        let folder = Folder::open(&base).map_err(|error| refused(&error))?;
        let scratch = Self { base: folder, name: name.clone(), gone: false };
        let place = Place { base, beneath: name.into(), make_base: false };
        let state = StateDir::open(&place).map_err(|error| refused(&error))?;
        Ok((scratch, state))
    }

    /// Removes it.
    ///
    /// # Errors
    /// Any system call: something is left.
    pub fn remove(mut self) -> Result<(), String> {
        self.gone = true;
        let removed = agentrc_host::tree::remove(&self.base, &self.name);
        removed.map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.gone {
            // The run was refused, which is what matters, and is said.
            let _ = agentrc_host::tree::remove(&self.base, &self.name);
        }
    }
}
