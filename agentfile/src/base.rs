//! What every sandbox has before the Agentfile adds anything: the tables of `policies/base.toml` and
//! `policies/protected.toml`, as `build.rs` reads them. Data only; `lower` turns it into parts of the plan.

use crate::plan::{FileRights, Generated};

/// Where the base system's rules come from, as an origin names it.
pub(crate) const BASE_FILE: &str = "policies/base.toml";
/// Where the protected paths come from.
pub(crate) const PROTECTED_FILE: &str = "policies/protected.toml";
/// Where the system call table comes from.
pub(crate) const SECCOMP_FILE: &str = "policies/seccomp.toml";
/// The system call table itself; `runner/jail` compiles it.
pub(crate) const SECCOMP_TABLE: &str = include_str!("../../policies/seccomp.toml");
/// The vocabulary of all policies.
pub(crate) const CEDAR_SCHEMA: &str = include_str!("../../policies/agentrc.cedarschema");

/// HOME inside.
pub(crate) const HOME: &str = "/home/agent";
/// Where the files that an Agentfile names are shown.
pub const PROJECTION: &str = "/agentrc/src";
/// The broker's socket inside.
pub const SOCKET: &str = "/agentrc/broker.sock";
/// Our own program inside: it speaks to the broker, and is the built-in tools.
pub const CLIENT: &str = "/agentrc/bin/mcp";
/// Where tools are shown: links to [`CLIENT`], with what they take beside them.
pub const TOOLS: &str = "/agentrc/tools";
/// The folder of the links to the tools of MCP servers, one folder a server.
pub const SERVERS: &str = "/agentrc/mcp";
/// Where the folders of skills are shown.
pub const SKILLS: &str = "/agentrc/skills";
/// Where functions are shown, as tools are.
pub const FUNCTIONS: &str = "/agentrc/functions";
/// Where the schemas of memories are shown.
pub const MEMORIES: &str = "/agentrc/memory";

/// One mount of the base.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BaseMount {
    pub(crate) target: &'static str,
    pub(crate) source: BaseSource,
    /// The file's text where the agent has a network.
    pub(crate) network: Option<&'static str>,
    pub(crate) optional: bool,
    /// Whether it is also part of `FROM scratch`.
    pub(crate) scratch: bool,
    pub(crate) landlock: Option<FileRights>,
}

/// What a mount of the base shows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BaseSource {
    /// The host's file or folder, read-only.
    Bind(&'static str),
    /// Mode and default size in bytes.
    Private(u32, u64),
    Directory,
    Proc,
    Dev,
    File(&'static str),
    Generated(Generated),
}

/// A path that stays read-only in a writable bind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProtectedPath {
    /// Relative to the bind.
    pub(crate) path: &'static str,
    pub(crate) directory: bool,
    /// What a file that does not exist yet is held with.
    pub(crate) content: &'static str,
    /// Only in a bind of a home directory.
    pub(crate) home: bool,
    /// What the host would do with it.
    pub(crate) reason: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/base_tables.rs"));
