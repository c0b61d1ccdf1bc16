//! The writable layer of one copy: `copy-N/{upper,work}` in the run's folder, for overlayfs.

use std::os::fd::AsFd;
use std::path::Path;

use agentrc_audit::folder::Folder;
use rustix::fs::{self, Mode, Timestamps};

use crate::error::Error;
use crate::runs::Run;

/// Name of the folder that receives the changes.
pub const UPPER: &str = "upper";
/// Name of the folder that overlayfs works in.
pub const WORK: &str = "work";

/// The folders of one layer.
#[derive(Debug)]
pub struct Layer {
    /// `upperdir=`.
    pub upper: Folder,
    /// `workdir=`.
    pub work: Folder,
}

impl Layer {
    /// Makes the layer `name` (from the plan: `copy-0`) for a copy of `source`. The merged root shows the upper folder's own
    /// attributes, so these are made those of the source: mode, time, and for root the owner.
    ///
    /// # Errors
    /// Any system call.
    pub fn create(run: &Run, name: &str, source: impl AsFd) -> Result<Self, Error> {
        let layer = run.folder().private_folder(Path::new(name))?;
        let upper = layer.private_folder(Path::new(UPPER))?;
        let work = layer.private_folder(Path::new(WORK))?;
        let stat = fs::fstat(source).map_err(Error::io("look at the source of", layer.path()))?;
        if rustix::process::geteuid().is_root() {
            let owner = (fs::Uid::from_raw(stat.st_uid), fs::Gid::from_raw(stat.st_gid));
            fs::fchown(&upper, Some(owner.0), Some(owner.1))
                .map_err(Error::io("set the owner of", upper.path()))?;
        }
        fs::fchmod(&upper, Mode::from_raw_mode(stat.st_mode & 0o1777))
            .map_err(Error::io("set the mode of", upper.path()))?;
        let time = |seconds, nanoseconds: u64| fs::Timespec {
            tv_sec: seconds,
            tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
        };
        let times = Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
        };
        fs::futimens(&upper, &times).map_err(Error::io("set the times of", upper.path()))?;
        Ok(Self { upper, work })
    }
}
