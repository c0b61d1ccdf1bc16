//! The state directory: where it is, and that it is this user's alone.

use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentrc_audit::folder::Folder;
use agentrc_audit::ledger::{Entry, Ledger};
use agentrc_audit::sign::SigningKey;
use rustix::fs;

use crate::error::Error;

/// Where the state directory of a user belongs: below a folder that the system or the user names, whose own path may
/// hold symbolic links, a path in which none is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `/var/lib`, `$XDG_STATE_HOME` or `$HOME`.
    pub base: PathBuf,
    /// The rest.
    pub beneath: PathBuf,
    /// Whether the base may be made (XDG base directory specification).
    pub make_base: bool,
}

impl Place {
    /// The place for user `uid` with these values of `XDG_STATE_HOME` and `HOME`.
    ///
    /// # Errors
    /// Neither says where, or one is not absolute.
    pub fn of(uid: u32, xdg_state_home: Option<&OsStr>, home: Option<&OsStr>) -> Result<Self, Error> {
        let named = |name: &str, value: Option<&OsStr>| match value.filter(|value| !value.is_empty()) {
            Some(value) if Path::new(value).is_absolute() => Ok(Some(PathBuf::from(value))),
            Some(value) => Err(Error::Locate {
                why: format!("`{name}` is `{}`, which is not absolute", value.display()),
                help: format!("set `{name}` to an absolute path"),
            }),
            None => Ok(None),
        };
        if let Some(base) = named("XDG_STATE_HOME", xdg_state_home)? {
            return Ok(Self { base, beneath: "agentrc".into(), make_base: true });
        }
        // Not root's home, which may be the one of whoever called sudo(8).
        if uid == 0 {
            return Ok(Self { base: "/var/lib".into(), beneath: "agentrc".into(), make_base: false });
        }
        let base = named("HOME", home)?.ok_or_else(|| Error::Locate {
            why: "neither `XDG_STATE_HOME` nor `HOME` is set".to_owned(),
            help: "set one of them to an absolute path".to_owned(),
        })?;
        Ok(Self { base, beneath: ".local/state/agentrc".into(), make_base: false })
    }

    /// Path of the state directory, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.base.join(&self.beneath)
    }
}

/// How a host path and the state directory lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Neither holds the other.
    Apart,
    /// The path is the state directory, or in it.
    Inside,
    /// The state directory is in the path: a bind of it shows the key to the agent.
    Around,
}

/// The state directory, open.
#[derive(Debug)]
pub struct StateDir {
    folder: Folder,
}

impl StateDir {
    /// Opens the state directory of the user who runs this, and makes what is missing of it, mode 0700.
    ///
    /// # Errors
    /// As [`Place::of`] and [`StateDir::open`].
    pub fn of_this_user() -> Result<Self, Error> {
        let (xdg, home) = (std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"));
        Self::open(&Place::of(rustix::process::geteuid().as_raw(), xdg.as_deref(), home.as_deref())?)
    }

    /// Opens the state directory at `place`, and makes what is missing of it, mode 0700.
    ///
    /// # Errors
    /// The base is missing or can be changed by others; a part of the path is a symbolic link; the directory belongs
    /// to somebody else or is open to others.
    pub fn open(place: &Place) -> Result<Self, Error> {
        if place.make_base {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&place.base);
            made.map_err(Error::io("create", &place.base))?;
        }
        let mut folder = Folder::open(&place.base).map_err(|error| Error::Locate {
            why: error.to_string(),
            help: format!(
                "create `{}`, or set `XDG_STATE_HOME` to a folder of your own",
                place.base.display()
            ),
        })?;
        check_base(&folder)?;
        for name in &place.beneath {
            folder.make_folder(Path::new(name))?;
            folder = folder.folder(Path::new(name))?;
        }
        folder.check_private()?;
        Ok(Self { folder })
    }

    /// The same, open once more.
    ///
    /// # Errors
    /// As [`StateDir::open`]: it was changed meanwhile.
    pub fn again(&self) -> Result<Self, Error> {
        let folder = Folder::open(self.folder.path())?;
        folder.check_private()?;
        Ok(Self { folder })
    }

    /// The open folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The key of this state directory, made when there is none.
    ///
    /// # Errors
    /// As [`SigningKey::load_or_create`].
    pub fn key(&self) -> Result<SigningKey, Error> {
        Ok(SigningKey::load_or_create(&self.folder)?)
    }

    /// Writes one durable entry into the ledger.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn note(&self, entry: Entry) -> Result<(), Error> {
        Ok(Ledger::open(&self.folder, Arc::new(self.key()?))?.append(entry, true)?)
    }

    /// How `path` (a bind's source) and this directory lie to each other, symbolic links resolved in both.
    ///
    /// # Errors
    /// realpath(3) of either.
    pub fn relation(&self, path: &Path) -> Result<Relation, Error> {
        let real = |path: &Path| std::fs::canonicalize(path).map_err(Error::io("resolve", path));
        let (state, path) = (real(self.folder.path())?, real(path)?);
        Ok(if path.starts_with(&state) {
            Relation::Inside
        } else if state.starts_with(&path) {
            Relation::Around
        } else {
            Relation::Apart
        })
    }
}

/// Whether nobody but root and this user can replace what is in the base.
fn check_base(base: &Folder) -> Result<(), Error> {
    let stat = fs::fstat(base).map_err(Error::io("look at", base.path()))?;
    let me = rustix::process::geteuid().as_raw();
    let why = if stat.st_uid != me && stat.st_uid != 0 {
        format!("belongs to user {}", stat.st_uid)
    } else if stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0 {
        format!("can be written by others (mode {:04o})", stat.st_mode & 0o7777)
    } else {
        return Ok(());
    };
    let help =
        format!("`chmod go-w {}`, or set `XDG_STATE_HOME` to a folder of your own", base.path().display());
    Err(Error::Base { path: base.path().to_owned(), why, help })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn place(base: &Path) -> Place {
        Place { base: base.to_owned(), beneath: ".local/state/agentrc".into(), make_base: false }
    }

    #[test]
    fn root_keeps_state_in_var_lib_and_others_at_home() {
        let (xdg, home) = (Some(OsStr::new("/x")), Some(OsStr::new("/home/a")));
        let path = |place: Result<Place, Error>| place.unwrap().path();
        assert_eq!(path(Place::of(0, None, home)), Path::new("/var/lib/agentrc"));
        assert_eq!(path(Place::of(0, xdg, home)), Path::new("/x/agentrc"));
        assert_eq!(path(Place::of(1, xdg, home)), Path::new("/x/agentrc"));
        assert_eq!(path(Place::of(1, None, home)), Path::new("/home/a/.local/state/agentrc"));
        assert_eq!(path(Place::of(1, Some(OsStr::new("")), home)), Path::new("/home/a/.local/state/agentrc"));
    }

    #[test]
    fn a_place_that_cannot_be_told_is_an_error_with_a_way_out() {
        for (xdg, home) in [(None, None), (Some("x"), Some("/home/a")), (None, Some("home"))] {
            let error = Place::of(1, xdg.map(OsStr::new), home.map(OsStr::new)).unwrap_err();
            assert!(error.to_string().contains("help: set "), "{error}");
        }
    }

    #[test]
    fn a_home_that_is_not_there_is_an_error_with_a_way_out() {
        let error = StateDir::open(&place(Path::new("/nonexistent"))).unwrap_err();
        assert!(error.to_string().contains("help: create `/nonexistent`"), "{error}");
        assert!(!Path::new("/nonexistent").exists());
    }

    #[test]
    fn what_is_missing_is_made_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&place(dir.path())).unwrap();
        assert_eq!(state.folder().path(), dir.path().join(".local/state/agentrc"));
        for part in [".local", ".local/state", ".local/state/agentrc"] {
            let mode = std::fs::metadata(dir.path().join(part)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{part}");
        }
        StateDir::open(&place(dir.path())).unwrap();
        let xdg = Place { base: dir.path().join("new/xdg"), beneath: "agentrc".into(), make_base: true };
        StateDir::open(&xdg).unwrap();
    }

    #[test]
    fn a_symbolic_link_on_the_way_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("elsewhere/agentrc")).unwrap();
        std::fs::create_dir(dir.path().join(".local")).unwrap();
        symlink("../elsewhere", dir.path().join(".local/state")).unwrap();
        let error = StateDir::open(&place(dir.path())).unwrap_err();
        assert!(error.to_string().contains(".local/state"), "{error}");
    }

    #[test]
    fn a_directory_or_base_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        StateDir::open(&place(dir.path())).unwrap();
        let state = dir.path().join(".local/state/agentrc");
        let chmod =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        chmod(&state, 0o750);
        let error = StateDir::open(&place(dir.path())).unwrap_err();
        assert!(error.to_string().contains("help: chmod 0700"), "{error}");
        chmod(&state, 0o700);
        chmod(dir.path(), 0o777);
        assert!(matches!(StateDir::open(&place(dir.path())), Err(Error::Base { .. })));
        chmod(dir.path(), 0o1777);
        StateDir::open(&place(dir.path())).unwrap();
    }

    #[test]
    fn a_bind_that_would_show_the_key_is_told_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&place(dir.path())).unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        symlink(".local/state", dir.path().join("link")).unwrap();
        let relation = |path: &str| state.relation(&dir.path().join(path)).unwrap();
        assert_eq!(relation("project"), Relation::Apart);
        assert_eq!(relation(""), Relation::Around);
        assert_eq!(relation("link"), Relation::Around);
        assert_eq!(relation("link/agentrc"), Relation::Inside);
        assert!(state.relation(&dir.path().join("missing")).is_err());
    }
}
