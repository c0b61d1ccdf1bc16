//! Stage 5a, admit: from host paths as they were written to the one file each of them means, held by device and inode number
//! so that init can tell whether something was swapped in between.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use agentfile::plan::{HostPath, Origin};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::refusal::Refusal;
use crate::step::{Step, run};

/// What relative host paths are relative to.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The Agentfile's folder, canonical.
    pub(crate) folder: PathBuf,
    /// Whether a path below it may lead through a link that stays there.
    pub(crate) links: bool,
    /// The user's home, canonical; `None` when there is none.
    pub(crate) home: Option<PathBuf>,
    /// agentrc's own state (audit logs, keys, grants), canonical: no bind may show it.
    pub(crate) state: PathBuf,
}

/// One file or folder of the host.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// Canonical: absolute, no symbolic link in it.
    pub(crate) path: PathBuf,
    /// Its device and inode number.
    pub(crate) identity: (u64, u64),
    /// Whether it is a folder.
    pub(crate) directory: bool,
}

impl Resolved {
    /// The path for a system call.
    pub(crate) fn c_path(&self) -> Result<CString, Refusal> {
        c_string(self.path.as_os_str().as_bytes())
    }
}

/// Bytes as a C string.
pub(crate) fn c_string(bytes: &[u8]) -> Result<CString, Refusal> {
    CString::new(bytes).map_err(|_| Refusal::new(Step::PrepareMounts, "a path has a NUL byte"))
}

/// Device and inode number.
pub(crate) fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

impl Places {
    /// The host's side of a bind that a line asked for.
    pub(crate) fn resolve(&self, written: &HostPath, origin: &Origin) -> Result<Resolved, Refusal> {
        let shown = String::from(written.clone());
        let refuse = |reason: String| Refusal::new(Step::ResolveSource, reason).at(origin);
        let path = match written {
            HostPath::Project(rest) => self.folder.join(rest),
            HostPath::Outside(rest) => self.folder.join(rest),
            HostPath::Absolute(path) => PathBuf::from(path),
            HostPath::Home(rest) => self
                .home
                .as_ref()
                .ok_or_else(|| refuse(format!("`{shown}` is in a home directory, and this user has none")))?
                .join(rest),
        };
        let asked = plain(&path);
        let path = run(Step::ResolveSource, 0, || {
            path.canonicalize().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
        .map_err(|failure| Refusal::kernel(failure.step, &shown, failure.errno).at(origin))?;
        if matches!(written, HostPath::Project(_)) && !path.starts_with(&self.folder) {
            return Err(refuse(format!(
                "`{shown}` is a symbolic link that leaves the Agentfile's folder, to `{}`",
                path.display()
            ))
            .help("name the place itself; it then needs a grant"));
        }
        // What was consented to is what was written: a link put in its place later leads elsewhere.
        let may_lead = self.links && matches!(written, HostPath::Project(_));
        if !may_lead && path != asked {
            return Err(refuse(format!("`{shown}` leads through a symbolic link, to `{}`", path.display()))
                .help("name the place itself, so that a consent is for what it says"));
        }
        self.forbid(&path).map_err(|why| refuse(format!("`{shown}` {why}")))?;
        let resolved =
            stat(&path).map_err(|errno| Refusal::kernel(Step::ResolveSource, &shown, errno).at(origin))?;
        resolved.ok_or_else(|| {
            refuse(format!("`{shown}` is neither a file nor a folder"))
                .help("sockets, pipes and devices lead out of the sandbox, and are not bound")
        })
    }

    /// Places that no bind may show, whoever consents: they would undo the sandbox.
    fn forbid(&self, path: &Path) -> Result<(), String> {
        if path == Path::new("/") {
            return Err("is the host's root".to_owned());
        }
        for kernel in ["/proc", "/sys", "/dev"] {
            if path.starts_with(kernel) {
                return Err(format!("is in the host's `{kernel}`"));
            }
        }
        if self.state.starts_with(path) || path.starts_with(&self.state) {
            return Err(format!(
                "holds agentrc's own state (`{}`), with its audit log and its key",
                self.state.display()
            ));
        }
        Ok(())
    }
}

/// `path` without `.`, `..` and double slashes, as text: no link is followed.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// A regular file or a folder; `None` for anything else.
pub(crate) fn stat(path: &Path) -> Result<Option<Resolved>, Errno> {
    Ok(found(path, &rustix::fs::stat(path)?))
}

/// The same from what stat(2), or lstat(2) of what is no link, said of it.
pub(crate) fn found(path: &Path, stat: &Stat) -> Option<Resolved> {
    let directory = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => true,
        FileType::RegularFile => false,
        _ => return None,
    };
    Some(Resolved { path: path.to_owned(), identity: identity(stat), directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(folder: &Path) -> Places {
        Places { folder: folder.to_owned(), links: true, home: None, state: "/var/lib/agentrc".into() }
    }

    fn origin() -> Origin {
        Origin { file: "Agentfile".to_owned(), line: 3, column: 1 }
    }

    #[test]
    fn a_link_that_leaves_the_folder_is_refused_and_one_that_stays_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("in")).unwrap();
        std::os::unix::fs::symlink("in", root.join("stays")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("leaves")).unwrap();
        let places = places(&root);
        let stays = places.resolve(&HostPath::Project("stays".into()), &origin()).unwrap();
        assert_eq!(stays.path, root.join("in"));
        let refusal = places.resolve(&HostPath::Project("leaves".into()), &origin()).unwrap_err();
        assert!(refusal.reason.contains("leaves the Agentfile's folder"), "{refusal}");
        assert_eq!(refusal.origin.unwrap().line, 3);
        let strict = Places { links: false, ..places };
        assert!(strict.resolve(&HostPath::Project("in".into()), &origin()).is_ok());
        let refusal = strict.resolve(&HostPath::Project("stays".into()), &origin()).unwrap_err();
        assert!(refusal.reason.contains("through a symbolic link"), "{refusal}");
    }

    #[test]
    fn a_place_outside_the_folder_is_what_its_name_says() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("project")).unwrap();
        std::fs::create_dir_all(root.join("notes")).unwrap();
        std::os::unix::fs::symlink("notes", root.join("link")).unwrap();
        let places = places(&root.join("project"));
        assert!(places.resolve(&HostPath::Outside("../notes/".into()), &origin()).is_ok());
        let absolute = |path: &str| HostPath::Absolute(root.join(path).to_str().unwrap().into());
        assert!(places.resolve(&absolute("notes"), &origin()).is_ok());
        for link in [HostPath::Outside("../link".into()), absolute("link")] {
            let refusal = places.resolve(&link, &origin()).unwrap_err();
            assert!(refusal.reason.contains("symbolic link"), "{refusal}");
        }
    }

    #[test]
    fn the_root_kernel_trees_and_our_own_state_are_never_bound() {
        let places = places(Path::new("/srv"));
        for path in ["/", "/proc/self", "/sys", "/dev/shm", "/var", "/usr/../"] {
            let refused = places.resolve(&HostPath::Absolute(path.into()), &origin());
            assert!(refused.is_err() || path == "/var", "{path}");
        }
        assert!(places.forbid(Path::new("/var")).is_err(), "it holds the state");
        assert!(places.forbid(Path::new("/var/lib/agentrc/runs")).is_err());
        assert!(places.forbid(Path::new("/var/lib/agentrc-other")).is_ok());
    }

    #[test]
    fn sockets_and_missing_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("docker.sock")).unwrap();
        let places = places(&root);
        let socket = places.resolve(&HostPath::Project("docker.sock".into()), &origin()).unwrap_err();
        assert!(socket.reason.contains("neither a file nor a folder"), "{socket}");
        let missing = places.resolve(&HostPath::Project("nothing".into()), &origin()).unwrap_err();
        assert!(missing.reason.contains("ENOENT"), "{missing}");
    }
}
