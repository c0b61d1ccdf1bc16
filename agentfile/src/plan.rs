//! Stage 4: what will be enforced. A [`Plan`] is the whole of it: no stage below this one makes a choice of policy.
//! It is plain data, serialisable, and the same for the same inputs: it holds no time, no user, no host name, and
//! host paths only as they were written (`./src`, `~/x`, `/abs`). Its digest is what a person consents to.

pub mod about;
mod broker;
mod command;
pub mod describe;
pub mod difference;
pub mod digest;
mod http;
pub mod inside;
mod mount;
pub mod servers;
pub mod told;
mod tool;
pub mod unenforced;
pub mod words;

use serde::{Deserialize, Serialize};

use self::servers::Reached;

pub use self::broker::{BrokerEntry, Mapped, VAULT_TOKEN, dotenv_parts, source_file};
pub use self::command::{CommandTemplate, Part};
pub use self::http::HttpTemplate;
pub use self::mount::{Access, Generated, HostPath, Mount, MountSource, NotAHostPath, Protected};
pub use self::tool::{Calls, Facts, FunctionDefinition, Hints, Runs, SkillDefinition, ToolDefinition};
pub use crate::base::{
    CLIENT, FUNCTIONS, MEMORIES, PROJECTION, SERVERS, SKILLS, SOCKET, SYSTEM_BUNDLES, TOOLS,
};
pub use crate::span::Origin;
pub use crate::syntax::AuditLevel;

/// Version of the plan's format. Raised when a reader of an older one would misunderstand it.
pub const FORMAT: u32 = 1;

/// The compiled Agentfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the agent, a DNS label.
    pub agent: String,
    /// What the root filesystem is made of.
    pub base: Base,
    /// What is executed, without a shell. `None` when the Agentfile has no CMD (it can be checked, not run).
    pub command: Option<Command>,
    /// Working directory inside, absolute.
    pub workdir: String,
    /// The whole environment, sorted by name.
    pub environment: Vec<EnvironmentVariable>,
    /// The mount table in the order in which it is applied; parents come before children.
    pub mounts: Vec<Mount>,
    /// File rules of the second lock.
    pub landlock: Landlock,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Capabilities kept (none), and the bits that keep them gone.
    pub capabilities: Capabilities,
    /// Namespaces that are the sandbox's own.
    pub namespaces: Vec<Namespace>,
    /// Bounds on resources.
    pub limits: Limits,
    /// Network destinations; empty means no network at all.
    pub egress: Vec<Egress>,
    /// Policies and entities that decide brokered requests.
    pub cedar: Cedar,
    /// What the broker and the gateway serve: tools, functions, skills, servers, memory, credentials.
    pub broker: Vec<BrokerEntry>,
    /// Where others of the same Agentfile have credentials from, the agent or its servers: hidden as this plan's own are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// What must be recorded.
    pub audit: Audit,
    /// What reaches outside the Agentfile's own folder and so needs consent.
    pub grants: Vec<Grant>,
}

impl Plan {
    /// Whether the broker makes connections for the agent: a tool that does may be permitted.
    #[must_use]
    pub fn broker_connects(&self) -> bool {
        self.broker.iter().any(|entry| match entry {
            BrokerEntry::Tool { definition: Some(definition), permitted: true, .. } => {
                matches!(definition.runs, Runs::Gateway | Runs::Http(_))
            }
            _ => false,
        }) || self.servers_asked().any(|server| matches!(server.reached, Reached::Remote { .. }))
    }

    /// Whether there is a broker to ask inside.
    #[must_use]
    pub fn has_broker(&self) -> bool {
        self.mounts.iter().any(|mount| mount.source == MountSource::Socket)
    }

    /// Whether what the broker gives to the agent is searched for values of credentials: where there are both.
    #[must_use]
    pub fn output_is_searched(&self) -> bool {
        self.has_broker() && self.broker.iter().any(|entry| matches!(entry, BrokerEntry::Credential { .. }))
    }
}

/// What the root filesystem is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Base {
    /// The host's `/usr` and friends, read-only (`policies/base.toml`).
    Host,
    /// Nothing (`FROM scratch`).
    Scratch {
        /// The FROM line.
        origin: Origin,
    },
    /// An image or package reference, which this version refuses at `run`.
    Reference {
        /// As written.
        reference: String,
        /// The FROM line.
        origin: Origin,
    },
}

/// What is executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Argument vector; the first is looked up in PATH unless it has a slash.
    pub argv: Vec<String>,
    /// The CMD line.
    pub origin: Origin,
}

/// One variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentVariable {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Who asked for it.
    pub origin: Origin,
}

/// The Landlock part of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Landlock {
    /// The oldest ABI on which this plan holds. Everything newer that the kernel has is used too.
    pub minimum_abi: u32,
    /// What may be done beneath which path. All else is denied.
    pub rules: Vec<LandlockRule>,
    /// TCP ports that may be connected to (from ABI 4 on, whatever the address), sorted; none may be bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connect: Vec<ConnectRule>,
}

/// A TCP port that may be connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectRule {
    /// The port.
    pub port: u16,
    /// Who asked for it.
    pub origin: Origin,
}

/// Rights beneath one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandlockRule {
    /// Path inside the sandbox. It is a line of the mount table, or beneath one.
    pub path: String,
    /// Which rights.
    pub rights: FileRights,
    /// Whether a missing path is left out (it belongs to an optional mount).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Who asked for it.
    pub origin: Origin,
}

/// Sets of Landlock file rights. The runner expands them to the bits of the kernel's ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileRights {
    /// List directories, and nothing else: for `/`, so that `ls /` shows what the mount table shows.
    List,
    /// Read files and list directories.
    Read,
    /// `Read`, and execute.
    ReadExecute,
    /// `Read`, and write and truncate existing files, nothing made or removed (`/dev`, `/proc`).
    ReadWrite,
    /// Everything: also execute, make, remove, rename.
    Full,
}

/// The system call filter. The default of a call that no group names is `errno ENOSYS` so that libraries fall back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seccomp {
    /// Name of the profile in `policies/seccomp.toml`.
    pub profile: String,
    /// SHA-256 (hex) of that file: the table is data of the runner's release, and too long to repeat here.
    pub table_sha256: String,
    /// Where it was chosen.
    pub origin: Origin,
}

/// Capabilities after the launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Kept in any set; always empty in this version.
    pub keep: Vec<String>,
    /// `no_new_privs` (prctl(2)).
    pub no_new_privs: bool,
    /// Securebits that are set and locked: `noroot`, `no_setuid_fixup`, `no_cap_ambient_raise`.
    pub securebits: Vec<String>,
}

/// Kinds of namespace (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Namespace {
    User,
    Mount,
    Pid,
    Ipc,
    Uts,
    Net,
    Cgroup,
}

/// Bounds on resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// cgroup v2 files to write.
    pub cgroup: Vec<CgroupLimit>,
    /// rlimits, soft and hard alike (getrlimit(2)).
    pub rlimits: Vec<Rlimit>,
    /// Wall time of the run in seconds.
    pub wall_seconds: Option<Bound>,
    /// Bytes of private disk: the sum of tmpfs sizes and copies.
    pub disk_bytes: Option<Bound>,
    /// Limits that the broker or the gateway counts: `tool_calls`, `network_requests`, `max_output`, `egress_bytes`,
    /// and every RATELIMIT.
    pub counted: Vec<CountedLimit>,
}

/// A number with the line that set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// The number, in the unit that the field names.
    pub value: u64,
    /// Who asked for it.
    pub origin: Origin,
}

/// One cgroup v2 interface file (cgroup-v2.rst).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupLimit {
    /// Controller that must be there: `memory`, `pids`, `cpu`.
    pub controller: String,
    /// File: `memory.max`, `memory.swap.max`, `pids.max`, `cpu.max`.
    pub file: String,
    /// What is written.
    pub value: String,
    /// Who asked for it.
    pub origin: Origin,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// `nofile`, `core`, …
    pub resource: String,
    /// Soft and hard.
    pub value: u64,
    /// Who asked for it.
    pub origin: Origin,
}

/// A limit that the broker or the gateway counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountedLimit {
    /// `tool_calls`, …, or the target of a RATELIMIT.
    pub name: String,
    /// How many.
    pub value: u64,
    /// In how many seconds; none: in the whole run.
    pub per_seconds: Option<u64>,
    /// What it counts. Empty: nothing that is declared.
    pub applies_to: Vec<Target>,
    /// Who asked for it.
    pub origin: Origin,
}

/// Something that a limit counts, by the name that policies know it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Target {
    /// A LIMIT line: the run as a whole, of which `name` says what.
    Run,
    Tool(String),
    Function(String),
    Skill(String),
    Memory(String),
    Credential(String),
    /// `SERVER` or `MCP`.
    Server(String),
    /// A destination of the agent, a name or `*.suffix` as its URL line has it.
    Host(String),
}

/// One network destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// `https`, `http`, `tcp`.
    pub scheme: String,
    /// DNS name in lower case, address, or `*.suffix`.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path prefix; makes it a rule on requests.
    pub path: Option<String>,
    /// Whether the agent itself may go there, or only the broker (`SERVER`).
    pub agent: bool,
    /// Whether requests must be seen (a path, a bound credential, or a policy on requests): TLS is terminated.
    pub terminate_tls: bool,
    /// Who asked for it.
    pub origin: Origin,
}

/// The Cedar part of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cedar {
    /// SHA-256 (hex) of `policies/agentrc.cedarschema`.
    pub schema_sha256: String,
    /// In the order of the file.
    pub policies: Vec<CedarPolicy>,
    /// Entities that the policies speak of, as `Type::"id"`, sorted.
    pub entities: Vec<String>,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CedarPolicy {
    /// `@id` when written, else made from the line: `policy@12`, `bind@7`.
    pub id: String,
    /// Cedar source.
    pub text: String,
    /// Reason of an `@approval("…")` annotation.
    pub approval: Option<String>,
    /// Who asked for it.
    pub origin: Origin,
}

/// Where a credential is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As written.
    pub source: String,
    /// The CRED line.
    pub origin: Origin,
}

/// What must be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The level.
    pub level: AuditLevel,
    /// Who asked for it.
    pub origin: Origin,
}

/// Something of the host, outside the Agentfile's folder, that a person has to consent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What is asked, in words a person reads: "read and write `~/notes`", "the value of environment variable `X`".
    pub asks: String,
    /// The line that asks for it.
    pub origin: Origin,
}
