//! The folder of an Agentfile, as the compiler may see it: files beneath it, regular, of bounded size. Whatever leaves
//! the folder, by `..`, an absolute path or a symbolic link, is refused by the kernel (openat2(2), `RESOLVE_BENEATH`).

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use agentfile::host::ServerTable;
use agentfile::{Kind, Package};
use agentrc_host::config::{self, Config};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

/// Most bytes of an Agentfile: a hundred times the longest in the wild.
pub const AGENTFILE_LIMIT: u64 = 4 << 20;
/// Most bytes of a file that an Agentfile names (a schema, a SOP).
pub const FILE_LIMIT: u64 = 16 << 20;

/// A folder that is open.
#[derive(Debug)]
pub struct Folder {
    directory: OwnedFd,
    path: PathBuf,
    name: String,
}

impl Folder {
    /// Opens the folder at `path`, following symbolic links: the user named it.
    ///
    /// # Errors
    /// What the kernel says, or that the path has no absolute form.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let directory = open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { directory, path, name })
    }

    /// Its absolute path, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the regular file at `path` beneath the folder.
    ///
    /// # Errors
    /// What the kernel says; `FileTooLarge` above `limit` bytes; `InvalidInput` for something that is no regular file.
    pub fn read_bounded(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        // Without NONBLOCK the open of a FIFO would wait for a writer.
        let file = self.beneath(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let status = fstat(&file)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut bytes =
            Vec::with_capacity(usize::try_from(status.st_size.clamp(0, 1 << 20)).unwrap_or_default());
        // One more than the limit, so that a file that grows is noticed too.
        std::fs::File::from(file).take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {} MiB", limit >> 20),
            ));
        }
        Ok(bytes)
    }

    fn beneath(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(
            self.directory.as_fd(),
            path.as_os_str().as_bytes(),
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )?)
    }
}

impl Package for Folder {
    fn kind(&self, path: &str) -> Kind {
        let path = if path.is_empty() { "." } else { path };
        let kind = |flags| {
            let file = self.beneath(Path::new(path), OFlags::PATH | flags)?;
            Ok::<_, io::Error>(FileType::from_raw_mode(fstat(&file)?.st_mode))
        };
        match kind(OFlags::empty()) {
            Ok(FileType::RegularFile) => Kind::File,
            Ok(FileType::Directory) => Kind::Directory,
            Ok(_) => Kind::Other,
            // A link that leads nowhere, or out of the folder, is there.
            Err(_) if kind(OFlags::NOFOLLOW).is_ok() => Kind::Other,
            Err(_) => Kind::Missing,
        }
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.read_bounded(Path::new(path), FILE_LIMIT)
    }

    fn executables(&self, path: &str) -> io::Result<Vec<String>> {
        if self.kind(path) != Kind::Directory {
            return Ok(Vec::new());
        }
        let folder = self.beneath(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder)? {
            let entry = entry?;
            let bytes = entry.file_name().to_bytes();
            if bytes == b"." || bytes == b".." {
                continue;
            }
            let Ok(name) = std::str::from_utf8(bytes) else {
                let shown = String::from_utf8_lossy(bytes);
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("`{shown}` is not UTF-8")));
            };
            // One that cannot be opened leads out of the folder, or is gone: it is not a file of it.
            let status =
                self.beneath(&Path::new(path).join(name), OFlags::PATH).and_then(|file| Ok(fstat(&file)?));
            let Ok(status) = status else { continue };
            let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
            if is_file && status.st_mode & 0o111 != 0 {
                found.push(name.to_owned());
            }
        }
        found.sort();
        Ok(found)
    }

    fn list(&self, path: &str, suffix: &str) -> io::Result<Vec<String>> {
        let folder = self.beneath(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name.ends_with(suffix.as_bytes()) {
                let name = String::from_utf8(name);
                names.push(
                    name.map_err(|_| io::Error::other(format!("a name with `{suffix}` is not UTF-8")))?,
                );
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn folder_name(&self) -> &str {
        &self.name
    }

    fn host_servers(&self) -> Result<Vec<ServerTable>, String> {
        config::servers().map_err(|error| error.to_string())
    }

    fn host_namespace(&self, namespace: &str) -> Result<Option<String>, String> {
        let config = Config::of_this_host().map_err(|error| error.to_string())?;
        Ok(config.namespaces.get(namespace).map(|setting| setting.place.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        let inner = outer.path().join("project");
        std::fs::create_dir_all(inner.join("src")).unwrap();
        std::fs::write(inner.join("src/a.py"), "print()").unwrap();
        symlink("src/a.py", inner.join("within")).unwrap();
        symlink("../secret", inner.join("out")).unwrap();
        symlink(outer.path().join("secret"), inner.join("absolute")).unwrap();
        symlink("..", inner.join("src/up")).unwrap();
        let folder = Folder::open(&inner).unwrap();
        (outer, folder)
    }

    #[test]
    fn files_and_folders_beneath_are_seen() {
        let (_keep, folder) = folder();
        assert_eq!(folder.kind("src/a.py"), Kind::File);
        assert_eq!(folder.kind("src"), Kind::Directory);
        assert_eq!(folder.kind(""), Kind::Directory);
        assert_eq!(folder.kind("within"), Kind::File);
        assert_eq!(folder.read("within").unwrap(), b"print()");
        assert_eq!(folder.folder_name(), "project");
    }

    #[test]
    fn names_of_a_kind_are_listed_in_their_order_and_never_outside() {
        let (_keep, folder) = folder();
        for name in ["b.py", "A.py", "c.txt"] {
            std::fs::write(folder.path().join("src").join(name), "").unwrap();
        }
        assert_eq!(folder.list("src", ".py").unwrap(), ["A.py", "a.py", "b.py"]);
        for path in ["..", "src/up/..", "out", "none", "src/a.py"] {
            assert!(folder.list(path, "").is_err(), "{path}");
        }
        let odd = std::ffi::OsStr::from_bytes(b"\xff.py");
        std::fs::write(folder.path().join("src").join(odd), "").unwrap();
        assert!(folder.list("src", ".py").is_err());
        assert_eq!(folder.list("src", ".txt").unwrap(), ["c.txt"]);
    }

    #[test]
    fn nothing_outside_the_folder_is_seen() {
        let (outer, folder) = folder();
        let absolute = outer.path().join("secret");
        for path in ["../secret", "src/../../secret", "src/up/../secret", absolute.to_str().unwrap()] {
            assert_eq!(folder.kind(path), Kind::Missing, "{path}");
            assert!(folder.read(path).is_err(), "{path}");
        }
        symlink("none", folder.path().join("nowhere")).unwrap();
        symlink("nowhere", folder.path().join("itself")).unwrap();
        for link in ["out", "absolute", "nowhere", "itself"] {
            assert_eq!(folder.kind(link), Kind::Other, "{link}");
            assert!(folder.read(link).is_err(), "{link}");
        }
    }

    #[test]
    fn executables_are_the_folders_own_files_with_that_bit() {
        use std::os::unix::fs::PermissionsExt;

        let (_keep, folder) = folder();
        let execute = std::fs::Permissions::from_mode(0o755);
        for name in ["b.sh", "a"] {
            std::fs::write(folder.path().join("src").join(name), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(folder.path().join("src").join(name), execute.clone()).unwrap();
        }
        std::fs::create_dir(folder.path().join("src/folder")).unwrap();
        symlink("/bin/sh", folder.path().join("src/outside")).unwrap();
        assert_eq!(folder.executables("src").unwrap(), ["a", "b.sh"]);
        assert_eq!(folder.executables("none").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_fifo_is_refused_without_waiting() {
        let (_keep, folder) = folder();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("fifo"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(folder.kind("fifo"), Kind::Other);
        assert_eq!(folder.read("fifo").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_file_above_the_limit_is_refused() {
        let (_keep, folder) = folder();
        assert_eq!(folder.read_bounded(Path::new("src/a.py"), 7).unwrap().len(), 7);
        let error = folder.read_bounded(Path::new("src/a.py"), 6).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
