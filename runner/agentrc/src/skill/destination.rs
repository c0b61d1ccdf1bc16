//! Where a report goes: standard output, or a file that readers see either as it was or whole.
//!
//! The folder is opened before the script runs, so that a report that could never be written is a refusal; the file is made
//! when nothing of the script lives any more, since boundaries may let it write to that folder.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use agentrc_audit::folder::{Folder, random};
use agentrc_audit::line::hex;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, accessat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::refusal::Refusal;
use crate::terminal;

/// The step's name in refusals.
const STEP: &str = "report";

/// Where a report goes.
#[derive(Debug)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// Its folder.
        folder: Folder,
        /// Its name.
        name: String,
    },
}

impl Destination {
    /// The place that `path` names; `-` is standard output.
    ///
    /// # Errors
    /// Its folder is not there or may not be written; something that is no ordinary file has its name.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        let shown = terminal::path(path);
        let refused = |reason: &str| {
            Refusal::new(format!("no report can be written to `{shown}`: {reason}"))
                .step(STEP)
                .help("name a file in a folder that exists and that you may write to, or `-`")
        };
        let say = |errno: Errno| refused(&std::io::Error::from(errno).to_string());
        let name =
            path.file_name().and_then(OsStr::to_str).ok_or_else(|| refused("it is not a file's name"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent: PathBuf = parent.canonicalize().map_err(|error| refused(&error.to_string()))?;
        let folder = Folder::open(&parent).map_err(|error| refused(&error.to_string()))?;
        match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            // A link, a device or a pipe would be replaced, and that is not what whoever names one wants.
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                return Err(refused("it is not an ordinary file"));
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(say(errno)),
        }
        accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(say)?;
        Ok(Self::File { folder, name: name.to_owned() })
    }

    /// Whether it is standard output.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Writes the report.
    ///
    /// # Errors
    /// It is not written; a file is as it was.
    pub fn write(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Stdout => terminal::print(text).map_err(|error| error.to_string()),
            Self::File { folder, name } => replace(folder, name, text).map_err(|error| error.to_string()),
        }
    }
}

/// Unlike the files of the state directory, a report is for others, too: its mode is what the caller's umask leaves.
fn replace(folder: &Folder, name: &str, text: &str) -> std::io::Result<()> {
    let random = random::<8>().map_err(std::io::Error::other)?;
    let draft = format!(".agentrc-report-{}", hex(&random));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, &draft, flags, Mode::from_raw_mode(0o666))?);
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(renameat(folder, &draft, folder, name)?));
    if written.is_err() {
        // The draft is of no use; that it cannot be removed would hide the error that matters.
        let _ = unlinkat(folder, &draft, AtFlags::empty());
    }
    written
}
