//! Stage 1: what was written. The parsed Agentfile, word by word with spans, in the order of the text; nothing is
//! resolved, defaulted or judged here.

use crate::span::Span;

/// One word of a line, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text of the word.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// The text between a block directive (`POLICY`, `SOP`) and its `END`, verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The text, byte for byte, line ends included.
    pub text: String,
    /// The range of `text` in the source.
    pub span: Span,
}

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agentfile {
    /// The value of the `# syntax=` line, when there is one.
    pub syntax: Option<Word>,
    /// The statements in the order of the text.
    pub statements: Vec<Statement>,
}

/// One directive with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The whole statement, from the keyword to the last argument (or `END`).
    pub span: Span,
    /// The directive's keyword.
    pub keyword: Span,
    /// What it says.
    pub body: Body,
}

/// The arguments of each directive, typed as far as their grammar goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `AGENT name`
    Agent(Word),
    /// `FROM scratch | image | package`
    From(Word),
    /// `CMD argv…`
    Cmd(Vec<Word>),
    /// `TOOL namespace:name`
    Tool(Namespaced),
    /// `TOOLSET namespace:name | local:./FILE.toml | registry://…@sha256:…`
    Toolset(Word),
    /// `FUNCTION ./path.py:symbol | name`
    Function {
        /// The file, when the function is named by file.
        path: Option<Word>,
        /// The symbol in that file, or the bare name.
        symbol: Word,
    },
    /// `SKILL name | ./dir | OCI reference`
    Skill(Word),
    /// `SERVER name url`
    Server {
        /// Name of the server.
        name: Word,
        /// Its address.
        url: UrlPattern,
    },
    /// `MCP name | registry://…@version`
    Mcp(Word),
    /// `URL pattern`
    Url(UrlPattern),
    /// `CRED …`, in the current form or one of the two older ones.
    Cred(Cred),
    /// `BROKER vault | local`
    Broker(Word),
    /// `BIND source target [mode]`
    Bind {
        /// Host path, as written.
        source: Word,
        /// Path inside the sandbox, absolute.
        target: Word,
        /// `copy` when not written.
        mode: BindMode,
        /// Where the mode is written, if it is.
        mode_span: Option<Span>,
    },
    /// `MOUNT path ro | rw`
    Mount {
        /// Path inside the sandbox, absolute.
        path: Word,
        /// Whether the agent may write there.
        writable: bool,
    },
    /// `MEMORY name schema-path schema:Type mode:ro|rw`
    Memory {
        /// Name of the store.
        name: Word,
        /// File of the JSON Schema, relative to the Agentfile.
        schema_path: Word,
        /// The type in it.
        schema_type: Word,
        /// Whether the agent may write.
        writable: bool,
    },
    /// `POLICY … END`
    Policy(Block),
    /// `ALLOW verb target`
    Allow(Rule),
    /// `DENY verb target`
    Deny(Rule),
    /// `RATELIMIT target N/unit`
    RateLimit {
        /// What is limited, as written.
        target: Word,
        /// How many.
        count: u64,
        /// In how long, in seconds (1, 60, 3600, 86400).
        per_seconds: u64,
        /// Where the rate stands.
        rate: Span,
    },
    /// `LIMIT name value[/unit]`
    Limit {
        /// Which limit.
        name: LimitName,
        /// Where its name stands.
        name_span: Span,
        /// Its value in base units: bytes, processes, files, seconds, calls; CPUs in thousandths.
        value: u64,
        /// For a rate (`LIMIT tool_calls 100/hour`), the seconds of its window.
        per_seconds: Option<u64>,
        /// Where the value stands.
        value_span: Span,
    },
    /// `TIMEOUT seconds`
    Timeout {
        /// Wall time in seconds.
        seconds: u64,
        /// Where the number stands.
        value: Span,
    },
    /// `SLICE cpu=2 mem=2048`
    Slice {
        /// CPUs in thousandths, with its place.
        cpu_millis: Option<(u64, Span)>,
        /// Memory in bytes (written in MiB), with its place.
        memory_bytes: Option<(u64, Span)>,
    },
    /// `AUDIT off | basic | all | compliance`
    Audit(AuditLevel, Span),
    /// `TRACE on | off | otlp://host:port`
    Trace(Word),
    /// `SOP ./file.md`
    SopFile(Word),
    /// `SOP … END`
    SopBlock(Block),
    /// `HEALTHCHECK --interval= --timeout= [--retries=] CMD argv…`
    HealthCheck {
        /// Seconds between probes.
        interval_seconds: u64,
        /// Seconds that one probe may take.
        timeout_seconds: u64,
        /// Failures in a row that end the run; 3 when not written.
        retries: u32,
        /// The probe.
        argv: Vec<Word>,
    },
    /// `IMAGE`, `ISOLATION`, `BACKEND`, `PLUGIN`, `SHELL`, `OPTIMIZER`: placement and hints.
    Hint {
        /// Which of them.
        kind: HintKind,
        /// Its arguments.
        arguments: Vec<Word>,
    },
}

/// `namespace:name`, split at the first colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespaced {
    /// The whole word.
    pub word: Word,
    /// Before the colon: `utcp`, `mcp`, `local`, …
    pub namespace: String,
    /// After it.
    pub name: String,
}

/// `scheme://host[:port][/path]`, host in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPattern {
    /// The whole word.
    pub word: Word,
    /// `https`, `http`, `tcp`.
    pub scheme: Scheme,
    /// A DNS name, an address (IPv6 without brackets), or `*.suffix`.
    pub host: String,
    /// Written, or the default of the scheme.
    pub port: u16,
    /// Path prefix, when one is written and is not just `/`.
    pub path: Option<String>,
}

/// Scheme of a [`UrlPattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// TLS, port 443 unless written.
    Https,
    /// Clear text, port 80 unless written.
    Http,
    /// Any protocol over TCP; the port must be written.
    Tcp,
}

/// A credential: the three forms in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cred {
    /// Name; in the oldest form the host of the URL stands in for it.
    pub name: Word,
    /// Where the value comes from: `env:VAR`, `file:…`, `dotenv:…`, `keyring:…`, `vault://…#…`, `command:…`.
    pub source: Word,
    /// `host:H` arguments, or the host of the older forms' URL.
    pub hosts: Vec<Word>,
    /// `inject:header|query`, or the auth type (`bearer`, `basic`, …) of the older forms.
    pub inject: Option<Word>,
    /// Whether it was written in one of the older forms (inject without a placeholder).
    pub older_form: bool,
}

/// How a BIND is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindMode {
    /// A private writable copy (overlay); what changed can be reviewed after the run.
    Copy,
    /// Writable, the host's own files. `direct` is the same word.
    ReadWrite,
    /// Read-only.
    ReadOnly,
}

/// `verb target` of ALLOW and DENY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `invoke`, `read`, `write`, `egress`, `resolve`.
    pub verb: Verb,
    /// Where the verb stands.
    pub verb_span: Span,
    /// What it is about, as written.
    pub target: Word,
}

/// Verb of ALLOW and DENY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// A tool, function or skill.
    Invoke,
    /// A path.
    Read,
    /// A path.
    Write,
    /// A host.
    Egress,
    /// A credential.
    Resolve,
}

/// Names that LIMIT knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitName {
    /// Tool calls.
    ToolCalls,
    /// Network requests.
    NetworkRequests,
    /// Bytes of output kept of one tool call.
    MaxOutput,
    /// Bytes sent out.
    EgressBytes,
    /// Bytes of memory.
    Memory,
    /// CPUs, in thousandths.
    Cpu,
    /// Processes and threads.
    Pids,
    /// Open file descriptors of one process.
    OpenFiles,
    /// Bytes of private disk (tmpfs and copies).
    Disk,
    /// Wall time in seconds.
    Wall,
}

/// Level of AUDIT, in rising order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, Default,
)]
#[serde(rename_all = "lowercase")]
pub enum AuditLevel {
    /// The run's start and end only.
    Off,
    /// Also limits that were reached, and what agentrc itself denies (denials by the kernel are not seen).
    #[default]
    Basic,
    /// Also what agentrc permits.
    All,
    /// As `All`, each line durable before what it describes takes effect.
    Compliance,
}

/// Placement and hint directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HintKind {
    /// `IMAGE`
    Image,
    /// `ISOLATION`
    Isolation,
    /// `BACKEND`
    Backend,
    /// `PLUGIN`
    Plugin,
    /// `SHELL`
    Shell,
    /// `OPTIMIZER`
    Optimizer,
}
