//! Layout of what credentials are read from: hidden wherever a bind shows it, whatever it is called there. The plan says so
//! as far as paths are written alike; here the file itself is looked for, through links, other binds, and mounts that the
//! host has beneath a bind. One that would be shown and cannot be hidden is a refusal.

use std::path::{Path, PathBuf};

use agentfile::plan::{BrokerEntry, Mount, MountSource, Origin, VAULT_TOKEN, source_file};
use rustix::io::Errno;

use super::{Layout, Place, join};
use crate::layer::mounts::table::unescape;
use crate::refusal::Refusal;
use crate::resolve::identity;
use crate::step::Step;

/// A file with a value.
struct File {
    /// Canonical.
    path: PathBuf,
    /// Device and inode number of the file and of each folder above it.
    above: Vec<(PathBuf, (u64, u64))>,
    /// Whether it has another hard link, by which it may be shown as well.
    linked: bool,
    origin: Origin,
}

impl Layout<'_> {
    /// Whether a mount of the plan is such a file's. It is made here, where the file is known, and not by its name.
    pub(super) fn is_of_credential(&self, mount: &Mount) -> bool {
        mount.source == MountSource::Mask
            && self.inputs.plan.broker.iter().any(
                |entry| matches!(entry, BrokerEntry::Credential { origin, .. } if *origin == mount.origin),
            )
    }

    /// Hides every file of a credential.
    pub(super) fn credentials(&mut self) -> Result<(), Refusal> {
        let files = self.files_of_credentials()?;
        if files.is_empty() {
            return Ok(());
        }
        let points = mount_points()?;
        let binds: Vec<(String, PathBuf)> = self
            .places
            .iter()
            .filter_map(|(target, place)| match place {
                Place::Host(host) => Some((target.clone(), host.clone())),
                Place::Ours => None,
            })
            .collect();
        for file in &files {
            self.refuse_other_links(file)?;
            for (target, host) in &binds {
                self.hide_below(file, target, host)?;
                for point in points.iter().filter(|point| *point != host) {
                    let Ok(rest) = point.strip_prefix(host) else { continue };
                    let at = join(target, text(rest, &file.origin)?);
                    self.hide_below(file, &at, point)?;
                }
            }
        }
        Ok(())
    }

    fn files_of_credentials(&self) -> Result<Vec<File>, Refusal> {
        let places = self.inputs.places;
        let mut files = Vec::new();
        let own = self.inputs.plan.broker.iter().filter_map(|entry| match entry {
            BrokerEntry::Credential { source, origin, .. } => Some((source, origin)),
            _ => None,
        });
        let others = self.inputs.plan.sources.iter().map(|other| (&other.source, &other.origin));
        for (source, origin) in own.chain(others) {
            let vault = source.starts_with("vault://");
            let written = match source_file(source) {
                Some(path) => path.to_owned(),
                None if vault => format!("~/{VAULT_TOKEN}"),
                None => continue,
            };
            let path = match (written.strip_prefix("~/"), &places.home) {
                (Some(rest), Some(home)) => home.join(rest),
                // There is none, as the resolver says, too.
                (Some(_), None) if vault => continue,
                (Some(_), None) => {
                    let reason = format!("`{written}` is in a home directory, and this user has none");
                    return Err(Refusal::new(Step::ResolveSource, reason).at(origin));
                }
                (None, _) => places.folder.join(&written),
            };
            let refuse =
                |errno| Refusal::kernel(Step::ResolveSource, &path.display().to_string(), errno).at(origin);
            let path = match path.canonicalize() {
                Err(error) if vault && error.kind() == std::io::ErrorKind::NotFound => continue,
                path => path.map_err(|error| refuse(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?,
            };
            let linked = rustix::fs::stat(&path).map_err(refuse)?.st_nlink > 1;
            let above = path
                .ancestors()
                .map(|folder| Ok((folder.to_owned(), identity(&rustix::fs::stat(folder).map_err(refuse)?))))
                .collect::<Result<_, Refusal>>()?;
            files.push(File { path, above, linked, origin: origin.clone() });
        }
        Ok(files)
    }

    /// Another name of the same file could be anywhere below a bind, and nobody keeps a list of them.
    fn refuse_other_links(&self, file: &File) -> Result<(), Refusal> {
        let folder = |mount: &&Mount| {
            mount.origin.is_written()
                && matches!(mount.source, MountSource::Bind { .. } | MountSource::Copy { .. })
                && !self.files.contains(&mount.target)
        };
        match self.inputs.plan.mounts.iter().find(folder) {
            Some(mount) if file.linked => {
                let reason = format!(
                    "`{}`, which a credential is read from, has another hard link, by which the bind at {} may show it",
                    file.path.display(),
                    mount.origin
                );
                Err(Refusal::new(Step::PrepareMounts, reason)
                    .at(&file.origin)
                    .help("remove the other link, or copy the file"))
            }
            _ => Ok(()),
        }
    }

    /// Hides the file if the folder (or file) `host`, which is shown at `at`, is it or is above it.
    fn hide_below(&mut self, file: &File, at: &str, host: &Path) -> Result<(), Refusal> {
        let origin = &file.origin;
        let known = match rustix::fs::stat(host) {
            Ok(stat) => identity(&stat),
            // Another mount lies over it, or it is another user's (a FUSE mount): it shows nothing inside either.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(()),
            Err(errno) => {
                return Err(
                    Refusal::kernel(Step::ResolveSource, &host.display().to_string(), errno).at(origin)
                );
            }
        };
        let Some((folder, own)) =
            file.above.iter().find(|(_, identity)| *identity == known).zip(file.above.first())
        else {
            return Ok(());
        };
        let rest = file.path.strip_prefix(&folder.0).unwrap_or(Path::new(""));
        let target = if rest.as_os_str().is_empty() { at.to_owned() } else { join(at, text(rest, origin)?) };
        // What shows there may be something nearer, or hidden already.
        let (Place::Host(shown), below) = self.cover(&target) else { return Ok(()) };
        let shown = if below.is_empty() { shown.clone() } else { shown.join(&below) };
        let same = rustix::fs::stat(&shown).is_ok_and(|stat| identity(&stat) == own.1);
        let hidden = |path: &Path| path.to_str().is_some_and(|path| self.hidden.contains(path));
        if !same || Path::new(&target).ancestors().any(hidden) {
            return Ok(());
        }
        if self.files.contains(&target) {
            let shows = self.inputs.plan.mounts.iter().find(|mount| mount.target == target);
            let line = shows.map_or_else(String::new, |mount| format!(" at {}", mount.origin));
            let reason =
                format!("the bind of `{target}`{line} shows the file that this credential is read from");
            return Err(Refusal::new(Step::PrepareMounts, reason)
                .at(origin)
                .help("remove one of the two lines: with a credential the agent has a placeholder, and not the value"));
        }
        self.hide(&target, false, origin)
    }
}

fn text<'a>(path: &'a Path, origin: &Origin) -> Result<&'a str, Refusal> {
    path.to_str().ok_or_else(|| {
        let reason = format!(
            "`{}`, which a credential is read from, or is mounted below a bind, is not UTF-8",
            path.display()
        );
        Refusal::new(Step::PrepareMounts, reason).at(origin).help("give it another name")
    })
}

/// Where the host has mounts: one of them may show the same file a second time.
fn mount_points() -> Result<Vec<PathBuf>, Refusal> {
    const TABLE: &str = "/proc/self/mountinfo";
    let table = std::fs::read_to_string(TABLE).map_err(|error| {
        Refusal::kernel(Step::PrepareMounts, TABLE, Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })?;
    Ok(table.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| unescape(point).into()).collect())
}
