//! Verifying what is kept: logs against the ledger, with the host's own public key or one that was kept elsewhere.

use std::io::BufReader;

use agentrc_audit::ledger::{LEDGER_FILE, Runs};
use agentrc_audit::log::LOG_FILE;
use agentrc_audit::sign::PublicKey;
use agentrc_audit::verify::{Report, compare_runs, verify, verify_ledger};

use crate::error::Error;
use crate::runs::is_id;
use crate::state::StateDir;

/// Reports on the whole state directory.
#[derive(Debug)]
pub struct Whole {
    /// The ledger's; a run that it knows and that is not there is a finding.
    pub ledger: Report,
    /// Each run's, oldest first.
    pub runs: Vec<(String, Result<Report, Error>)>,
}

impl StateDir {
    /// The public key of this state directory.
    ///
    /// # Errors
    /// As [`StateDir::key`]: it is derived from the private key, not read from the file beside it.
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        Ok(self.key()?.public())
    }

    /// Verifies one run's log, and compares it with the ledger.
    ///
    /// # Errors
    /// Something cannot be read; what is wrong with it is in the report.
    pub fn verify_run(&self, id: &str, key: &PublicKey) -> Result<Report, Error> {
        let (_, known) = self.ledger_report(key)?;
        self.verify_log(id, key, &known)
    }

    /// Verifies the ledger and every run.
    ///
    /// # Errors
    /// The ledger or the list of runs cannot be read.
    pub fn verify_all(&self, key: &PublicKey) -> Result<Whole, Error> {
        let present = |run: &str| is_id(run) && self.open_run(run).is_ok();
        let (mut ledger, mut known) = self.ledger_report(key)?;
        let missing = |known: &Runs| known.0.iter().any(|(run, entry)| !entry.removed && !present(run));
        if missing(&known) {
            // It may have been removed since the ledger was read: that entry comes first, so it is there now.
            (ledger, known) = self.ledger_report(key)?;
        }
        compare_runs(&mut ledger, &known, &present);
        let runs = self.run_ids()?.into_iter().map(|id| (self.verify_log(&id, key, &known), id));
        Ok(Whole { ledger, runs: runs.map(|(report, id)| (id, report)).collect() })
    }

    fn verify_log(&self, id: &str, key: &PublicKey, known: &Runs) -> Result<Report, Error> {
        let run = self.open_run(id)?;
        let path = run.folder().path_of(LOG_FILE);
        let Some(log) = run.folder().find_file(LOG_FILE)? else {
            // A run that died before its log began left nothing to verify, unless the ledger says otherwise.
            let mut report = verify(std::io::empty(), id, key).map_err(Error::io("read", &path))?;
            if let Some(entry) = known.0.get(id) {
                report.compare(Some(entry), false);
            }
            return Ok(report);
        };
        let mut report = verify(BufReader::new(log), id, key).map_err(Error::io("read", &path))?;
        match known.0.get(id).filter(|entry| entry.ended.is_some() || !report.finished) {
            Some(entry) => report.compare(Some(entry), false),
            None => {
                // It may have begun or ended since the ledger was read. Whether its supervisor lives is asked before the
                // ledger is read again: what a dead one did not write by then, it never will.
                let lives = run.lives()?;
                report.compare(self.ledger_report(key)?.1.0.get(id), lives);
            }
        }
        Ok(report)
    }

    fn ledger_report(&self, key: &PublicKey) -> Result<(Report, Runs), Error> {
        let path = self.folder().path_of(LEDGER_FILE);
        match self.folder().find_file(LEDGER_FILE)? {
            Some(file) => verify_ledger(BufReader::new(file), key),
            None => verify_ledger(std::io::empty(), key),
        }
        .map_err(Error::io("read", &path))
    }
}
