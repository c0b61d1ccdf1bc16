//! Stage 2: from syntax to [`Boundaries`]. Names are resolved, defaults filled in, contradictions found; all of a file's
//! errors are collected, none stops the others. One file per family of directives.

mod access;
mod capabilities;
mod credentials;
mod effect;
mod identity;
mod manuals;
mod network;
mod packaged;
mod policies;
mod resources;
mod rules;
mod servers;
mod shares;
mod skills;
mod tools;
mod toolsets;

use std::collections::{HashMap, HashSet};

use crate::Package;
use crate::boundary::{Boundaries, Limits};
use crate::diag::Diagnostic;
use crate::place::{Place, Places};
use crate::plan::{AuditLevel, Base};
use crate::span::Span;
use crate::syntax::{self, Agentfile, Body, Statement, UrlPattern, Word};

/// What is known while the statements are walked.
struct Check<'a> {
    places: &'a Places<'a>,
    package: &'a dyn Package,
    diagnostics: Vec<Diagnostic>,
    out: Boundaries,
    /// First occurrence of what may be written once.
    first: HashMap<Once, Span>,
    /// Paths already projected.
    projected: HashSet<String>,
    /// Tools by how a TOOL line writes them: whether a toolset was the first to declare it.
    tools: HashMap<String, bool>,
    /// The package's UTCP manuals, once they were looked for.
    manuals: Option<manuals::Manuals>,
    /// MCP servers that manuals mean: the manual's path, the server, and the line of the tool.
    meant: Vec<(String, crate::manual::mcp::Meant, Span)>,
    /// RATELIMIT lines, whose targets may be declared further down.
    rate_targets: Vec<Word>,
    /// ALLOW and DENY lines, likewise.
    pending_rules: Vec<(bool, syntax::Rule, Place)>,
    /// Shares by target, as indices; filled by `finish_shares`.
    by_target: HashMap<String, usize>,
}

/// What may be written once. Names have a kind each: a tool and a credential may share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Once {
    Directive(&'static str),
    Name(&'static str, String),
}

/// Checks `agentfile` and returns what it declares. The boundaries are complete only when no diagnostic is an error.
pub(crate) fn check(
    agentfile: &Agentfile,
    places: &Places<'_>,
    package: &dyn Package,
) -> (Boundaries, Vec<Diagnostic>) {
    let mut check = Check {
        places,
        package,
        diagnostics: Vec::new(),
        out: empty(),
        first: HashMap::new(),
        projected: HashSet::new(),
        tools: HashMap::new(),
        manuals: None,
        meant: Vec::new(),
        rate_targets: Vec::new(),
        pending_rules: Vec::new(),
        by_target: HashMap::new(),
    };
    for statement in &agentfile.statements {
        check.statement(statement);
    }
    check.finish_identity();
    check.finish_shares();
    check.finish_resources();
    check.finish_network();
    check.finish_servers();
    check.finish_policies();
    check.finish_capabilities();
    check.finish_skills();
    (check.out, check.diagnostics)
}

fn empty() -> Boundaries {
    Boundaries {
        agent: String::new(),
        base: Base::Host,
        command: None,
        shares: Vec::new(),
        projections: Vec::new(),
        procedure: None,
        denials: Vec::new(),
        hosts: Vec::new(),
        tools: Vec::new(),
        toolsets: Vec::new(),
        functions: Vec::new(),
        skills: Vec::new(),
        servers: Vec::new(),
        mcp: Vec::new(),
        credentials: Vec::new(),
        brokers: Vec::new(),
        memories: Vec::new(),
        limits: Limits::default(),
        audit: (AuditLevel::default(), None),
        rules: Vec::new(),
        policies: Vec::new(),
        health_check: None,
        trace: None,
        hints: Vec::new(),
    }
}

impl Check<'_> {
    fn statement(&mut self, statement: &Statement) {
        let keyword = statement.keyword;
        let place = self.places.place(keyword);
        match &statement.body {
            Body::Agent(name) => self.agent(name, keyword),
            Body::From(reference) => self.from(reference, place),
            Body::Cmd(argv) => self.cmd(argv, place),
            Body::Tool(tool) => self.tool(tool, place),
            Body::Toolset(word) => self.toolset(word, place),
            Body::Function { path, symbol } => self.function(path.as_ref(), symbol, place),
            Body::Skill(word) => self.skill(word, place),
            Body::Server { name, url } => self.server(name, url, place),
            Body::Mcp(word) => self.mcp(word, place),
            Body::Url(url) => self.url(url, place),
            Body::Cred(cred) => self.cred(cred, place),
            Body::Broker(word) => self.broker(word, place),
            Body::Bind { source, target, mode, .. } => self.bind(source, target, *mode, place),
            Body::Mount { path, writable } => self.mount(path, *writable, place),
            Body::Memory { name, schema_path, schema_type, writable } => {
                self.memory(name, schema_path, schema_type, *writable, place);
            }
            Body::Policy(block) => {
                let mut parsed = crate::policy::parse(block, self.places, &mut self.diagnostics);
                self.out.policies.append(&mut parsed);
            }
            Body::Allow(rule) => self.rule(true, rule, place),
            Body::Deny(rule) => self.rule(false, rule, place),
            Body::RateLimit { target, count, per_seconds, rate } => {
                self.rate_limit(target, *count, *per_seconds, *rate, place);
            }
            Body::Limit { name, value, per_seconds, value_span, .. } => {
                self.limit(*name, *value, *per_seconds, *value_span, place);
            }
            Body::Timeout { seconds, value } => self.timeout(*seconds, *value, place),
            Body::Slice { cpu_millis, memory_bytes } => self.slice(*cpu_millis, *memory_bytes, keyword),
            Body::Audit(level, span) => {
                if self.once("AUDIT", keyword) {
                    self.out.audit = (*level, Some(self.places.place(*span)));
                }
            }
            Body::Trace(word) => self.trace(word, place),
            Body::SopFile(word) => self.sop_file(word, place),
            Body::SopBlock(block) => self.sop_text(&block.text, place),
            Body::HealthCheck { interval_seconds, timeout_seconds, retries, argv } => {
                self.health_check([*interval_seconds, *timeout_seconds], *retries, argv, place);
            }
            Body::Hint { kind, arguments } => self.hint(*kind, arguments, place),
        }
    }

    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, span, message).help(help));
    }

    fn warn(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warning(code, span, message).help(help));
    }

    /// Whether this is the first `keyword` of the file; reports it otherwise.
    fn once(&mut self, keyword: &'static str, span: Span) -> bool {
        match self.first.insert_first(Once::Directive(keyword), span) {
            None => true,
            Some(first) => {
                let lines = (self.places.line(first.start), self.places.line(span.start));
                self.diagnostics.push(
                    Diagnostic::error(
                        "E040",
                        span,
                        format!("`{keyword}` is written twice, on lines {} and {}", lines.0, lines.1),
                    )
                    .help("keep one of them")
                    .related(first, "the first is here"),
                );
                false
            }
        }
    }

    /// Whether this is the first `kind` of that name; reports it otherwise.
    fn once_named(&mut self, kind: &'static str, name: &str, span: Span) -> bool {
        match self.first.insert_first(Once::Name(kind, name.to_owned()), span) {
            None => true,
            Some(first) => {
                let lines = (self.places.line(first.start), self.places.line(span.start));
                self.diagnostics.push(
                    Diagnostic::error(
                        "E052",
                        span,
                        format!(
                            "the {kind} `{name}` is declared twice, on lines {} and {}",
                            lines.0, lines.1
                        ),
                    )
                    .help("remove one, or give it another name: policies and the agent know it by its name")
                    .related(first, "the first is here"),
                );
                false
            }
        }
    }
}

/// `insert` that keeps what is there and returns it.
trait InsertFirst {
    fn insert_first(&mut self, key: Once, span: Span) -> Option<Span>;
}

impl InsertFirst for HashMap<Once, Span> {
    fn insert_first(&mut self, key: Once, span: Span) -> Option<Span> {
        match self.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => Some(*entry.get()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(span);
                None
            }
        }
    }
}

/// `https://host:port/path` of a URL as a destination.
fn destination(url: &UrlPattern, via: crate::boundary::Via, place: Place) -> crate::boundary::Host {
    crate::boundary::Host {
        scheme: url.scheme,
        host: url.host.clone(),
        port: url.port,
        path: url.path.clone(),
        via,
        place,
    }
}
