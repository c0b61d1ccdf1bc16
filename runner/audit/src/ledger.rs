//! The ledger: one file per state directory that knows of every run, so that a missing or shortened log shows.
//!
//! One canonical line for the start and the end of each run (with the head of its log), for each review of its copies,
//! its removal, and each consent. Each line is chained to the one before and signed by itself: entries are rare, and processes
//! that do not know of each other write them (an exclusive flock(2) orders them).
//!
//! A process that dies within its write leaves a line without an end. The next one to write cuts it off and says so in an
//! entry of its own ([`Entry::Recovered`]), which is signed like any other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::canon::{from_line, to_line};
use crate::error::Error;
use crate::folder::Folder;
use crate::level::AuditLevel;
use crate::line::{Digest, now};
use crate::log::Head;
use crate::sign::{PublicKey, SigningKey};

/// Name of the ledger in the state directory.
pub const LEDGER_FILE: &str = "ledger.jsonl";
/// What precedes the signed bytes of an entry.
pub const DOMAIN: &[u8] = b"agentrc audit ledger v1\n";
/// Longest line of the ledger: a few paths, each of 4096 bytes, each byte escaped.
pub const LINE: usize = 64 * 1024;
/// How long to wait for another process's few microseconds under the lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the ledger records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A run is about to begin its log.
    Started {
        /// The run.
        run: String,
        /// Its audit level.
        level: AuditLevel,
    },
    /// A run's log was signed for the last time.
    Ended {
        /// The run.
        run: String,
        /// Lines of its log.
        lines: u64,
        /// Digest of the last line.
        head: Digest,
    },
    /// What became of the copies of a run.
    Review {
        /// The run.
        run: String,
        /// `apply` before the first write, `applied` after the last; `discard`.
        action: String,
        /// Number of changed paths; none when they could not be counted (a `discard` of what cannot be reviewed).
        changes: Option<u64>,
    },
    /// A run's folder is about to be removed.
    Removed {
        /// The run.
        run: String,
    },
    /// A person consented to a plan.
    Allowed {
        /// Absolute folder of the Agentfile.
        folder: String,
        /// Digest of the plan.
        plan_sha256: String,
    },
    /// A consent was withdrawn.
    Revoked {
        /// Absolute folder of the Agentfile.
        folder: String,
        /// Digest of the plan.
        plan_sha256: String,
    },
    /// A line without an end, left by a process that died while writing, was cut off.
    Recovered {
        /// How many bytes.
        dropped_bytes: u64,
        /// Their digest.
        dropped_sha256: Digest,
    },
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// Counts from 0.
    pub seq: u64,
    /// RFC 3339, UTC, nine decimals.
    pub time: String,
    /// Digest of the previous line; [`Digest::ZERO`] in the first.
    pub prev: Digest,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
    /// Which key.
    pub key_id: String,
    /// Ed25519, hexadecimal, over [`DOMAIN`] and this line with an empty signature.
    pub signature: String,
}

impl LedgerLine {
    /// Whether the signature is that of `key`.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let unsigned = Self { signature: String::new(), ..self.clone() };
        to_line(&unsigned).is_ok_and(|bytes| key.verifies(DOMAIN, &bytes, &self.signature))
    }
}

/// How much of the ledger's end is looked at first, in bytes.
const PAGE: u64 = 4096;

/// The ledger, open for appending.
pub struct Ledger {
    file: File,
    path: PathBuf,
    key: Arc<SigningKey>,
    /// This process's own last line: where it ends, its length, and where the next one goes. While it is the last, and as
    /// it was written, its signature need not be verified again.
    own: Option<Own>,
}

impl Ledger {
    /// Opens the ledger of a state directory, and makes it when there is none.
    ///
    /// # Errors
    /// It cannot be opened, or is not this user's alone.
    pub fn open(state: &Folder, key: Arc<SigningKey>) -> Result<Self, Error> {
        Ok(Self { file: state.open_log(LEDGER_FILE)?, path: state.path_of(LEDGER_FILE), key, own: None })
    }

    /// Appends one entry, and makes it durable when `durable`.
    ///
    /// # Errors
    /// The lock is not to be had, the last line is not one that this key signed, or writing failed.
    pub fn append(&mut self, entry: Entry, durable: bool) -> Result<(), Error> {
        self.lock()?;
        let done = self.append_locked(entry, durable);
        // Closing the file would release it too; a failure here leaves nothing wrong.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        done
    }

    fn lock(&self) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK | Errno::INTR) if started.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    return Err(Error::Locked { path: self.path.clone() });
                }
                Err(errno) => return Err(Error::Open { path: self.path.clone(), source: errno.into() }),
            }
        }
    }

    fn append_locked(&mut self, entry: Entry, durable: bool) -> Result<(), Error> {
        let End { mut seq, mut prev, torn } = self.end()?;
        if let Some(torn) = torn {
            self.file
                .set_len(torn.from)
                .map_err(|source| Error::Write { path: self.path.clone(), source })?;
            let recovered = Entry::Recovered { dropped_bytes: torn.bytes, dropped_sha256: torn.digest };
            prev = self.write(seq, prev, recovered)?.0;
            seq += 1;
        }
        let (digest, length) = self.write(seq, prev, entry)?;
        let end =
            self.file.metadata().map_err(|source| Error::Read { path: self.path.clone(), source })?.len();
        self.own = Some(Own { end, length, seq, digest });
        if durable {
            self.file.sync_data().map_err(|source| Error::Sync { path: self.path.clone(), source })?;
        }
        Ok(())
    }

    /// The new line's digest and length.
    fn write(&mut self, seq: u64, prev: Digest, entry: Entry) -> Result<(Digest, usize), Error> {
        let serialise = |error: serde_json::Error| Error::Serialise(error.to_string());
        let key_id = self.key.public().id();
        let mut line = LedgerLine { seq, time: now(), prev, entry, key_id, signature: String::new() };
        line.signature = self.key.sign(DOMAIN, &to_line(&line).map_err(serialise)?);
        let bytes = to_line(&line).map_err(serialise)?;
        if bytes.len() > LINE {
            return Err(Error::LineTooLong { length: bytes.len(), limit: LINE });
        }
        self.file.write_all(&bytes).map_err(|source| Error::Write { path: self.path.clone(), source })?;
        Ok((Digest::of(&bytes), bytes.len()))
    }

    /// Reads the last line, which must be one of ours, and what is after it.
    fn end(&mut self) -> Result<End, Error> {
        let read = |source| Error::Read { path: self.path.clone(), source };
        let length = self.file.metadata().map_err(read)?.len();
        if let Some(own) = self.own.as_ref().filter(|own| own.end == length) {
            let mut line = vec![0; own.length];
            self.file.read_exact_at(&mut line, length - own.length as u64).map_err(read)?;
            if Digest::of(&line) == own.digest {
                return Ok(End { seq: own.seq + 1, prev: own.digest, torn: None });
            }
        }
        // Nearly every line is far shorter than it may be: look at a page first.
        let (mut from, mut tail, mut whole) = (length, Vec::new(), 0);
        for window in [PAGE, 2 * LINE as u64] {
            from = length.saturating_sub(window);
            tail.clear();
            (&self.file).seek(SeekFrom::Start(from)).map_err(read)?;
            (&self.file).take(window).read_to_end(&mut tail).map_err(read)?;
            whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            // The last whole line is all there when the end of the one before is.
            let before = tail.get(..whole.saturating_sub(1)).unwrap_or_default();
            if from == 0 || before.contains(&b'\n') {
                break;
            }
        }
        let (lines, rest) = tail.split_at(whole);
        let torn = (!rest.is_empty()).then(|| Torn {
            from: from + whole as u64,
            bytes: rest.len() as u64,
            digest: Digest::of(rest),
        });
        if lines.is_empty() && from == 0 {
            return Ok(End { seq: 0, prev: Digest::ZERO, torn });
        }
        let changed = |why: String| Error::Ledger { path: self.path.clone(), why };
        let last = lines.split_inclusive(|byte| *byte == b'\n').next_back().unwrap_or_default();
        let line: LedgerLine = from_line(last).map_err(|flaw| changed(format!("its last line {flaw}")))?;
        if line.key_id != self.key.public().id() {
            return Err(changed("its last line was signed with another key".to_owned()));
        }
        if !line.is_signed_by(&self.key.public()) {
            return Err(changed("the signature of its last line is wrong".to_owned()));
        }
        Ok(End { seq: line.seq + 1, prev: Digest::of(last), torn })
    }
}

/// The line that this process wrote last.
struct Own {
    end: u64,
    length: usize,
    seq: u64,
    digest: Digest,
}

/// Where the next line goes.
struct End {
    seq: u64,
    prev: Digest,
    torn: Option<Torn>,
}

/// A line without its end.
struct Torn {
    from: u64,
    bytes: u64,
    digest: Digest,
}

/// What the ledger says of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunEntry {
    /// Time and level of its start.
    pub started: Option<(String, AuditLevel)>,
    /// The head of its finished log.
    pub ended: Option<Head>,
    /// Whether it was removed on purpose.
    pub removed: bool,
    /// Action and number of changes of each review.
    pub reviews: Vec<(String, Option<u64>)>,
}

/// What the ledger says, by run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs(pub BTreeMap<String, RunEntry>);

impl Runs {
    /// Takes one more entry into account; `Err` says why it contradicts what came before.
    ///
    /// # Errors
    /// A run that starts or ends twice, or ends without a start.
    pub fn add(&mut self, time: &str, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Started { run, level } => {
                let known = self.0.entry(run.clone()).or_default();
                if known.started.is_some() {
                    return Err(format!("says that the run `{run}` started a second time"));
                }
                known.started = Some((time.to_owned(), level));
            }
            Entry::Ended { run, lines, head } => {
                let known = self.0.entry(run.clone()).or_default();
                if known.started.is_none() || known.ended.is_some() {
                    return Err(format!("says that the run `{run}` ended, but it is not one that runs"));
                }
                known.ended = Some(Head { lines, digest: head });
            }
            Entry::Review { run, action, changes } => {
                self.0.entry(run).or_default().reviews.push((action, changes));
            }
            Entry::Removed { run } => self.0.entry(run).or_default().removed = true,
            Entry::Allowed { .. } | Entry::Revoked { .. } | Entry::Recovered { .. } => {}
        }
        Ok(())
    }
}
