//! `run.json`: what was run, from where, and what of the host it copied. Written by the supervisor with the first entry of
//! the log, while the sandbox arms itself; the audit log, not this, says how it went.

use serde::{Deserialize, Serialize};

use crate::hostpath::HostPath;

/// Version of the record's format.
pub const FORMAT: u32 = 1;
/// Name of the record in a run's folder.
pub const RECORD_FILE: &str = "run.json";

/// The record of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u32,
    /// The run.
    pub run: String,
    /// Path of the Agentfile.
    pub agentfile: HostPath,
    /// Name of the agent.
    pub agent: String,
    /// SHA-256 (hex) of the plan.
    pub plan_sha256: String,
    /// When it started: RFC 3339, UTC.
    pub started: String,
    /// Process id of the supervisor, for people. Whether it lives, the lock on the folder says.
    pub supervisor_pid: i32,
    /// The file system's clock when the run's folder was made. What of a source has changed since has a later ctime.
    pub clock: Clock,
    /// Folders that were copied.
    pub copies: Vec<Copied>,
    /// The run that this one is an MCP server of, or a call of one of its skills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<String>,
    /// That skill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
}

/// A time of a file system, as stat(2) gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Since the epoch.
    pub seconds: i64,
    /// Below a second.
    pub nanoseconds: u32,
}

/// A folder that a run has a private writable copy of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copied {
    /// Name of its layer in the run's folder: `copy-0`.
    pub layer: String,
    /// Path inside the sandbox.
    pub target: String,
    /// Absolute path of the folder on the host, without symbolic links.
    pub source: HostPath,
    /// Device and inode of that folder: it must be the same when changes are applied.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Paths below it, relative, that are never written.
    pub protected: Vec<String>,
}
