//! Verifying: whether a log, and the ledger, are what was written. Streaming: one line is in memory at a time.
//!
//! Each line must be exactly the canonical bytes of what it says, follow its predecessor in number and digest, and belong to the
//! run; each checkpoint must be signed by the expected key, which is never taken from the log. What is found wrong is reported with
//! its line, and verification goes on from what is there, so that one edit is one or two findings, not thousands.

use std::io::{self, BufRead};

use crate::bound;
use crate::canon::{Flaw, from_line, to_line};
use crate::ledger::{self, LedgerLine, RunEntry, Runs};
use crate::line::{Body, Checkpoint, DOMAIN, Digest, Line, is_time};
use crate::log::Head;
use crate::read::{Raw, next_raw};
use crate::sign::PublicKey;

/// No more findings than this are kept; the rest is counted.
pub const FINDINGS: usize = 64;

/// The outcome in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is as it was written, to the last signature.
    Intact,
    /// Nothing that is there is wrong, but an end is missing, of the log or of the run's entries in the ledger: the run goes
    /// on, was killed with its supervisor, or the end was cut off. Which of these, nothing here can tell.
    Unfinished,
    /// It is not what was written.
    Tampered,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line, counted from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 {
            write!(f, "the log {}", self.reason)
        } else {
            write!(f, "line {} {}", self.line, self.reason)
        }
    }
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The bytes are not a canonical line.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// The time is not one that we write.
    #[error("has a time in another form than it is written in")]
    Time,
    /// It belongs to another run.
    #[error("belongs to another run, `{0}`")]
    ForeignRun(String),
    /// Numbers are missing before it.
    #[error("is number {found} where {expected} should be: lines were removed before it")]
    Removed {
        /// Next number.
        expected: u64,
        /// Number found.
        found: u64,
    },
    /// Its number was there before.
    #[error("is number {found} where {expected} should be: it was moved, repeated or inserted")]
    OutOfOrder {
        /// Next number.
        expected: u64,
        /// Number found.
        found: u64,
    },
    /// The digest of the previous line is not the one recorded.
    #[error(
        "does not follow the line before it: that one was edited, or lines between them removed or inserted"
    )]
    Unlinked,
    /// Signed with another key.
    #[error("was signed with another key, `{0}`")]
    WrongKey(String),
    /// The signature is not that of the key over these bytes.
    #[error("has a wrong signature: something before or in it was changed")]
    BadSignature,
    /// Something follows the final signature.
    #[error("comes after the final signature")]
    AfterFinal,
    /// Bytes after the final line that are no line.
    #[error("is {0} bytes without an end after the final signature")]
    TrailingBytes(u64),
    /// Longer than a line can be.
    #[error("is longer than a line can be")]
    TooLong,
    /// The ledger says that the run ended, and this is not the end it recorded.
    #[error(
        "ends after {found} lines, but the ledger recorded an end after {recorded}: its end was cut off, or it was replaced"
    )]
    NotTheRecordedEnd {
        /// Lines in the log.
        found: u64,
        /// Lines according to the ledger.
        recorded: u64,
    },
    /// The log has its final signature, and the ledger no end of the run. The supervisor writes the one right after the
    /// other, so this is what a cut ledger leaves, and also what a death between the two writes leaves.
    #[error(
        "has its final signature, but the ledger has no entry of the run's end: the ledger was shortened, or the \
         supervisor or the machine died after that signature, before the entry was written or kept"
    )]
    EndNotInLedger,
    /// The ledger does not know the run.
    #[error("is of a run that the ledger does not know")]
    UnknownRun,
    /// The ledger knows a run whose log is gone.
    #[error(
        "of the run `{0}` is missing, though the ledger knows the run and it was not removed by `agentrc`"
    )]
    Missing(String),
    /// The ledger contradicts itself.
    #[error("{0}")]
    Contradiction(String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Lines read.
    pub lines: u64,
    /// Events among them.
    pub events: u64,
    /// Good signatures among them.
    pub checkpoints: u64,
    /// Lines at the end that no good signature covers.
    pub unsigned: u64,
    /// Digest of the last line.
    pub head: Digest,
    /// Whether the last line is a good final signature.
    pub finished: bool,
    /// Bytes after the last newline of an unfinished log: a write that was cut short.
    pub torn_bytes: u64,
    /// The first [`FINDINGS`] things that are wrong.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: u64,
}

impl Report {
    fn new() -> Self {
        Self {
            lines: 0,
            events: 0,
            checkpoints: 0,
            unsigned: 0,
            head: Digest::ZERO,
            finished: false,
            torn_bytes: 0,
            findings: Vec::new(),
            more: 0,
        }
    }

    /// The outcome in one word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.more > 0 || self.findings.iter().any(|finding| finding.reason != Reason::EndNotInLedger) {
            Verdict::Tampered
        } else if self.finished && self.findings.is_empty() {
            Verdict::Intact
        } else {
            Verdict::Unfinished
        }
    }

    /// Compares the log with what the ledger says of its run. This is what tells a cut end from a run that was killed.
    /// While the run's supervisor `lives`, its last entry may be yet to come.
    pub fn compare(&mut self, recorded: Option<&RunEntry>, lives: bool) {
        let Some(recorded) = recorded.filter(|entry| entry.started.is_some()) else {
            return self.find(0, Reason::UnknownRun);
        };
        let here = Head { lines: self.lines, digest: self.head };
        match recorded.ended {
            Some(ended) if ended != here => {
                self.find(0, Reason::NotTheRecordedEnd { found: self.lines, recorded: ended.lines });
            }
            None if self.finished && !lives => self.find(0, Reason::EndNotInLedger),
            _ => {}
        }
    }

    fn find(&mut self, line: u64, reason: impl Into<Reason>) {
        if self.findings.len() < FINDINGS {
            self.findings.push(Finding { line, reason: reason.into() });
        } else {
            self.more += 1;
        }
    }
}

/// Where a chain stands.
struct Chain {
    seq: u64,
    prev: Digest,
}

impl Chain {
    const START: Self = Self { seq: 0, prev: Digest::ZERO };

    /// What is wrong with a line of this number and predecessor here.
    fn wrong(&self, seq: u64, prev: Digest) -> Option<Reason> {
        let expected = self.seq;
        match seq {
            found if found > expected => Some(Reason::Removed { expected, found }),
            found if found < expected => Some(Reason::OutOfOrder { expected, found }),
            _ if prev != self.prev => Some(Reason::Unlinked),
            _ => None,
        }
    }
}

/// Verifies the log of `run`, signed with `key`.
///
/// # Errors
/// Only when reading fails; what is wrong with the log is in the report.
pub fn verify(mut reader: impl BufRead, run: &str, key: &PublicKey) -> io::Result<Report> {
    let mut report = Report::new();
    let mut chain = Chain::START;
    let mut buffer = Vec::new();
    loop {
        let number = report.lines + 1;
        match next_raw(&mut reader, &mut buffer, bound::LINE)? {
            Raw::End => return Ok(report),
            Raw::TooLong => {
                report.finished = false;
                report.find(number, Reason::TooLong);
                return Ok(report);
            }
            Raw::Torn if report.finished => {
                report.finished = false;
                report.find(number, Reason::TrailingBytes(buffer.len() as u64));
                return Ok(report);
            }
            Raw::Torn => {
                report.torn_bytes = buffer.len() as u64;
                return Ok(report);
            }
            Raw::Whole => {}
        }
        if report.finished {
            report.finished = false;
            report.find(number, Reason::AfterFinal);
        }
        report.lines = number;
        report.unsigned += 1;
        report.head = Digest::of(&buffer);
        let seq = match from_line::<Line>(&buffer) {
            Ok(line) => {
                let seq = line.seq;
                check_line(&mut report, &chain, line, run, key);
                seq
            }
            Err(flaw) => {
                report.find(number, flaw);
                chain.seq
            }
        };
        chain = Chain { seq: seq.saturating_add(1), prev: report.head };
    }
}

fn check_line(report: &mut Report, chain: &Chain, mut line: Line, run: &str, key: &PublicKey) {
    let number = report.lines;
    if line.run != run {
        report.find(number, Reason::ForeignRun(line.run.clone()));
    }
    if !is_time(&line.time) {
        report.find(number, Reason::Time);
    }
    if let Some(reason) = chain.wrong(line.seq, line.prev) {
        report.find(number, reason);
    }
    let Body::Checkpoint { checkpoint: Checkpoint { last, key_id, signature } } = &mut line.body else {
        report.events += 1;
        return;
    };
    let (last, key_id, signature) = (*last, key_id.clone(), std::mem::take(signature));
    if key_id != key.id() {
        report.find(number, Reason::WrongKey(key_id));
    } else if !to_line(&line).is_ok_and(|bytes| key.verifies(DOMAIN, &bytes, &signature)) {
        report.find(number, Reason::BadSignature);
    } else {
        report.checkpoints += 1;
        report.finished = last;
        if report.findings.is_empty() {
            report.unsigned = 0;
        }
    }
}

/// Verifies the ledger, and says what it knows of each run.
///
/// # Errors
/// Only when reading fails.
pub fn verify_ledger(mut reader: impl BufRead, key: &PublicKey) -> io::Result<(Report, Runs)> {
    let (mut report, mut runs) = (Report::new(), Runs::default());
    let mut chain = Chain::START;
    let mut buffer = Vec::new();
    loop {
        let number = report.lines + 1;
        match next_raw(&mut reader, &mut buffer, ledger::LINE)? {
            Raw::End => break,
            Raw::TooLong => {
                report.find(number, Reason::TooLong);
                break;
            }
            Raw::Torn => {
                report.torn_bytes = buffer.len() as u64;
                break;
            }
            Raw::Whole => {}
        }
        report.lines = number;
        report.head = Digest::of(&buffer);
        let seq = match from_line::<LedgerLine>(&buffer) {
            Ok(line) => {
                let seq = line.seq;
                check_entry(&mut report, &chain, line, key, &mut runs);
                seq
            }
            Err(flaw) => {
                report.find(number, flaw);
                chain.seq
            }
        };
        chain = Chain { seq: seq.saturating_add(1), prev: report.head };
    }
    // Every line of a ledger is signed, so it is finished wherever it ends, but within a line.
    report.finished = report.torn_bytes == 0;
    Ok((report, runs))
}

fn check_entry(report: &mut Report, chain: &Chain, line: LedgerLine, key: &PublicKey, runs: &mut Runs) {
    let number = report.lines;
    report.events += 1;
    if !is_time(&line.time) {
        report.find(number, Reason::Time);
    }
    if let Some(reason) = chain.wrong(line.seq, line.prev) {
        report.find(number, reason);
    }
    if line.key_id != key.id() {
        report.find(number, Reason::WrongKey(line.key_id));
    } else if !line.is_signed_by(key) {
        report.find(number, Reason::BadSignature);
    } else {
        report.checkpoints += 1;
        // What is not signed by the key says nothing.
        if let Err(why) = runs.add(&line.time, line.entry) {
            report.find(number, Reason::Contradiction(why));
        }
    }
}

/// Compares the runs that the ledger knows with those that are there: each one missing is a finding of the ledger's report.
pub fn compare_runs(report: &mut Report, runs: &Runs, present: &dyn Fn(&str) -> bool) {
    for (run, entry) in &runs.0 {
        if !entry.removed && entry.started.is_some() && !present(run) {
            report.find(0, Reason::Missing(run.clone()));
        }
    }
}
