//! Protected paths of writable binds (`policies/protected.toml`): what the host would later execute or trust is held by a
//! read-only mount on top of itself. What does not exist yet is held through a placeholder: an empty file or folder on the
//! host, gone again when the last run that needs it ends.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use agentfile::plan::{Origin, Protected};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::placeholder::{self, Placeholders};
use crate::refusal::Refusal;
use crate::step::{Step, run};

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
    let refuse = |errno| Refusal::kernel(Step::Placeholder, &source.display().to_string(), errno);
    // A bind of a single file has nothing below it to protect.
    let root = match placeholder::root(source) {
        Err(Errno::NOTDIR) => return Ok(holds),
        root => Rc::new(root.map_err(refuse)?),
    };
    for entry in protected {
        let mut relative = PathBuf::new();
        let mut components = Path::new(&entry.path).components().peekable();
        while let Some(component) = components.next() {
            relative.push(component);
            let last = components.peek().is_none();
            let path = source.join(&relative);
            let held = hold(&root, &relative, last, entry, placeholders.as_deref_mut());
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
    root: &Rc<OwnedFd>,
    relative: &Path,
    last: bool,
    entry: &Protected,
    placeholders: Option<&mut Placeholders>,
) -> Result<Held, Refused> {
    let found = match rustix::fs::statat(root, relative, AtFlags::SYMLINK_NOFOLLOW) {
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
                run(Step::Placeholder, 0, || placeholders.make(root, relative, directory, &entry.content));
            made.map(|()| Held::ReadOnly).map_err(|failure| failure.errno.into())
        }
        Some((FileType::Symlink, _)) => Err(Refused::Link),
        Some((FileType::Directory, _)) => {
            let placeholder = placeholders.adopt(root, relative, "")?;
            Ok(if placeholder || last { Held::ReadOnly } else { Held::Pinned })
        }
        Some((_, links)) => {
            if links > 1 {
                return Err(Refused::HardLinks);
            }
            placeholders.adopt(root, relative, &entry.content)?;
            Ok(Held::ReadOnly)
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
