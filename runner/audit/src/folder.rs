//! Files that are this user's alone, in a folder that is held open. Names are looked up beneath the open descriptor and
//! symbolic links are never followed, so that nobody can move what we check away from what we use.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::Error;
use crate::line::hex;

/// Files that we make: read and written by their owner.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Folders that we make.
const FOLDER_MODE: Mode = Mode::RWXU;

/// An open folder, with its path for messages.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// Whether something reaches the disk before we go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// fsync(2) the file, and the folder that names it.
    Yes,
    /// Leave it to the kernel: it survives our own death, but perhaps not the machine's.
    No,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folder {
    /// An open folder, and the path by which messages call it.
    #[must_use]
    pub fn new(fd: OwnedFd, path: impl Into<PathBuf>) -> Self {
        Self { fd, path: path.into() }
    }

    /// Opens `path`, following symbolic links: for the places that the operator names (`$HOME`, `/var/lib`).
    ///
    /// # Errors
    /// open(2).
    pub fn open(path: &Path) -> Result<Self, Error> {
        fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map(|fd| Self::new(fd, path))
            .map_err(|errno| Error::Open { path: path.to_owned(), source: errno.into() })
    }

    /// The path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in the folder, for messages.
    #[must_use]
    pub fn path_of(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Opens the folder `name` (one or more components beneath this one, no symbolic link).
    ///
    /// # Errors
    /// openat2(2); a symbolic link is ELOOP.
    pub fn folder(&self, name: &Path) -> Result<Self, Error> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let path = self.path_of(name);
        beneath(&self.fd, name, flags, Mode::empty())
            .map(|fd| Self::new(fd, &path))
            .map_err(|errno| Error::Open { path: path.clone(), source: errno.into() })
    }

    /// Makes the folder `name`, mode 0700, when it is not there; `true` when it was made.
    ///
    /// # Errors
    /// mkdirat(2), but for EEXIST.
    pub fn make_folder(&self, name: &Path) -> Result<bool, Error> {
        match fs::mkdirat(&self.fd, name, FOLDER_MODE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(Error::Create { path: self.path_of(name), source: errno.into() }),
        }
    }

    /// The folder `name`, made when it is not there, and checked to be this user's alone.
    ///
    /// # Errors
    /// As [`Folder::make_folder`], [`Folder::folder`], [`Folder::check_private`].
    pub fn private_folder(&self, name: &Path) -> Result<Self, Error> {
        self.make_folder(name)?;
        let folder = self.folder(name)?;
        folder.check_private()?;
        Ok(folder)
    }

    /// Whether this folder belongs to the effective user, and nobody else may enter it.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] says what is wrong and what to do.
    pub fn check_private(&self) -> Result<(), Error> {
        let stat = fs::fstat(&self.fd)
            .map_err(|errno| Error::Open { path: self.path.clone(), source: errno.into() })?;
        check_owner_and_mode(&self.path, stat.st_uid, stat.st_mode, "0700")
    }

    /// Makes `name`, which must not exist, for writing; every write goes to its end.
    ///
    /// # Errors
    /// openat2(2) with O_EXCL.
    pub fn create_log(&self, name: &str) -> Result<File, Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND | OFlags::CLOEXEC;
        beneath(&self.fd, Path::new(name), flags, FILE_MODE)
            .map(File::from)
            .map_err(|errno| Error::Create { path: self.path_of(name), source: errno.into() })
    }

    /// Opens `name` for reading and for writing at its end, and makes it when it is not there.
    ///
    /// # Errors
    /// openat2(2); [`Error::Unsuitable`] when it is not a file of this user's alone.
    pub fn open_log(&self, name: &str) -> Result<File, Error> {
        self.checked(name, OFlags::RDWR | OFlags::CREATE | OFlags::APPEND)
    }

    /// Opens `name` for reading.
    ///
    /// # Errors
    /// openat2(2); [`Error::Unsuitable`] when it is not a file of this user's alone.
    pub fn open_file(&self, name: &str) -> Result<File, Error> {
        self.checked(name, OFlags::RDONLY)
    }

    /// Opens `name`, or `None` when it is not there.
    ///
    /// # Errors
    /// As [`Folder::open_file`].
    pub fn find_file(&self, name: &str) -> Result<Option<File>, Error> {
        match self.open_file(name) {
            Ok(file) => Ok(Some(file)),
            Err(Error::Open { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a file `name`, which must be this user's alone. It is not opened: for files that others of this
    /// process hold POSIX locks on, which would go when any descriptor of the file is closed.
    ///
    /// # Errors
    /// fstatat(2); [`Error::Unsuitable`] when it is not a file of this user's alone.
    pub fn check_file(&self, name: &str) -> Result<bool, Error> {
        let path = self.path_of(name);
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => check_file(&path, &stat).map(|()| true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::Open { path, source: errno.into() }),
        }
    }

    /// The bytes of `name`, at most `limit`; `None` when it is not there.
    ///
    /// # Errors
    /// As [`Folder::open_file`]; [`Error::TooLarge`].
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.find_file(name)? else { return Ok(None) };
        let path = self.path_of(name);
        let mut bytes = Vec::new();
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        let length = read.map_err(|source| Error::Read { path: path.clone(), source })?;
        if length as u64 > limit { Err(Error::TooLarge { path, limit }) } else { Ok(Some(bytes)) }
    }

    /// Puts `bytes` at `name`, which readers see either as it was or as it will be.
    ///
    /// # Errors
    /// The step that failed; `name` is then as it was.
    pub fn replace(&self, name: &str, bytes: &[u8], durable: Durable) -> Result<(), Error> {
        self.publish(name, bytes, durable, RenameFlags::empty()).map(|_| ())
    }

    /// Puts `bytes` at `name` unless something is there; `false` when it was.
    ///
    /// # Errors
    /// The step that failed; `name` is then as it was.
    pub fn create_once(&self, name: &str, bytes: &[u8], durable: Durable) -> Result<bool, Error> {
        self.publish(name, bytes, durable, RenameFlags::NOREPLACE)
    }

    fn publish(&self, name: &str, bytes: &[u8], durable: Durable, flags: RenameFlags) -> Result<bool, Error> {
        let draft = format!(".{name}.{}", hex(&random::<8>()?));
        let mut file = self.create_log(&draft)?;
        let written =
            self.write_draft(&mut file, name, bytes, durable).and_then(|()| {
                match fs::renameat_with(&self.fd, &draft, &self.fd, name, flags) {
                    Ok(()) => Ok(true),
                    Err(Errno::EXIST) => Ok(false),
                    Err(errno) => Err(Error::Create { path: self.path_of(name), source: errno.into() }),
                }
            });
        if !matches!(written, Ok(true)) {
            // The draft is of no use; that it cannot be removed would hide the error that matters.
            let _ = fs::unlinkat(&self.fd, &draft, AtFlags::empty());
        } else if durable == Durable::Yes {
            self.sync()?;
        }
        written
    }

    fn write_draft(&self, file: &mut File, name: &str, bytes: &[u8], durable: Durable) -> Result<(), Error> {
        file.write_all(bytes).map_err(|source| Error::Write { path: self.path_of(name), source })?;
        if durable == Durable::Yes {
            file.sync_all().map_err(|source| Error::Sync { path: self.path_of(name), source })?;
        }
        Ok(())
    }

    /// Makes the names in this folder durable.
    ///
    /// # Errors
    /// fsync(2).
    pub fn sync(&self) -> Result<(), Error> {
        fs::fsync(&self.fd).map_err(|errno| Error::Sync { path: self.path.clone(), source: errno.into() })
    }

    fn checked(&self, name: &str, flags: OFlags) -> Result<File, Error> {
        let path = self.path_of(name);
        let open = |errno: Errno| Error::Open { path: path.clone(), source: errno.into() };
        // O_NONBLOCK: opening a FIFO that somebody put there must not hang.
        let mode = if flags.contains(OFlags::CREATE) { FILE_MODE } else { Mode::empty() };
        let fd = beneath(&self.fd, Path::new(name), flags | OFlags::CLOEXEC | OFlags::NONBLOCK, mode)
            .map_err(open)?;
        check_file(&path, &fs::fstat(&fd).map_err(open)?)?;
        Ok(File::from(fd))
    }
}

/// openat2(2) beneath `dir`, through no symbolic link and no magic link.
fn beneath(dir: &OwnedFd, name: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    fs::openat2(dir, name, flags, mode, resolve)
}

fn check_file(path: &Path, stat: &fs::Stat) -> Result<(), Error> {
    if fs::FileType::from_raw_mode(stat.st_mode) != fs::FileType::RegularFile || stat.st_nlink != 1 {
        let why = "is not an ordinary file with one name".to_owned();
        let help = "move it away".to_owned();
        return Err(Error::Unsuitable { path: path.to_owned(), why, help });
    }
    check_owner_and_mode(path, stat.st_uid, stat.st_mode, "0600")
}

fn check_owner_and_mode(path: &Path, owner: u32, mode: u32, wanted: &str) -> Result<(), Error> {
    let me = rustix::process::geteuid().as_raw();
    let shown = path.display();
    let (why, help) = if owner != me {
        (
            format!("belongs to user {owner}, not to {me}"),
            format!("run as user {owner}, or move `{shown}` away"),
        )
    } else if mode & 0o077 != 0 {
        (format!("is open to other users (mode {:04o})", mode & 0o7777), format!("chmod {wanted} {shown}"))
    } else {
        return Ok(());
    };
    Err(Error::Unsuitable { path: path.to_owned(), why, help })
}

/// Random bytes from the kernel.
///
/// # Errors
/// getrandom(2).
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::Random(errno.into())),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn replaced_and_created_files_are_the_owners_alone_and_leave_no_drafts() {
        let (dir, folder) = folder();
        folder.replace("a", b"1", Durable::Yes).unwrap();
        folder.replace("a", b"2", Durable::No).unwrap();
        assert!(folder.create_once("b", b"3", Durable::Yes).unwrap());
        assert!(!folder.create_once("b", b"4", Durable::Yes).unwrap());
        assert_eq!(folder.read("a", 10).unwrap().unwrap(), b"2");
        assert_eq!(folder.read("b", 10).unwrap().unwrap(), b"3");
        assert_eq!(std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_fifos_and_open_files_are_refused() {
        let (dir, folder) = folder();
        folder.replace("a", b"1", Durable::No).unwrap();
        symlink("a", dir.path().join("symlink")).unwrap();
        assert!(matches!(folder.open_file("symlink"), Err(Error::Open { .. })));
        assert!(folder.create_log("symlink").is_err());
        std::fs::hard_link(dir.path().join("a"), dir.path().join("hard")).unwrap();
        assert!(matches!(folder.open_file("a"), Err(Error::Unsuitable { .. })));
        std::fs::remove_file(dir.path().join("hard")).unwrap();
        std::fs::set_permissions(dir.path().join("a"), PermissionsExt::from_mode(0o640)).unwrap();
        let Err(Error::Unsuitable { why, help, .. }) = folder.open_file("a") else { panic!() };
        assert!(why.contains("0640") && help.contains("chmod 0600"), "{why} {help}");
        let fifo = rustix::fs::FileType::Fifo;
        fs::mknodat(&folder, "fifo", fifo, FILE_MODE, 0).unwrap();
        assert!(matches!(folder.open_file("fifo"), Err(Error::Unsuitable { .. })));
        assert!(folder.find_file("nothing").unwrap().is_none());
        for name in ["symlink", "a", "fifo"] {
            assert!(matches!(folder.check_file(name), Err(Error::Unsuitable { .. })), "{name}");
        }
        std::fs::set_permissions(dir.path().join("a"), PermissionsExt::from_mode(0o600)).unwrap();
        assert!(folder.check_file("a").unwrap() && !folder.check_file("nothing").unwrap());
        assert!(folder.open_file("../x").is_err());
    }

    #[test]
    fn a_file_longer_than_its_bound_is_refused() {
        let (_dir, folder) = folder();
        folder.replace("a", b"123", Durable::No).unwrap();
        assert!(matches!(folder.read("a", 2), Err(Error::TooLarge { .. })));
        assert_eq!(folder.read("a", 3).unwrap().unwrap(), b"123");
    }

    #[test]
    fn a_folder_of_somebody_else_or_open_to_others_is_refused() {
        let (dir, folder) = folder();
        let made = folder.private_folder(Path::new("x")).unwrap();
        assert_eq!(made.path(), dir.path().join("x"));
        std::fs::set_permissions(dir.path().join("x"), PermissionsExt::from_mode(0o701)).unwrap();
        assert!(matches!(folder.private_folder(Path::new("x")), Err(Error::Unsuitable { .. })));
        symlink("x", dir.path().join("y")).unwrap();
        assert!(matches!(folder.private_folder(Path::new("y")), Err(Error::Open { .. })));
        assert!(check_owner_and_mode(Path::new("x"), u32::MAX - 1, 0o700, "0700").is_err());
    }
}
