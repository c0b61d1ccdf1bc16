//! Protected paths of writable binds (`policies/protected.toml`): what the host would later execute or trust is held by a
//! read-only mount on top of itself. What does not exist yet is held through a placeholder: an empty file or folder on the
//! host, gone again when the last run that needs it ends.
//!
//! A placeholder is known by its mode (read-only, with the sticky bit that nobody sets on such a file), so one that a
//! killed run left behind is adopted and removed by the next; it is held by a shared flock(2), so one that another run still
//! needs is not removed under it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use agentfile::plan::{Origin, Protected};
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::refusal::Refusal;
use crate::step::{Step, run};

const FILE_MODE: u32 = 0o1444;
const DIRECTORY_MODE: u32 = 0o1555;

/// How a path below a bind is held: pinned in place (an ancestor, so that it cannot be renamed away), or read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Whether it is read-only; otherwise only pinned.
    pub(crate) read_only: bool,
    /// Who asked for it.
    pub(crate) origin: Origin,
}

/// What must be held below `source`, by relative path: parents before children.
pub(crate) fn holds(
    source: &Path,
    protected: &[Protected],
    placeholders: Option<&mut Placeholders>,
) -> Result<BTreeMap<PathBuf, Hold>, Refusal> {
    let mut holds: BTreeMap<PathBuf, Hold> = BTreeMap::new();
    let mut placeholders = placeholders;
    for entry in protected {
        let mut relative = PathBuf::new();
        let mut components = Path::new(&entry.path).components().peekable();
        while let Some(component) = components.next() {
            relative.push(component);
            let last = components.peek().is_none();
            let path = source.join(&relative);
            let refuse = |errno| {
                Refusal::kernel(Step::Placeholder, &path.display().to_string(), errno).at(&entry.origin)
            };
            let read_only = match kind(&path).map_err(refuse)? {
                None => {
                    // A private copy needs no placeholder: what is made there reaches the host only through `apply`,
                    // which never writes a protected path.
                    let Some(placeholders) = placeholders.as_deref_mut() else { break };
                    let directory = entry.directory || !last;
                    run(Step::Placeholder, 0, || placeholders.make(&path, directory))
                        .map_err(|failure| refuse(failure.errno))?;
                    true
                }
                Some(FileType::Symlink) => {
                    return Err(Refusal::new(
                        Step::Placeholder,
                        format!(
                            "`{}` is a protected path and a symbolic link, which cannot be held",
                            path.display()
                        ),
                    )
                    .at(&entry.origin)
                    .help("bind the folder `copy` or `ro`, or put the file itself in place of the link"));
                }
                Some(FileType::Directory) => {
                    if let Some(placeholders) = placeholders.as_deref_mut() {
                        placeholders.adopt(&path).map_err(refuse)? || last
                    } else {
                        last
                    }
                }
                Some(_) => {
                    if let Some(placeholders) = placeholders.as_deref_mut() {
                        placeholders.adopt(&path).map_err(refuse)?;
                    }
                    true
                }
            };
            let hold = holds
                .entry(relative.clone())
                .or_insert_with(|| Hold { read_only, origin: entry.origin.clone() });
            hold.read_only |= read_only;
            if read_only {
                break;
            }
        }
    }
    Ok(holds)
}

fn kind(path: &Path) -> Result<Option<FileType>, Errno> {
    match rustix::fs::lstat(path) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The placeholders that this run made or shares. Dropping it removes those that no other run holds.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    held: Vec<(PathBuf, OwnedFd)>,
}

impl Placeholders {
    fn make(&mut self, path: &Path, directory: bool) -> Result<(), Errno> {
        if directory {
            rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))?;
            rustix::fs::chmod(path, Mode::from_raw_mode(DIRECTORY_MODE))?;
        } else {
            let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let file = rustix::fs::open(path, how, Mode::from_raw_mode(0o444))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(FILE_MODE))?;
        }
        if self.adopt(path)? { Ok(()) } else { Err(Errno::STALE) }
    }

    /// Holds what is at `path` if it is a placeholder; says whether it is.
    fn adopt(&mut self, path: &Path) -> Result<bool, Errno> {
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if !is_placeholder(&rustix::fs::lstat(path)?) {
            return Ok(false);
        }
        if self.held.iter().any(|(held, _)| held == path) {
            return Ok(true);
        }
        let file = rustix::fs::open(path, how, Mode::empty())?;
        // Another run that is just removing it holds the lock alone: then it is going, and this launch cannot rely on it.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)?;
        let (opened, named) = (rustix::fs::fstat(&file)?, rustix::fs::lstat(path)?);
        if !is_placeholder(&opened) || (opened.st_dev, opened.st_ino) != (named.st_dev, named.st_ino) {
            return Err(Errno::STALE);
        }
        self.held.push((path.to_owned(), file));
        Ok(true)
    }
}

fn is_placeholder(stat: &rustix::fs::Stat) -> bool {
    let mode = stat.st_mode & 0o7777;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => mode == FILE_MODE && stat.st_size == 0,
        FileType::Directory => mode == DIRECTORY_MODE,
        _ => false,
    }
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        // The reverse order of making: children first.
        for (path, file) in self.held.drain(..).rev() {
            let alone = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
            let same = rustix::fs::fstat(&file).ok().zip(rustix::fs::lstat(&path).ok()).is_some_and(
                |(opened, named)| {
                    is_placeholder(&opened) && (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)
                },
            );
            if alone && same {
                let directory = path.is_dir();
                let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                // What cannot be removed (a folder that the host has since filled) is no longer a placeholder.
                let _ = rustix::fs::unlinkat(CWD, &path, flags);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected(path: &str, directory: bool) -> Protected {
        Protected { path: path.to_owned(), directory, origin: Origin::builtin("policies/protected.toml") }
    }

    #[test]
    fn a_missing_path_is_held_by_a_placeholder_that_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let mut placeholders = Placeholders::default();
        let wanted =
            [protected(".envrc", false), protected(".git/hooks", true), protected(".git/config", false)];
        let holds = holds(folder.path(), &wanted, Some(&mut placeholders)).unwrap();
        assert!(folder.path().join(".envrc").is_file());
        assert!(folder.path().join(".git").is_dir());
        assert_eq!(holds.keys().collect::<Vec<_>>(), [Path::new(".envrc"), Path::new(".git")]);
        assert!(holds.values().all(|hold| hold.read_only));
        drop(placeholders);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn ancestors_are_pinned_and_the_path_itself_is_read_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(".git/hooks")).unwrap();
        std::fs::write(folder.path().join(".git/config"), "x").unwrap();
        let wanted = [protected(".git/hooks", true), protected(".git/config", false)];
        let holds = holds(folder.path(), &wanted, Some(&mut Placeholders::default())).unwrap();
        let read_only: Vec<_> =
            holds.iter().map(|(path, hold)| (path.to_str().unwrap(), hold.read_only)).collect();
        assert_eq!(read_only, [(".git", false), (".git/config", true), (".git/hooks", true)]);
        assert!(folder.path().join(".git/config").exists(), "nothing of the host's is removed");
    }

    #[test]
    fn a_file_in_place_of_an_ancestor_is_held_itself() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".git"), "gitdir: elsewhere").unwrap();
        let holds =
            holds(folder.path(), &[protected(".git/hooks", true)], Some(&mut Placeholders::default()))
                .unwrap();
        assert_eq!(holds.get(Path::new(".git")).map(|hold| hold.read_only), Some(true));
        assert_eq!(std::fs::read(folder.path().join(".git")).unwrap(), b"gitdir: elsewhere");
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", folder.path().join(".envrc")).unwrap();
        let refusal = holds(folder.path(), &[protected(".envrc", false)], Some(&mut Placeholders::default()))
            .unwrap_err();
        assert!(refusal.reason.contains("symbolic link"), "{refusal}");
    }

    #[test]
    fn two_runs_share_a_placeholder_and_the_last_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = [protected(".envrc", false)];
        let (mut first, mut second) = (Placeholders::default(), Placeholders::default());
        holds(folder.path(), &wanted, Some(&mut first)).unwrap();
        holds(folder.path(), &wanted, Some(&mut second)).unwrap();
        drop(first);
        assert!(folder.path().join(".envrc").exists(), "the second still needs it");
        drop(second);
        assert!(!folder.path().join(".envrc").exists());
    }

    #[test]
    fn one_left_by_a_killed_run_is_adopted_and_a_file_of_the_users_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = [protected(".envrc", false), protected(".mcp.json", false)];
        let mut killed = Placeholders::default();
        holds(folder.path(), &wanted[..1], Some(&mut killed)).unwrap();
        std::mem::forget(killed); // the locks stay, as another process's would not
        std::fs::write(folder.path().join(".mcp.json"), "").unwrap();
        let mut next = Placeholders::default();
        holds(folder.path(), &wanted, Some(&mut next)).unwrap();
        assert_eq!(next.held.len(), 1);
        assert!(folder.path().join(".mcp.json").exists());
    }

    #[test]
    fn a_copy_makes_nothing_on_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let holds = holds(folder.path(), &[protected(".envrc", false)], None).unwrap();
        assert!(holds.is_empty());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
