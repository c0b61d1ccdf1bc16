//! Stage 2: what the text means. [`Boundaries`] holds every declared limit by class, names resolved, defaults filled in,
//! each with the place that asked for it. `check` makes it from the syntax, `lower` makes the plan from it.

mod capability;

pub use self::capability::{Credential, Function, McpServer, Memory, Reference, Server, Skill, Tool};
use crate::place::Place;
use crate::plan::{AuditLevel, Base, HostPath};
use crate::policy::Policy;
use crate::span::Span;
use crate::syntax::{BindMode, HintKind, Scheme, Verb};

/// Everything that an Agentfile declares.
#[derive(Debug, Clone)]
pub struct Boundaries {
    /// Name of the agent, a DNS label.
    pub agent: String,
    /// The root filesystem.
    pub base: Base,
    /// What is executed.
    pub command: Option<Command>,
    /// Paths of the sandbox that lines ask for, in the order of the text.
    pub shares: Vec<Share>,
    /// Files and folders beside the Agentfile that are shown under `/agentrc/src`.
    pub projections: Vec<Projection>,
    /// The text of `/agentrc/SOP`.
    pub procedure: Option<Procedure>,
    /// Parts of the sandbox's tree that policies take away again.
    pub denials: Vec<PathDenial>,
    /// Network destinations.
    pub hosts: Vec<Host>,
    /// Tools.
    pub tools: Vec<Tool>,
    /// Bundles of tools.
    pub toolsets: Vec<Reference>,
    /// Functions.
    pub functions: Vec<Function>,
    /// Skills.
    pub skills: Vec<Skill>,
    /// Remote servers.
    pub servers: Vec<Server>,
    /// MCP servers.
    pub mcp: Vec<McpServer>,
    /// Credentials.
    pub credentials: Vec<Credential>,
    /// Credential broker families.
    pub brokers: Vec<Reference>,
    /// Memory stores.
    pub memories: Vec<Memory>,
    /// Bounds on resources.
    pub limits: Limits,
    /// What must be recorded.
    pub audit: (AuditLevel, Option<Place>),
    /// `ALLOW` and `DENY`.
    pub rules: Vec<Rule>,
    /// Statements of the `POLICY` blocks.
    pub policies: Vec<Policy>,
    /// Probe.
    pub health_check: Option<HealthCheck>,
    /// Trace export.
    pub trace: Option<Reference>,
    /// Placement and hints, all of them honoured by what this runner is.
    pub hints: Vec<Hint>,
}

impl Boundaries {
    /// The destinations of the agent itself, in the order of the text. Empty: it has no network at all.
    pub fn agent_hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.via == Via::Agent)
    }
}

/// What is executed.
#[derive(Debug, Clone)]
pub struct Command {
    /// Words, those that name packaged files already rewritten to where they are shown.
    pub argv: Vec<String>,
    /// The CMD line.
    pub place: Place,
}

/// A path of the sandbox that a BIND or MOUNT line asks for.
#[derive(Debug, Clone)]
pub struct Share {
    /// Absolute, normalised path inside.
    pub target: String,
    /// What appears there.
    pub content: Content,
    /// The word that names the target.
    pub word: Span,
    /// The line.
    pub place: Place,
}

/// What appears at a [`Share`].
#[derive(Debug, Clone)]
pub enum Content {
    /// A path of the host.
    Bind {
        /// Where on the host.
        source: HostPath,
        /// How.
        mode: BindMode,
        /// Whether it is a regular file; none: outside the Agentfile's folder, where the compiler sees nothing.
        is_file: Option<bool>,
    },
    /// An empty private directory.
    Private {
        /// Whether the agent may write there.
        writable: bool,
    },
}

impl Share {
    /// Whether the agent may write there.
    #[must_use]
    pub fn writable(&self) -> bool {
        match &self.content {
            Content::Bind { mode, .. } => *mode != BindMode::ReadOnly,
            Content::Private { writable } => *writable,
        }
    }

    /// Whether it is known to be a folder.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        !matches!(&self.content, Content::Bind { is_file: Some(true) | None, .. })
    }

    /// Whether it is known to be a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(&self.content, Content::Bind { is_file: Some(true), .. })
    }
}

/// A file or folder beside the Agentfile, shown read-only.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Relative to the Agentfile's folder.
    pub path: String,
    /// Where it is shown, absolute.
    pub target: String,
    /// The word that names it.
    pub place: Place,
}

/// The operating procedure.
#[derive(Debug, Clone)]
pub struct Procedure {
    /// Text of all SOP lines, in order.
    pub text: String,
    /// The first of them.
    pub place: Place,
}

/// A part of the tree that a policy takes away.
#[derive(Debug, Clone)]
pub struct PathDenial {
    /// Absolute path inside.
    pub path: String,
    /// Hidden altogether, or only read-only.
    pub denied: Denied,
    /// Whether the path is known, or written, to be a folder.
    pub directory: bool,
    /// The rule.
    pub place: Place,
}

/// What a [`PathDenial`] takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// Writing.
    Write,
    /// Reading, and so writing too.
    Read,
}

/// A network destination.
#[derive(Debug, Clone)]
pub struct Host {
    /// Scheme.
    pub scheme: Scheme,
    /// DNS name in lower case, address, or `*.suffix`.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path prefix.
    pub path: Option<String>,
    /// Who may go there.
    pub via: Via,
    /// The line.
    pub place: Place,
}

/// Who uses a network destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// The agent itself (`URL`).
    Agent,
    /// The broker on its behalf (`SERVER`).
    Broker,
}

impl Via {
    /// As policies spell it (`context.via`).
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Broker => "broker",
        }
    }
}

/// A number with the place that set it.
#[derive(Debug, Clone)]
pub struct Quantity {
    /// In the base unit of what it bounds.
    pub value: u64,
    /// The line.
    pub place: Place,
}

/// Bounds on resources.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<Quantity>,
    /// Thousandths of a CPU.
    pub cpu_millis: Option<Quantity>,
    /// Processes and threads.
    pub pids: Option<Quantity>,
    /// Descriptors of one process.
    pub open_files: Option<Quantity>,
    /// Bytes of private disk.
    pub disk: Option<Quantity>,
    /// Seconds of wall time.
    pub wall: Option<Quantity>,
    /// What the broker and the gateway count.
    pub counted: Vec<Counted>,
}

/// Something that the broker or the gateway counts.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Name of the limit, or target of the RATELIMIT.
    pub name: String,
    /// How many.
    pub value: u64,
    /// In how many seconds; none: in the whole run.
    pub per_seconds: Option<u64>,
    /// Whether it is of the run as a whole: a LIMIT.
    pub of_run: bool,
    /// The line.
    pub place: Place,
}

/// An `ALLOW` or `DENY` line.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Whether it is an `ALLOW`.
    pub allow: bool,
    /// Its verb.
    pub verb: Verb,
    /// What it is about, resolved.
    pub object: Object,
    /// The line.
    pub place: Place,
}

/// What a [`Rule`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Object {
    /// `Tool::"…"`
    Tool(String),
    /// `Function::"…"`
    Function(String),
    /// `Skill::"…"`
    Skill(String),
    /// A path and what is beneath it.
    Path(String),
    /// A host or `*.suffix`.
    Host(String),
    /// `Credential::"…"`
    Credential(String),
}

/// A probe of the agent.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    /// Seconds between probes.
    pub interval_seconds: u64,
    /// Seconds that one may take.
    pub timeout_seconds: u64,
    /// Failures in a row that end the run.
    pub retries: u32,
    /// What is executed.
    pub argv: Vec<String>,
    /// The line.
    pub place: Place,
}

/// A placement or hint line.
#[derive(Debug, Clone)]
pub struct Hint {
    /// Which.
    pub kind: HintKind,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The line.
    pub place: Place,
}
