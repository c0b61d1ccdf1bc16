//! What can go wrong while recording. Every one of these ends the run, or keeps it from starting.

use std::io;
use std::path::PathBuf;

/// A step of recording that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the state directory could not be opened.
    #[error("cannot open `{}`: {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file or folder could not be made.
    #[error("cannot create `{}`: {source}", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file or folder is not safe to use: wrong kind, owner, permission bits or number of links.
    #[error("`{}` {why}\n  help: {help}", path.display())]
    Unsuitable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        help: String,
    },
    /// Reading failed.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file is longer than anything that was written there can be.
    #[error("`{}` is larger than {limit} bytes, which nothing of agentrc writes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Upper bound.
        limit: u64,
    },
    /// Writing failed; what was written may be cut short.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// fdatasync(2) or fsync(2) failed: what was written may be lost.
    #[error("cannot make `{}` durable: {source}", path.display())]
    Sync {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// An earlier write to this log failed, so nothing may follow.
    #[error("`{}` is broken: an earlier write failed", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
    },
    /// An event could not be put into a line.
    #[error("cannot record the event: {0}")]
    Serialise(String),
    /// The bounded event is still longer than a line may be.
    #[error("cannot record the event: its line has {length} bytes, more than {limit}")]
    LineTooLong {
        /// Bytes.
        length: usize,
        /// Upper bound.
        limit: usize,
    },
    /// The kernel gave no random bytes.
    #[error("cannot get random bytes: {0}")]
    Random(io::Error),
    /// The key pair is not one.
    #[error("`{}` is not an Ed25519 key pair in PKCS #8 ({why})\n  help: move it away; a new key is made, and logs signed by the old one verify with the old `audit-key.pub`", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// The library's words.
        why: String,
    },
    /// A public key is not one, or is not that of the private key beside it.
    #[error("`{}`: {why}\n  help: {help}", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do.
        help: String,
    },
    /// No new key could be made.
    #[error("cannot make a signing key: {0}")]
    Generate(String),
    /// Another process holds the lock for too long.
    #[error("`{}` is locked by another process\n  help: end the stopped `agentrc` process that holds it", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// The end of the ledger is not what this host's key signed, so nothing may be appended.
    #[error("`{}` was changed: {why}\n  help: look at `agentrc audit verify`, then move the file away to begin a new one", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What is wrong with its last line.
        why: String,
    },
}
