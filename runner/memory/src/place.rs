//! Where a store lies: a folder of its own in the state directory, in which everything is this user's alone.
//!
//! The files are looked at by name and never opened: closing any descriptor of a file drops the whole process's POSIX locks
//! on it (fcntl(2)), which are what SQLite holds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentrc_audit::folder::{Folder, random};
use agentrc_audit::line::hex;
use rustix::fs::{self, AtFlags, FlockOperation, RenameFlags};
use rustix::io::Errno;

use crate::error::Error;

/// Folder of all memories in the state directory.
const MEMORIES: &str = "memory";
/// The database. SQLite keeps its log and index of the log beside it.
const DATABASE: &str = "memory.db";
/// All names that SQLite uses for it. The database is the last that is looked at: the others come after it and go before it,
/// so who finds one of them finds it too, also when another process makes it in just this moment.
const FILES: [&str; 4] = ["memory.db-shm", "memory.db-wal", "memory.db-journal", "memory.db"];
/// What drafts of a database begin with.
const DRAFT: &str = ".memory.db.";
/// Longest name of an agent or a memory, in bytes: a file's.
const NAME_BYTES: usize = 255;
/// Between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(5);

/// The folder of one store.
pub(crate) struct Home {
    /// From the state directory inwards; the last is the store's.
    folders: Vec<Folder>,
    folder: Folder,
    /// The database, through no symbolic link.
    database: PathBuf,
}

impl Home {
    /// The folder of the memory `name` of `agent` below `state`, made when it is not there.
    pub(crate) fn open(state: &Folder, agent: &str, name: &str) -> Result<Self, Error> {
        state.check_private()?;
        let mut folders = vec![state.private_folder(Path::new(MEMORIES))?];
        for part in [agent, name] {
            check_name(part)?;
            if let Some(outer) = folders.last() {
                folders.push(outer.private_folder(Path::new(part))?);
            }
        }
        let Some(folder) = folders.pop() else { return Err(Error::Name(name.to_owned())) };
        let database = real(&folder)?.join(DATABASE);
        Ok(Self { folders, folder, database })
    }

    /// Path of the database, for SQLite and for messages.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// Whether there is a database, and all files of it are this user's alone.
    pub(crate) fn has_database(&self) -> Result<bool, Error> {
        let mut there = [false; FILES.len()];
        for (there, file) in there.iter_mut().zip(FILES) {
            *there = self.folder.check_file(file)?;
        }
        match there {
            [.., true] => Ok(true),
            [_, false, false, false] => Ok(false),
            // What was acknowledged may be in there. An empty memory in its place would look as if it never was.
            _ => Err(Error::Damaged {
                path: self.database.clone(),
                why: "its log is there, and it is not".to_owned(),
            }),
        }
    }

    /// Makes the database with `build`, which is given the path of a draft, unless somebody else did meanwhile. What has
    /// the database's name is whole and durable, whenever this process is killed.
    pub(crate) fn create(
        &self,
        wait: Duration,
        build: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // A descriptor of its own: the lock goes with it.
        let lock = self.parent().folder(Path::new(self.folder.path().file_name().unwrap_or_default()))?;
        self.lock(&lock, wait)?;
        self.remove_drafts()?;
        if self.has_database()? {
            return Ok(());
        }
        let draft = format!("{DRAFT}{}", hex(&random::<8>()?));
        drop(self.folder.create_log(&draft)?);
        let path = self.database.with_file_name(&draft);
        build(&path)?;
        let file = self.folder.open_file(&draft)?;
        file.sync_all().map_err(Error::io("make durable", &path))?;
        fs::renameat_with(&self.folder, &draft, &self.folder, DATABASE, RenameFlags::NOREPLACE)
            .map_err(Error::io("create", &self.database))?;
        self.folder.sync()?;
        self.folders.iter().rev().try_for_each(|folder| Ok(folder.sync()?))
    }

    fn parent(&self) -> &Folder {
        self.folders.last().unwrap_or(&self.folder)
    }

    fn lock(&self, lock: &Folder, wait: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            match fs::flock(lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK) if begun.elapsed() < wait => std::thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::Busy { path: self.database.clone(), waited: wait });
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::io("lock", lock.path())(errno)),
            }
        }
    }

    /// Drafts of processes that were killed: whoever holds the lock is the only one who can be making one.
    fn remove_drafts(&self) -> Result<(), Error> {
        let entries = fs::Dir::read_from(&self.folder).map_err(Error::io("list", self.folder.path()))?;
        for entry in entries {
            let entry = entry.map_err(Error::io("list", self.folder.path()))?;
            let name = entry.file_name();
            if name.to_bytes().starts_with(DRAFT.as_bytes()) {
                fs::unlinkat(&self.folder, name, AtFlags::empty())
                    .map_err(Error::io("clear", self.folder.path()))?;
            }
        }
        Ok(())
    }
}

/// The path of `folder` through no symbolic link, as SQLite is to open what is in it. From the state directory's base
/// upwards nobody but this user and root can change it.
fn real(folder: &Folder) -> Result<PathBuf, Error> {
    let path = std::fs::canonicalize(folder.path()).map_err(Error::io("resolve", folder.path()))?;
    let held = fs::fstat(folder).map_err(Error::io("look at", folder.path()))?;
    let named = fs::lstat(&path).map_err(Error::io("look at", &path))?;
    if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino) {
        return Ok(path);
    }
    Err(Error::Foreign { path, why: "the folder was replaced while it was opened".to_owned() })
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(allowed)
        && name.len() <= NAME_BYTES;
    if fits {
        Ok(())
    } else {
        Err(Error::Name(agentrc_audit::text::printable_text(&crate::error::short(name))))
    }
}
