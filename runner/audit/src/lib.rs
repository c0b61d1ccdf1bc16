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
//! auditor's) every edit, removal, insertion and reordering of signed lines shows, and so does a cut end: a log without
//! its final signature is "unfinished", and when the ledger says that the run ended, "truncated".
//!
//! * Lines after the last checkpoint of an unfinished log are chained but not yet signed: who can write the file can
//!   rewrite them. `verify` says how many they are.
//! * Whoever has the key (the user's own uid, root) can write a new log and a new ledger that verify. A chain in a file
//!   cannot prevent that; sending the head that `agentrc run` prints, or the ledger, to another machine does.
//! * Removing the *newest* entries of the ledger together with their runs leaves a valid, shorter ledger. Only a head
//!   kept elsewhere shows that.
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
