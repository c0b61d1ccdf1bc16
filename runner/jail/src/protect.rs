//! Protected paths of writable binds (`policies/protected.toml`): what the host would later execute or trust is held by a
//! read-only mount on top of itself. What does not exist yet is held through a placeholder: an empty file or folder on the
//! host, gone again when the last run that needs it ends.
//!
//! A placeholder is known by its mode (read-only, with the sticky bit that nobody sets on such a file), so one that a
//! killed run left behind is adopted and removed by the next; it is held by a shared flock(2), so one that another run still
//! needs is not removed under it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use agentfile::plan::{Origin, Protected};
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::refusal::Refusal;
use crate::resolve::identity;
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
    mut placeholders: Option<&mut Placeholders>,
) -> Result<BTreeMap<PathBuf, Hold>, Refusal> {
    let mut holds: BTreeMap<PathBuf, Hold> = BTreeMap::new();
    for entry in protected {
        let mut relative = PathBuf::new();
        let mut components = Path::new(&entry.path).components().peekable();
        while let Some(component) = components.next() {
            relative.push(component);
            let last = components.peek().is_none();
            let path = source.join(&relative);
            let held = hold(source, &relative, last, entry, placeholders.as_deref_mut());
            let read_only = match held.map_err(|refused| refused.into_refusal(&path, entry))? {
                Held::Nothing => break,
                Held::Pinned => false,
                Held::ReadOnly => true,
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

/// How one component of a protected path is held.
enum Held {
    /// It does not exist, and need not: a private copy reaches the host only through `apply`, which never writes it.
    Nothing,
    /// A folder above the path.
    Pinned,
    /// The path itself, or what stands in the way of it.
    ReadOnly,
}

enum Refused {
    Kernel(Errno),
    Link,
    HardLinks,
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

impl Refused {
    fn into_refusal(self, path: &Path, entry: &Protected) -> Refusal {
        let shown = path.display();
        let refusal = match self {
            Self::Kernel(errno) => Refusal::kernel(Step::Placeholder, &shown.to_string(), errno),
            Self::Link => {
                let reason =
                    format!("`{shown}` is a protected path and a symbolic link, which cannot be held");
                Refusal::new(Step::Placeholder, reason)
                    .help("bind the folder `copy` or `ro`, or put the file itself in place of the link")
            }
            Self::HardLinks => {
                let reason = format!(
                    "`{shown}` is a protected path with another hard link, through which it could be written"
                );
                Refusal::new(Step::Placeholder, reason)
                    .help("bind the folder `copy` or `ro`, or remove the other link")
            }
        };
        refusal.at(&entry.origin)
    }
}

fn hold(
    source: &Path,
    relative: &Path,
    last: bool,
    entry: &Protected,
    placeholders: Option<&mut Placeholders>,
) -> Result<Held, Refused> {
    let found = match rustix::fs::lstat(source.join(relative)) {
        Ok(stat) => Some((FileType::from_raw_mode(stat.st_mode), stat.st_nlink)),
        Err(Errno::NOENT | Errno::NOTDIR) => None,
        Err(errno) => return Err(errno.into()),
    };
    let Some(placeholders) = placeholders else {
        return Ok(match found {
            None => Held::Nothing,
            Some((FileType::Symlink, _)) => return Err(Refused::Link),
            Some((FileType::Directory, _)) if !last => Held::Pinned,
            Some(_) => Held::ReadOnly,
        });
    };
    match found {
        None => {
            let directory = entry.directory || !last;
            let made =
                run(Step::Placeholder, 0, || placeholders.make(source, relative, directory, &entry.content));
            made.map(|()| Held::ReadOnly).map_err(|failure| failure.errno.into())
        }
        Some((FileType::Symlink, _)) => Err(Refused::Link),
        Some((FileType::Directory, _)) => {
            let placeholder = placeholders.adopt(source, relative, "")?;
            Ok(if placeholder || last { Held::ReadOnly } else { Held::Pinned })
        }
        Some((_, links)) => {
            if links > 1 {
                return Err(Refused::HardLinks);
            }
            placeholders.adopt(source, relative, &entry.content)?;
            Ok(Held::ReadOnly)
        }
    }
}

/// The placeholders that this run made or shares. Dropping it removes those that no other run holds.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    held: Vec<Placeholder>,
}

/// One of them, by its open folder, so that nothing that is swapped above it leads elsewhere.
#[derive(Debug)]
struct Placeholder {
    folder: OwnedFd,
    name: OsString,
    content: String,
    file: OwnedFd,
    /// Whether this run made it and has not finished: then it goes whatever it looks like.
    unfinished: bool,
}

/// Opens the folder of `relative` below `source`, following no symbolic link.
fn folder(source: &Path, relative: &Path) -> Result<(OwnedFd, OsString), Errno> {
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let straight = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let root = rustix::fs::openat2(CWD, source, how, Mode::empty(), straight)?;
    let name = relative.file_name().ok_or(Errno::INVAL)?.to_owned();
    let parent = relative.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = match parent {
        Some(parent) => {
            rustix::fs::openat2(&root, parent, how, Mode::empty(), straight | ResolveFlags::BENEATH)?
        }
        None => root,
    };
    Ok((folder, name))
}

impl Placeholders {
    fn make(&mut self, source: &Path, relative: &Path, directory: bool, content: &str) -> Result<(), Errno> {
        let (folder, name) = folder(source, relative)?;
        let file = if directory {
            rustix::fs::mkdirat(&folder, &name, Mode::from_raw_mode(DIRECTORY_MODE))?;
            let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&folder, &name, how, Mode::empty())?
        } else {
            let how = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
            rustix::fs::openat(&folder, &name, how, Mode::from_raw_mode(FILE_MODE))?
        };
        // From here on it goes again, whatever fails.
        self.held.push(Placeholder { folder, name, content: content.to_owned(), file, unfinished: true });
        let made = self.held.last_mut().ok_or(Errno::INVAL)?;
        if !directory
            && !content.is_empty()
            && rustix::io::write(&made.file, content.as_bytes())? != content.len()
        {
            return Err(Errno::IO);
        }
        let mode = if directory { DIRECTORY_MODE } else { FILE_MODE };
        // Only a strict umask has taken something away: a change of mode would cost a write of its own.
        if rustix::fs::fstat(&made.file)?.st_mode & 0o7777 != mode {
            rustix::fs::fchmod(&made.file, Mode::from_raw_mode(mode))?;
        }
        rustix::fs::flock(&made.file, FlockOperation::NonBlockingLockShared)?;
        made.unfinished = false;
        if made.stands()? { Ok(()) } else { Err(Errno::STALE) }
    }

    /// Holds what is at `relative` if it is a placeholder; says whether it is.
    fn adopt(&mut self, source: &Path, relative: &Path, content: &str) -> Result<bool, Errno> {
        let (folder, name) = folder(source, relative)?;
        if !is_placeholder(&rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW)?, content) {
            return Ok(false);
        }
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &name, how, Mode::empty())?;
        let placeholder = Placeholder { folder, name, content: content.to_owned(), file, unfinished: false };
        if placeholder.filled()? {
            return Ok(false);
        }
        let opened = identity(&rustix::fs::fstat(&placeholder.file)?);
        for held in &self.held {
            if identity(&rustix::fs::fstat(&held.file)?) == opened {
                return Ok(true);
            }
        }
        // Another run that is just removing it holds the lock alone: then it is going, and this launch cannot rely on it.
        rustix::fs::flock(&placeholder.file, FlockOperation::NonBlockingLockShared)?;
        if !placeholder.stands()? {
            return Err(Errno::STALE);
        }
        self.held.push(placeholder);
        Ok(true)
    }
}

impl Placeholder {
    /// Whether it is a folder with something in it: then it is somebody's.
    fn filled(&self) -> Result<bool, Errno> {
        if FileType::from_raw_mode(rustix::fs::fstat(&self.file)?.st_mode) != FileType::Directory {
            return Ok(false);
        }
        let mut entries = rustix::fs::Dir::read_from(&self.file)?;
        // `.` and `..` come with every folder.
        Ok(entries.by_ref().take(3).count() > 2)
    }

    /// Whether its name still leads to it, and it is still a placeholder.
    fn stands(&self) -> Result<bool, Errno> {
        let opened = rustix::fs::fstat(&self.file)?;
        let named = rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(is_placeholder(&opened, &self.content) && identity(&opened) == identity(&named))
    }
}

fn is_placeholder(stat: &Stat, content: &str) -> bool {
    let mode = stat.st_mode & 0o7777;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => mode == FILE_MODE && usize::try_from(stat.st_size) == Ok(content.len()),
        FileType::Directory => mode == DIRECTORY_MODE,
        _ => false,
    }
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        // The reverse order of making: children first.
        for placeholder in self.held.drain(..).rev() {
            let alone =
                rustix::fs::flock(&placeholder.file, FlockOperation::NonBlockingLockExclusive).is_ok();
            // One that was never finished (its mode not yet set) is this run's own, and goes too.
            let unfinished =
                rustix::fs::fstat(&placeholder.file).is_ok_and(|stat| stat.st_mode & 0o1000 == 0);
            if alone && (unfinished || placeholder.stands().unwrap_or(false)) {
                let directory = rustix::fs::fstat(&placeholder.file)
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
                let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                // What cannot be removed (a folder that the host has since filled) is no longer a placeholder.
                let _ = rustix::fs::unlinkat(&placeholder.folder, &placeholder.name, flags);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected(path: &str, directory: bool) -> Protected {
        Protected {
            path: path.to_owned(),
            directory,
            content: String::new(),
            origin: Origin::builtin("policies/protected.toml"),
        }
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
    fn a_placeholder_can_say_what_its_absence_means() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        let wanted = [Protected { content: ".\n".to_owned(), ..protected(".git/commondir", false) }];
        let (mut first, mut second) = (Placeholders::default(), Placeholders::default());
        holds(folder.path(), &wanted, Some(&mut first)).unwrap();
        assert_eq!(std::fs::read(folder.path().join(".git/commondir")).unwrap(), b".\n");
        holds(folder.path(), &wanted, Some(&mut second)).unwrap();
        drop((first, second));
        assert_eq!(std::fs::read_dir(folder.path().join(".git")).unwrap().count(), 0);
    }

    #[test]
    fn a_file_with_another_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sample"), "x").unwrap();
        std::fs::hard_link(folder.path().join("sample"), folder.path().join(".envrc")).unwrap();
        let wanted = [protected(".envrc", false)];
        let refusal = holds(folder.path(), &wanted, Some(&mut Placeholders::default())).unwrap_err();
        assert!(refusal.reason.contains("another hard link"), "{refusal}");
    }

    #[test]
    fn a_filled_folder_with_a_placeholders_mode_is_somebodys() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(".git/hooks")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o1555);
        std::fs::set_permissions(folder.path().join(".git"), mode).unwrap();
        let wanted = [protected(".git/hooks", true)];
        let holds = holds(folder.path(), &wanted, Some(&mut Placeholders::default())).unwrap();
        assert_eq!(holds.get(Path::new(".git")).map(|hold| hold.read_only), Some(false));
        std::fs::set_permissions(folder.path().join(".git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_copy_makes_nothing_on_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let holds = holds(folder.path(), &[protected(".envrc", false)], None).unwrap();
        assert!(holds.is_empty());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
