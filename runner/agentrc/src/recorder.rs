//! The jail's events into the audit log. An error here refuses the run, or kills it.

use std::fs::File;

use agentfile::plan::AuditLevel;
use agentrc_audit::Event;
use agentrc_audit::log::{Head, LOG_FILE};
use agentrc_host::StateDir;
use agentrc_host::record::Record;
use agentrc_host::runs::Run;
use agentrc_jail::Unopened;
use rustix::fs::{AtFlags, StatVfs, fstat, fstatvfs, statat};

use crate::{fault, host};

/// Free blocks that the file system must have while a run goes on: enough for its last words.
const RESERVE: u64 = 64 * 1024;

/// The log of one run, which the launch opens when it gets there.
pub struct Recorder<'a> {
    state: &'a StateDir,
    run: &'a Run,
    level: AuditLevel,
    record: Record,
    open: Option<Open>,
}

struct Open {
    log: agentrc_audit::Recorder,
    /// The same file again, to look at.
    file: File,
}

impl<'a> Recorder<'a> {
    /// Not yet open.
    #[must_use]
    pub fn new(state: &'a StateDir, run: &'a Run, level: AuditLevel, record: Record) -> Self {
        Self { state, run, level, record, open: None }
    }

    /// The open log, out of its place. Opening it writes the run's record and the ledger's entry first.
    fn take(&mut self) -> Result<Open, agentrc_host::Error> {
        if let Some(open) = self.open.take() {
            return Ok(open);
        }
        self.run.write_record(&self.record)?;
        let (state, run) = (self.state.folder(), self.run.folder());
        let log = agentrc_audit::Recorder::start(state, run, self.run.id(), self.level)?;
        Ok(Open { log, file: run.open_file(LOG_FILE)? })
    }

    /// Opens the log, if it is not open yet.
    ///
    /// # Errors
    /// The run's record, the ledger, the key or the log.
    pub fn open(&mut self) -> Result<(), agentrc_host::Error> {
        self.open = Some(self.take()?);
        Ok(())
    }

    /// Records one event.
    ///
    /// # Errors
    /// It is not recorded.
    pub fn append(&mut self, event: &Event) -> Result<(), agentrc_host::Error> {
        let open = self.take()?;
        Ok(self.open.insert(open).log.record(event)?)
    }

    /// Signs the log for the last time.
    ///
    /// # Errors
    /// The log or the ledger could not be written.
    pub fn finish(mut self) -> Result<Head, agentrc_host::Error> {
        Ok(self.take()?.log.finish()?)
    }
}

impl agentrc_jail::Recorder for Recorder<'_> {
    fn open(&mut self) -> Result<(), Unopened> {
        let refused = |error: agentrc_host::Error| {
            let refusal = host::refusal(&error);
            Unopened { reason: refusal.reason, help: refusal.help }
        };
        Recorder::open(self).map_err(refused)
    }

    fn record(&mut self, event: &Event) -> Result<(), String> {
        fault::check(fault::AUDIT_APPEND)?;
        self.append(event).map_err(|error| error.to_string())
    }

    /// A log that is gone, or a file system without room for it, is noticed before there is something to record.
    fn check(&mut self) -> Result<(), String> {
        let say = |errno: rustix::io::Errno| std::io::Error::from(errno).to_string();
        let Some(Open { file, .. }) = &self.open else { return Err("it is not open".to_owned()) };
        let open = fstat(file).map_err(say)?;
        let named = statat(self.run.folder(), LOG_FILE, AtFlags::SYMLINK_NOFOLLOW);
        if !named.is_ok_and(|named| (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)) {
            return Err("it was removed, or moved away".to_owned());
        }
        let space = fstatvfs(file).map_err(say)?;
        if room(&space, rustix::process::geteuid().is_root()) < RESERVE {
            return Err("its file system is full".to_owned());
        }
        Ok(())
    }
}

/// Bytes that this user may still write.
fn room(space: &StatVfs, root: bool) -> u64 {
    // Some file systems (btrfs while empty, some network ones) have no number: they count nothing.
    if space.f_blocks == 0 {
        return u64::MAX;
    }
    let blocks = if root { space.f_bfree } else { space.f_bavail };
    blocks.saturating_mul(space.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_blocks_are_roots_alone() {
        let space = StatVfs {
            f_bsize: 4096,
            f_frsize: 4096,
            f_blocks: 100,
            f_bfree: 20,
            f_bavail: 0,
            f_files: 0,
            f_ffree: 0,
            f_favail: 0,
            f_fsid: 0,
            f_flag: rustix::fs::StatVfsMountFlags::empty(),
            f_namemax: 255,
        };
        assert_eq!(room(&space, false), 0);
        assert_eq!(room(&space, true), 20 * 4096);
        assert_eq!(room(&StatVfs { f_blocks: 0, ..space }, false), u64::MAX);
    }
}
