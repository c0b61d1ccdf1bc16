//! One configuration file: whose it is, and its text as TOML, with the place of everything in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::{Place, Requirement, Setting, Untrusted};
use crate::error::Error;

/// A file of a few lines; more is none of ours.
const LIMIT: u64 = 64 << 10;

/// A file as it was written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    #[serde(default)]
    pub(super) enforcement: Enforcement,
    #[serde(default)]
    pub(super) network: Network,
    #[serde(default)]
    pub(super) memory: Memory,
    #[serde(default)]
    pub(super) approvals: Approvals,
    #[serde(default)]
    pub(super) tools: Tools,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approvals {
    pub(super) require: Option<Vec<Spanned<String>>>,
    pub(super) expires_seconds: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tools {
    #[serde(default)]
    pub(super) namespaces: BTreeMap<String, Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enforcement {
    pub(super) require: Option<Vec<Spanned<Requirement>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    pub(super) proxy: Option<Spanned<String>>,
    pub(super) private: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    pub(super) untrusted: Option<Spanned<Untrusted>>,
}

/// The text of a file.
#[derive(Debug)]
pub(super) struct Text {
    path: PathBuf,
    text: String,
}

impl Text {
    pub(super) fn parse(&self) -> Result<Read, Error> {
        toml::from_str(&self.text).map_err(|error| Error::Config {
            place: self.place(error.span().map_or(0, |span| span.start)),
            why: error.message().trim().to_owned(),
            help: "docs/configuration.md lists what can be set".to_owned(),
        })
    }

    /// Whose it is, and what it says.
    pub(super) fn into_parts(self) -> (PathBuf, String) {
        (self.path, self.text)
    }

    /// `value`, where `written` is.
    pub(super) fn setting<T, W>(&self, written: &Spanned<W>, value: T) -> Setting<T> {
        Setting { value, place: self.place(written.span().start) }
    }

    pub(super) fn wrong<W>(&self, written: &Spanned<W>, why: String, help: String) -> Error {
        Error::Config { place: self.place(written.span().start), why, help }
    }

    fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place {
            file: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

/// The text of `path`, links followed: the file and the folder that it is in belong to one of `owners`, and others cannot
/// write them. `None` when there is none.
pub(super) fn read(path: &Path, owners: &[u32]) -> Result<Option<Text>, Error> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_link(path) => return Ok(None),
        Err(error) => return Err(Error::io("find", path)(error)),
    };
    // A pipe must not hold the run up.
    let how = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let opened = File::options().read(true).custom_flags(how.cast_signed()).open(&real);
    let mut file = opened.map_err(Error::io("open", path))?;
    let found = file.metadata().map_err(Error::io("look at", path))?;
    if !found.is_file() {
        return Err(unsuitable(path, "is not a file".to_owned(), "remove it".to_owned()));
    }
    check(path, &found, owners)?;
    let folder = real.parent().unwrap_or(Path::new("/"));
    check(folder, &std::fs::metadata(folder).map_err(Error::io("look at", folder))?, owners)?;
    let mut bytes = Vec::new();
    file.by_ref().take(LIMIT + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > LIMIT {
        let why = format!("has more than {} KiB", LIMIT >> 10);
        return Err(unsuitable(path, why, "docs/configuration.md lists what can be set".to_owned()));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| unsuitable(path, "is not UTF-8".to_owned(), "save it as UTF-8".to_owned()))?;
    Ok(Some(Text { path: path.to_owned(), text }))
}

/// A link that leads nowhere is a mistake, and no absence.
fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.file_type().is_symlink())
}

fn check(path: &Path, found: &std::fs::Metadata, owners: &[u32]) -> Result<(), Error> {
    let shown = path.display();
    if !owners.contains(&found.uid()) {
        let whose: Vec<_> = owners.iter().map(ToString::to_string).collect();
        let why = format!("belongs to user {}, not to {}", found.uid(), whose.join(" or "));
        let owner = owners.last().copied().unwrap_or_default();
        return Err(unsuitable(path, why, format!("`chown {owner} {shown}`, if it says what you want")));
    }
    // In a folder with the sticky bit, others cannot replace what is there.
    let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
    if found.mode() & 0o022 != 0 && !sticky {
        let why = format!("can be written by others (mode {:04o})", found.mode() & 0o7777);
        return Err(unsuitable(path, why, format!("`chmod go-w {shown}`, if it says what you want")));
    }
    Ok(())
}

fn unsuitable(path: &Path, why: String, help: String) -> Error {
    Error::ConfigFile { path: path.to_owned(), why, help }
}
