//! Writing one run's log. The supervisor owns it, outside the sandbox; the agent never has a path or descriptor to it.
//!
//! # How durable a line is
//! Every level hands each line to the kernel with one write(2) before what follows it happens. From there it survives the
//! death of the supervisor, by SIGKILL too, but not that of the machine.
//!
//! * `compliance`: fdatasync(2) after each line, and fsync(2) of the folder that names the log: an act is durable before it
//!   is performed, whatever happens to the machine.
//! * `all`: fdatasync at each checkpoint. What a power cut can take is what no signature covered yet.
//! * `basic`, `off`: never; the kernel writes back when it does (seconds). A crash of the machine ends the agent too; what
//!   it takes is the record of a run whose effects are as likely lost, and the log then shows as unfinished. A sync at
//!   the end costs every run 0.3 ms on the fastest disk and 10 ms on an ordinary one, more than the whole launch.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::bound::{self, bounded};
use crate::canon;
use crate::error::Error;
use crate::event::Event;
use crate::folder::Folder;
use crate::level::{AuditLevel, wanted};
use crate::line::{Body, Checkpoint, DOMAIN, Digest, Line, now};
use crate::sign::SigningKey;

/// Name of a run's log in its folder.
pub const LOG_FILE: &str = "audit.jsonl";
/// Events between two signatures.
pub const CHECKPOINT_EVERY: u64 = 256;

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of lines.
    pub lines: u64,
    /// Digest of the last line.
    pub digest: Digest,
}

/// A log that is being written.
pub struct Log {
    file: File,
    path: PathBuf,
    run: String,
    level: AuditLevel,
    key: Arc<SigningKey>,
    head: Head,
    unsigned: u64,
    broken: bool,
}

impl Log {
    /// Makes the log of `run` in its folder. It must not exist.
    ///
    /// # Errors
    /// The file cannot be made (or, at `compliance`, its name not be made durable).
    pub fn create(
        folder: &Folder,
        run: &str,
        level: AuditLevel,
        key: Arc<SigningKey>,
    ) -> Result<Self, Error> {
        let file = folder.create_log(LOG_FILE)?;
        if level == AuditLevel::Compliance {
            folder.sync()?;
        }
        let (path, run) = (folder.path_of(LOG_FILE), run.to_owned());
        Ok(Self::on(file, path, run, level, key))
    }

    fn on(file: File, path: PathBuf, run: String, level: AuditLevel, key: Arc<SigningKey>) -> Self {
        let head = Head { lines: 0, digest: Digest::ZERO };
        Self { file, path, run, level, key, head, unsigned: 0, broken: false }
    }

    /// The level, as the plan asked.
    #[must_use]
    pub fn level(&self) -> AuditLevel {
        self.level
    }

    /// Records `event` if the level wants it.
    ///
    /// # Errors
    /// The line is not written, or not durable where it must be. The log is then broken: nothing more can be recorded,
    /// and the caller must end the run.
    pub fn append(&mut self, event: &Event) -> Result<(), Error> {
        if !wanted(self.level, event) {
            return Ok(());
        }
        self.write(Body::Event(bounded(event)))?;
        if self.level == AuditLevel::Compliance {
            self.sync()?;
        }
        self.unsigned += 1;
        if self.unsigned >= CHECKPOINT_EVERY { self.checkpoint(false) } else { Ok(()) }
    }

    /// Signs everything for the last time, and makes it durable where the level asks for that.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn finish(mut self) -> Result<Head, Error> {
        self.checkpoint(true)?;
        Ok(self.head)
    }

    fn checkpoint(&mut self, last: bool) -> Result<(), Error> {
        self.write(Body::Checkpoint {
            checkpoint: Checkpoint { last, key_id: self.key.public().id(), signature: String::new() },
        })?;
        self.unsigned = 0;
        if self.level >= AuditLevel::All { self.sync() } else { Ok(()) }
    }

    fn write(&mut self, body: Body) -> Result<(), Error> {
        if self.broken {
            return Err(Error::Broken { path: self.path.clone() });
        }
        let serialise = |error: serde_json::Error| Error::Serialise(error.to_string());
        let mut line =
            Line { seq: self.head.lines, time: now(), run: self.run.clone(), prev: self.head.digest, body };
        let mut bytes = canon::to_line(&line).map_err(serialise)?;
        if let Body::Checkpoint { checkpoint } = &mut line.body {
            checkpoint.signature = self.key.sign(DOMAIN, &bytes);
            bytes = canon::to_line(&line).map_err(serialise)?;
        }
        if bytes.len() > bound::LINE {
            self.broken = true;
            return Err(Error::LineTooLong { length: bytes.len(), limit: bound::LINE });
        }
        // Whether this was written whole is known only when write_all returns.
        self.broken = true;
        self.file.write_all(&bytes).map_err(|source| Error::Write { path: self.path.clone(), source })?;
        self.broken = false;
        self.head = Head { lines: self.head.lines + 1, digest: Digest::of(&bytes) };
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.file.sync_data().map_err(|source| {
            // After a failed fdatasync the kernel may have dropped the pages: what is on disk is unknown.
            self.broken = true;
            Error::Sync { path: self.path.clone(), source }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples;

    fn on(path: &str, flags: &mut std::fs::OpenOptions) -> Log {
        let key = Arc::new(SigningKey::generate().unwrap().0);
        Log::on(flags.open(path).unwrap(), path.into(), "r".into(), AuditLevel::Basic, key)
    }

    #[test]
    fn a_full_disk_is_an_error_and_nothing_follows_it() {
        let mut log = on("/dev/full", std::fs::OpenOptions::new().write(true));
        let first = log.append(&samples()[0]).unwrap_err();
        assert!(
            matches!(&first, Error::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
        );
        assert!(matches!(log.append(&samples()[5]), Err(Error::Broken { .. })));
        assert!(matches!(log.finish(), Err(Error::Broken { .. })));
    }

    #[test]
    fn a_sink_that_cannot_be_made_durable_is_an_error() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let key = Arc::new(SigningKey::generate().unwrap().0);
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut log = Log::on(file, "pipe".into(), "r".into(), AuditLevel::Compliance, key);
        assert!(matches!(log.append(&samples()[0]), Err(Error::Sync { .. })));
        assert!(matches!(log.append(&samples()[0]), Err(Error::Broken { .. })));
    }

    #[test]
    fn a_closed_sink_is_an_error() {
        let mut log = on("/dev/null", std::fs::OpenOptions::new().read(true));
        assert!(matches!(log.append(&samples()[0]), Err(Error::Write { .. })));
    }

    #[test]
    fn an_event_that_no_bound_makes_short_is_an_error_and_not_a_cut_line() {
        let mut log = on("/dev/null", std::fs::OpenOptions::new().write(true));
        let mut events = samples();
        let Event::Armed { evidence, .. } = &mut events[0] else { panic!() };
        evidence.layers = vec![evidence.layers[0].clone(); 20_000];
        assert!(matches!(log.append(&events[0]), Err(Error::LineTooLong { .. })));
        assert!(matches!(log.append(&events[5]), Err(Error::Broken { .. })));
    }
}
