//! What the supervisor holds during a run: the run's log, and its two lines in the ledger.

use std::sync::Arc;

use crate::error::Error;
use crate::event::Event;
use crate::folder::Folder;
use crate::ledger::{Entry, Ledger};
use crate::level::AuditLevel;
use crate::log::{Head, Log};
use crate::sign::SigningKey;

/// Records one run, from before its launch to after its end.
pub struct Recorder {
    log: Log,
    ledger: Ledger,
    run: String,
}

impl Recorder {
    /// Loads the key (or makes it), writes the run into the ledger of `state`, and creates its log in `run_folder`.
    ///
    /// # Errors
    /// Any of these failed: the run must be refused.
    pub fn start(state: &Folder, run_folder: &Folder, run: &str, level: AuditLevel) -> Result<Self, Error> {
        let key = Arc::new(SigningKey::load_or_create(state)?);
        let mut ledger = Ledger::open(state, Arc::clone(&key))?;
        ledger.append(Entry::Started { run: run.to_owned(), level }, level == AuditLevel::Compliance)?;
        let log = Log::create(run_folder, run, level, key)?;
        Ok(Self { log, ledger, run: run.to_owned() })
    }

    /// Records `event` if the level wants it.
    ///
    /// # Errors
    /// It is not recorded: the run must end.
    pub fn record(&mut self, event: &Event) -> Result<(), Error> {
        self.log.append(event)
    }

    /// Signs the log for the last time, makes it durable and writes its head into the ledger. A recorder that is dropped
    /// instead leaves a log that shows as unfinished.
    ///
    /// # Errors
    /// The log or the ledger could not be written.
    pub fn finish(mut self) -> Result<Head, Error> {
        let durable = self.log.level() >= AuditLevel::All;
        let head = self.log.finish()?;
        self.ledger.append(Entry::Ended { run: self.run, lines: head.lines, head: head.digest }, durable)?;
        Ok(head)
    }
}
