//! The audit log: what happened in a run, so that an edit shows.
//!
//! ```text
//! Event ─level::wanted, bound─▶ line (seq, time, run, prev) ─canon─▶ bytes ─log─▶ runs/RUN/audit.jsonl
//!                                        │ every 256 lines, and last: sign ─▶ checkpoint line
//! start and end of each run ─────────────┴─▶ ledger.jsonl, one signed line each, for the whole host
//! audit.jsonl + ledger.jsonl + audit-key.pub ─verify─▶ Report
//! ```
//!
//! # The format
//! A log is JSON Lines. Each line is one object in canonical form ([`canon`]) with `seq` (from 0), `time` (RFC 3339, UTC,
//! nanoseconds), `run`, `prev` (SHA-256, hex, of the previous line with its newline; 64 zeros in the first), and either
//! the fields of one [`event::Event`] or `checkpoint`: `{"final": …, "key_id": …, "signature": …}`. The signature is Ed25519
//! over [`line::DOMAIN`] followed by the checkpoint's own line, in which `signature` is the empty string. So it covers
//! the sequence number, the time, the run, and by `prev` everything before.
//! `docs/schema/audit-event.schema.json` is the schema of a line.
//!
//! # What it shows, and what it cannot
//! The log is written by the supervisor, outside the sandbox: the agent has no path, descriptor or process through
//! which it could reach the log or the key. To anybody *without the key* (a copy in a backup, on a share, at an
//! auditor's) every edit, removal, insertion and reordering of signed lines shows. A cut end shows too, but not always what cut it:
//!
//! * A log without its final signature is "unfinished": its supervisor was killed, or the end was cut off. When the ledger
//!   has the run's end, the log is "tampered": it is not the one that ended so.
//! * A log with its final signature, of which the ledger has no end, is "unfinished" as well: the ledger was shortened, or
//!   the supervisor or the machine died after that signature and before the entry was written or kept. The entry follows
//!   the signature at once, but they are two files.
//! * A log of which the ledger has no start is "tampered", and so is a ledger with the start of a run whose folder is gone.
//! * Lines after the last checkpoint of an unfinished log are chained but not yet signed: who can write the file can
//!   rewrite them. `verify` says how many they are.
//! * Whoever has the key (the user's own uid, root) can write a new log and a new ledger that verify. A chain in a file
//!   cannot prevent that; sending the head that `agentrc audit verify` prints, or the ledger, to another machine does.
//! * A ledger cut at the end of a line is valid by itself. The runs that are there tell that a start or an end is gone; nothing
//!   tells that the *newest* consents and reviews are, nor the newest runs when their folders are removed as well. Only a
//!   head of the ledger kept elsewhere shows that.
//! * Times are the host's clock, and are not checked to rise.
#![forbid(unsafe_code)]

pub mod bound;
pub mod canon;
pub mod error;
pub mod event;
pub mod folder;
pub mod ledger;
pub mod level;
pub mod line;
pub mod log;
pub mod read;
pub mod recorder;
#[cfg(test)]
mod schema_tests;
pub mod sign;
pub mod text;
pub mod verify;

pub use error::Error;
pub use event::Event;
pub use recorder::Recorder;
