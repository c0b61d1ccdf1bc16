//! Runs: their names, folders, locks and states.
//!
//! A supervisor holds an exclusive flock(2) on its run's `lock` file as long as it lives: the kernel lets go of it at its death,
//! however it dies, so that neither a process id that was used again nor a reboot can make a dead run look alive. Commands that
//! change a run (`apply`, `discard`, `runs --remove`) take the same lock.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use agentrc_audit::event::Event;
use agentrc_audit::folder::{Durable, Folder, random};
use agentrc_audit::ledger::Entry;
use agentrc_audit::line::hex;
use agentrc_audit::log::LOG_FILE;
use agentrc_audit::read::last_event;
use rustix::fs::{self, AtFlags, FlockOperation};
use rustix::io::Errno;

use crate::error::Error;
use crate::record::{Clock, RECORD_FILE, Record};
use crate::review;
use crate::state::StateDir;
use crate::tree;

/// Name of the folder of runs in the state directory.
pub const RUNS: &str = "runs";
const LOCK_FILE: &str = "lock";
/// A record with the longest paths, and a few hundred of them.
const RECORD_LIMIT: u64 = 4 << 20;
/// How often a name may be taken: 16 random bits are enough for the runs of one second.
const NAMES: u32 = 64;
/// How long to wait for a viewer that looks at the lock at this moment.
const PATIENCE: Duration = Duration::from_millis(500);

/// The folder of one run.
#[derive(Debug)]
pub struct Run {
    id: String,
    folder: Folder,
    lock: File,
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Its supervisor lives.
    Running,
    /// It ended by itself or was killed by its supervisor, with this exit code of `agentrc run`.
    Ended {
        /// Exit code.
        exit_code: i32,
    },
    /// It was refused before its command could be executed.
    Refused {
        /// The step that refused.
        step: String,
    },
    /// Its supervisor died without a last word.
    Interrupted,
}

/// What a list of runs shows.
#[derive(Debug)]
pub struct Listed {
    /// The run.
    pub id: String,
    /// How it stands; an error when that cannot be told.
    pub state: Result<RunState, Error>,
    /// Its record as it stands ([`Run::record_now`]); none when it ended before that was written.
    pub record: Result<Option<Record>, Error>,
}

/// Whether `text` has the form of a run's name: `20261125-124522-3f9a`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let shape = b"dddddddd-dddddd-hhhh";
    text.len() == shape.len()
        && text.bytes().zip(shape).all(|(byte, kind)| match kind {
            b'd' => byte.is_ascii_digit(),
            b'h' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            literal => byte == *literal,
        })
}

/// When the run of this name started, to the second: `2026-11-25 12:45:22 UTC`. None when it is not a run's name.
#[must_use]
pub fn started(id: &str) -> Option<String> {
    let part = |range: std::ops::Range<usize>| id.get(range).filter(|_| is_id(id));
    let date = [part(0..4)?, part(4..6)?, part(6..8)?].join("-");
    let time = [part(9..11)?, part(11..13)?, part(13..15)?].join(":");
    Some(format!("{date} {time} UTC"))
}

impl StateDir {
    fn runs_folder(&self) -> Result<Folder, Error> {
        Ok(self.folder().private_folder(Path::new(RUNS))?)
    }

    /// Makes the folder of a new run, and locks it for as long as the [`Run`] is kept.
    ///
    /// # Errors
    /// Any system call; every name that was tried is taken.
    pub fn create_run(&self) -> Result<Run, Error> {
        let runs = self.runs_folder()?;
        for _ in 0..NAMES {
            let now = jiff::Timestamp::now();
            // Names are in the order of the runs: the second, its 256th part (4 ms: no run is shorter), and chance.
            let [chance] = random::<1>()?;
            let part = u8::try_from(now.subsec_nanosecond() / 3_906_250).unwrap_or(u8::MAX);
            let id = format!("{}-{}", now.strftime("%Y%m%d-%H%M%S"), hex(&[part, chance]));
            if runs.make_folder(Path::new(&id))? {
                let locked = Run::at(&runs, &id).and_then(|run| run.lock().map(|()| run));
                if locked.is_err() {
                    // Nothing is in it but a lock that nobody holds. By name, because there may be no descriptor left; what
                    // failed matters more than what is left.
                    let _ = fs::unlinkat(&runs, format!("{id}/{LOCK_FILE}"), AtFlags::empty());
                    let _ = fs::unlinkat(&runs, &id, AtFlags::REMOVEDIR);
                }
                return locked;
            }
        }
        Err(Error::NoName(NAMES))
    }

    /// Opens the folder of a run, without locking it.
    ///
    /// # Errors
    /// There is no such run, or its folder is not this user's alone.
    pub fn open_run(&self, id: &str) -> Result<Run, Error> {
        let runs = self.runs_folder()?;
        if !is_id(id) || !runs.path_of(id).exists() {
            return Err(Error::NoRun(id.to_owned()));
        }
        Run::at(&runs, id)
    }

    /// Names of all runs, oldest first.
    ///
    /// # Errors
    /// Listing the folder.
    pub fn run_ids(&self) -> Result<Vec<String>, Error> {
        let entries = tree::entries(&self.runs_folder()?)?;
        Ok(entries
            .into_iter()
            .filter_map(|(name, _)| name.into_string().ok())
            .filter(|name| is_id(name))
            .collect())
    }

    /// All runs with their states, oldest first. What is wrong with one run does not hide the others.
    ///
    /// # Errors
    /// Listing the folder.
    pub fn runs(&self) -> Result<Vec<Listed>, Error> {
        let listed = |id: String| match self.open_run(&id) {
            Ok(run) => Listed { state: run.state(), record: run.record_now(), id },
            Err(error) => {
                let why = error.to_string();
                let path = self.folder().path().join(RUNS).join(&id);
                let record = Err(Error::Record { path, run: id.clone(), why });
                Listed { id, state: Err(error), record }
            }
        };
        Ok(self.run_ids()?.into_iter().map(listed).collect())
    }

    /// The run that `asked` means: `latest` (of those that are no server of another's), a name, or the beginning of exactly one name.
    ///
    /// # Errors
    /// None or several begin so.
    pub fn resolve_run(&self, asked: &str) -> Result<String, Error> {
        let mut ids = self.run_ids()?;
        if asked == "latest" {
            // What is damaged is shown as that.
            let serves = |id: &String| {
                let record = self.open_run(id).and_then(|run| run.record());
                record.is_ok_and(|record| record.is_some_and(|record| record.serves.is_some()))
            };
            let latest = ids.into_iter().rev().find(|id| !serves(id));
            return latest.ok_or_else(|| Error::NoRun(asked.to_owned()));
        }
        ids.retain(|id| !asked.is_empty() && id.starts_with(asked));
        match ids.len() {
            1 => ids.pop().ok_or_else(|| Error::NoRun(asked.to_owned())),
            0 => Err(Error::NoRun(asked.to_owned())),
            _ => Err(Error::AmbiguousRun { asked: asked.to_owned(), runs: ids }),
        }
    }

    /// Removes a run with its log and its copies, and says so in the ledger first.
    ///
    /// # Errors
    /// It goes on; the ledger or the folder cannot be written.
    pub fn remove_run(&self, id: &str) -> Result<(), Error> {
        let run = self.open_run(id)?;
        run.lock()?;
        self.note(Entry::Removed { run: id.to_owned() })?;
        tree::remove(&self.runs_folder()?, id)?;
        Ok(())
    }

    /// Removes a run that has no log: one that was refused before it could be recorded.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn forget_run(&self, run: Run) -> Result<(), Error> {
        let id = run.id().to_owned();
        // With an entry, should the run have got as far as the ledger. That none can be made is no reason to keep the
        // folder: it is most often why the run was refused.
        let _ = self.note(Entry::Removed { run: id.clone() });
        drop(run);
        tree::remove(&self.runs_folder()?, &id)?;
        Ok(())
    }
}

impl Run {
    fn at(runs: &Folder, id: &str) -> Result<Self, Error> {
        let folder = runs.folder(Path::new(id))?;
        folder.check_private()?;
        // Made by whoever comes first: a viewer may look into the folder of a new run before its supervisor has made the lock, and
        // one that died between two system calls has made none; then nobody holds it.
        let lock = folder.open_log(LOCK_FILE)?;
        Ok(Self { id: id.to_owned(), folder, lock })
    }

    /// The run's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Takes the lock, for as long as this is kept.
    ///
    /// # Errors
    /// [`Error::Busy`]: its supervisor lives, or another command changes it.
    pub fn lock(&self) -> Result<(), Error> {
        let began = Instant::now();
        while !self.try_lock(FlockOperation::NonBlockingLockExclusive)? {
            if began.elapsed() > PATIENCE {
                return Err(Error::Busy(self.id.clone()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn try_lock(&self, operation: FlockOperation) -> Result<bool, Error> {
        match fs::flock(&self.lock, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::io("lock", &self.folder.path_of(LOCK_FILE))(errno)),
        }
    }

    /// Whether its supervisor lives, or another command changes it.
    ///
    /// # Errors
    /// flock(2).
    pub fn lives(&self) -> Result<bool, Error> {
        let alone = self.try_lock(FlockOperation::NonBlockingLockShared)?;
        if alone {
            self.try_lock(FlockOperation::Unlock)?;
        }
        Ok(!alone)
    }

    /// How it stands.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn state(&self) -> Result<RunState, Error> {
        // The lock is asked for before the log is read: a run that ends in between is told as ended, not as interrupted.
        let lives = self.lives()?;
        let event = match self.folder.find_file(LOG_FILE)? {
            Some(mut log) => {
                last_event(&mut log).map_err(Error::io("read", &self.folder.path_of(LOG_FILE)))?
            }
            None => None,
        };
        Ok(match event {
            Some(Event::Ended { exit_code, .. }) => RunState::Ended { exit_code },
            Some(Event::Refused { step, .. }) => RunState::Refused { step },
            _ if lives => RunState::Running,
            _ => RunState::Interrupted,
        })
    }

    /// The file system's time at which the folder was made, for [`Record::clock`].
    ///
    /// # Errors
    /// fstat(2).
    pub fn clock(&self) -> Result<Clock, Error> {
        let path = self.folder.path_of(LOCK_FILE);
        let stat = fs::fstat(&self.lock).map_err(Error::io("look at", &path))?;
        Ok(Clock { seconds: stat.st_ctime, nanoseconds: u32::try_from(stat.st_ctime_nsec).unwrap_or(0) })
    }

    /// Writes the record, in place of an earlier one.
    ///
    /// # Errors
    /// Any system call.
    pub fn write_record(&self, record: &Record) -> Result<(), Error> {
        let damaged = |error: serde_json::Error| self.damaged(error.to_string());
        let mut bytes = serde_json::to_vec_pretty(record).map_err(damaged)?;
        bytes.push(b'\n');
        Ok(self.folder.replace(RECORD_FILE, &bytes, Durable::No)?)
    }

    /// The record; none when the run ended before it was written.
    ///
    /// # Errors
    /// It is damaged, or belongs to another run.
    pub fn record(&self) -> Result<Option<Record>, Error> {
        let Some(bytes) = self.folder.read(RECORD_FILE, RECORD_LIMIT)? else { return Ok(None) };
        let record: Record =
            serde_json::from_slice(&bytes).map_err(|error| self.damaged(error.to_string()))?;
        if record.format != crate::record::FORMAT {
            return Err(self.damaged(format!("format {} is not one that this version reads", record.format)));
        }
        if record.run != self.id {
            return Err(self.damaged(format!("it is that of the run `{}`", record.run)));
        }
        Ok(Some(record))
    }

    /// The record, with only those of its copies that are still there.
    ///
    /// # Errors
    /// As [`Run::record`]; a copy cannot be looked at.
    pub fn record_now(&self) -> Result<Option<Record>, Error> {
        let Some(mut record) = self.record()? else { return Ok(None) };
        record.copies = review::kept(self, record.copies)?;
        Ok(Some(record))
    }

    pub(crate) fn damaged(&self, why: String) -> Error {
        Error::Record { path: self.folder.path_of(RECORD_FILE), run: self.id.clone(), why }
    }
}
