//! Verifying what is kept: logs against the ledger, with the host's own public key or one that was kept elsewhere.

use std::io::BufReader;

use agentrc_audit::folder::Folder;
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
        let (_, runs) = self.ledger_report(key)?;
        self.verify_log(id, key, &runs)
    }

    /// Verifies the ledger and every run.
    ///
    /// # Errors
    /// The ledger or the list of runs cannot be read.
    pub fn verify_all(&self, key: &PublicKey) -> Result<Whole, Error> {
        let (mut ledger, known) = self.ledger_report(key)?;
        let ids = self.run_ids()?;
        compare_runs(&mut ledger, &known, &|run| is_id(run) && ids.iter().any(|id| id == run));
        let runs = ids.into_iter().map(|id| (self.verify_log(&id, key, &known), id));
        Ok(Whole { ledger, runs: runs.map(|(report, id)| (id, report)).collect() })
    }

    fn verify_log(&self, id: &str, key: &PublicKey, known: &Runs) -> Result<Report, Error> {
        let run = self.open_run(id)?;
        let mut report = read(run.folder(), LOG_FILE, |reader| verify(reader, id, key))?;
        report.compare(known.0.get(id));
        Ok(report)
    }

    fn ledger_report(&self, key: &PublicKey) -> Result<(Report, Runs), Error> {
        read(self.folder(), LEDGER_FILE, |reader| verify_ledger(reader, key))
    }
}

fn read<T>(
    folder: &Folder,
    name: &str,
    f: impl FnOnce(BufReader<std::fs::File>) -> std::io::Result<T>,
) -> Result<T, Error> {
    f(BufReader::new(folder.open_file(name)?)).map_err(Error::io("read", &folder.path_of(name)))
}
