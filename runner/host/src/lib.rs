//! What agentrc keeps on the host: the state directory, its runs, the grants, and the review of what a run did to its copies;
//! and what the host's operator says about every run ([`Config`]).
//!
//! ```text
//! $XDG_STATE_HOME/agentrc/           state      (root: /var/lib/agentrc), 0700
//!   key.pkcs8  audit-key.pub         agentrc-audit: the host's key pair
//!   ledger.jsonl                     agentrc-audit: every run, review and consent, signed
//!   grants/HASH.json                 grants     consents, one file per folder that holds Agentfiles
//!   runs/RUN/                        runs       flock(2)ed by the supervisor as long as it lives
//!     run.json                       record     what was run, from where, what was copied
//!     audit.jsonl                    agentrc-audit: the log
//!     approvals/                     approvals  what a person was asked about, and what was decided
//!     copy-N/{upper,work}            review     overlayfs, made by the launch: changes, diff, apply, discard
//! ```
//!
//! Everything is opened beneath descriptors, through no symbolic link, and checked to be this user's alone. The agent has no
//! path to any of it ([`state::StateDir::relation`] is what admission asks about each bind).
#![forbid(unsafe_code)]

pub mod approvals;
pub mod config;
pub mod error;
pub mod grants;
pub mod hostpath;
pub mod pins;
pub mod record;
pub mod review;
pub mod runs;
pub mod state;
pub mod tree;
pub mod verify;

pub use config::Config;
pub use error::Error;
pub use state::StateDir;
