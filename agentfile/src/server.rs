//! `MCP name`: the servers of a package are in `mcp.json` beside the Agentfile, those of a host beside its configuration, in the form that MCP's clients know, each with
//! the lines of an Agentfile that say what it may touch. Such a server is compiled as an agent of its own: its command, and
//! nothing but those lines.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::diag::{Diagnostic, Severity};
use crate::parse::parse;
use crate::place::Places;
use crate::plan::{AuditLevel, EnvironmentVariable, Origin, Plan, source_file};
use crate::schema::Fault;
use crate::syntax::{Body, Statement};
use crate::{Nothing, Package, check, json, lower};

/// The table of a package's servers.
pub const TABLE: &str = "mcp.json";
/// Its member with the servers.
const SERVERS: &str = "mcpServers";
const EXAMPLE: &str = "write {\"mcpServers\": {\"NAME\": {\"command\": \"…\", \"args\": […], \"boundaries\": [\"BIND ./data /data ro\"]}}}";
/// What may be said of a server.
const BOUNDARIES: &str = "BIND, MOUNT, URL, CRED, BROKER, LIMIT, RATELIMIT and SLICE";
/// Parts of the names of variables that hold what must not lie in a file.
const SECRET: [&str; 6] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "PRIVATE_KEY"];

/// A server of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "type")]
    transport: Option<String>,
    command: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Lines of an Agentfile.
    #[serde(default)]
    boundaries: Vec<String>,
}

/// A table of servers: the package's, or one of the host's.
pub(crate) struct Table {
    /// As people find it.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) of_host: bool,
}

impl Table {
    /// Whether it has the server `name`, or cannot be read, which is not to be passed over.
    pub(crate) fn may_have(&self, name: &str) -> bool {
        servers(&self.bytes).map_or(true, |servers| servers.contains_key(name))
    }
}

/// The plan of the server `name` of the table, and what there is to say of it. `file` is the Agentfile's name, `package` what lies
/// beside it.
///
/// # Errors
/// Each [`Fault`]; it continues a sentence that begins with the table's name.
pub(crate) fn compile(
    table: &Table,
    name: &str,
    file: &str,
    audit: AuditLevel,
    package: &dyn Package,
) -> Result<(Plan, Vec<Fault>), Vec<Fault>> {
    let entry = find(&table.bytes, name).map_err(|fault| vec![fault])?;
    let text = entry.text(name).map_err(|fault| vec![fault])?;
    let shown = format!("{}#{name}", table.name);
    // What a line of the host's names is the host's, whichever package asks for the server.
    let package = if table.of_host { &Nothing } else { package };
    let (agentfile, mut found) = parse(text.as_bytes());
    let places = Places::new(&shown, &text);
    let said = |diagnostic: &Diagnostic| {
        let line = usize::try_from(places.line(diagnostic.span.start)).unwrap_or_default();
        let what = match entry.boundaries.get(line.saturating_sub(1)) {
            Some(boundary) => format!("has in `{name}` the line `{boundary}`: {}", diagnostic.message),
            None => format!("has the server `{name}`: {}", diagnostic.message),
        };
        Fault { what, help: diagnostic.help.clone().unwrap_or_default() }
    };
    let written = agentfile.statements.iter().take_while(|statement| {
        usize::try_from(places.line(statement.span.start)).is_ok_and(|line| line <= entry.boundaries.len())
    });
    let other: Vec<_> = written.filter(|statement| !is_boundary(statement)).collect();
    if let Some(other) = other.first() {
        let keyword = places.text(other.keyword);
        let what =
            format!("has in `{name}` a line `{keyword}`, which says nothing of what a server may touch");
        return Err(vec![Fault::new(what, format!("such lines are {BOUNDARIES}"))]);
    }
    if table.of_host {
        of_no_package(name, &entry, &agentfile.statements).map_err(|fault| vec![fault])?;
    }
    let (mut boundaries, mut more) = check::check(&agentfile, &places, package);
    found.append(&mut more);
    boundaries.audit.0 = audit;
    let (errors, warnings): (Vec<_>, Vec<_>) =
        found.iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(errors.into_iter().map(said).collect());
    }
    let mut plan = lower::lower(&boundaries, file).map_err(|fault| {
        vec![Fault::new(
            format!("has the server `{name}`: a fault of the compiler: {fault}"),
            "please report it",
        )]
    })?;
    let origin = Origin { file: shown.clone(), line: 0, column: 0 };
    for (name, value) in entry.env {
        plan.environment.retain(|variable| variable.name != name);
        plan.environment.push(EnvironmentVariable { name, value, origin: origin.clone() });
    }
    plan.environment.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((plan, warnings.into_iter().map(said).collect()))
}

/// A host's table lies beside no package: what it names, it names as a whole.
fn of_no_package(name: &str, entry: &Entry, statements: &[Statement]) -> Result<(), Fault> {
    let sources = statements.iter().filter_map(|statement| match &statement.body {
        Body::Bind { source, .. } => Some(source.text.as_str()),
        Body::Cred(cred) => source_file(&cred.source.text),
        _ => None,
    });
    let words = std::iter::once(&entry.command).chain(&entry.args).filter(|word| word.starts_with("./"));
    let of_host = |path: &&str| path.starts_with('/') || path.starts_with("~/") || *path == "~";
    let relative = sources.filter(|path| !of_host(path)).chain(words.map(String::as_str)).next();
    relative.map_or(Ok(()), |path| {
        Err(Fault::new(
            format!("has in `{name}` the path `{path}`, which is one of a package's folder"),
            "a host's table names paths of the host: write it from `/` or `~/` on",
        ))
    })
}

/// Whether the table `bytes` has the server `name` with this command, these arguments and variables.
pub(crate) fn is_started_as(
    bytes: &[u8],
    name: &str,
    command: &str,
    args: &[String],
    env: &BTreeMap<String, String>,
) -> bool {
    find(bytes, name).is_ok_and(|entry| entry.command == command && entry.args == args && entry.env == *env)
}

/// The servers of a table, by name.
fn servers(bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    let other = || Fault::new(format!("is not an object with the one member `{SERVERS}`"), EXAMPLE);
    match json::read(bytes).map_err(|error| Fault::new(format!("is not JSON: {error}"), EXAMPLE))? {
        Value::Object(mut members) if members.len() == 1 => match members.remove(SERVERS) {
            Some(Value::Object(servers)) => Ok(servers),
            _ => Err(other()),
        },
        _ => Err(other()),
    }
}

/// The server of that name.
fn find(bytes: &[u8], name: &str) -> Result<Entry, Fault> {
    let servers = servers(bytes)?;
    let Some(entry) = servers.get(name) else {
        let mut known: Vec<_> = servers.keys().map(|name| format!("`{name}`")).collect();
        known.sort_unstable();
        let help = if known.is_empty() {
            EXAMPLE.to_owned()
        } else {
            format!("it has {}: check the spelling, or add one", known.join(", "))
        };
        return Err(Fault::new(format!("has no server `{name}`"), help));
    };
    if entry.get("url").is_some() {
        let what = format!("has the server `{name}` with a `url`");
        return Err(Fault::new(what, "a server that runs elsewhere is declared by `SERVER name url`"));
    }
    Entry::deserialize(entry.clone())
        .map_err(|error| Fault::new(format!("has the server `{name}`, which is not one: {error}"), EXAMPLE))
}

impl Entry {
    /// The Agentfile that it amounts to: its boundaries first, so that the number of a line is that of a boundary.
    fn text(&self, name: &str) -> Result<String, Fault> {
        if self.transport.as_deref().is_some_and(|transport| transport != "stdio") {
            let what = format!("has the server `{name}`, whose `type` is not \"stdio\"");
            return Err(Fault::new(what, "a server that runs elsewhere is declared by `SERVER name url`"));
        }
        let mut text = String::new();
        for boundary in &self.boundaries {
            one_line(name, boundary)?;
            text.push_str(boundary);
            text.push('\n');
        }
        text.push_str("CMD");
        for word in std::iter::once(&self.command).chain(&self.args) {
            one_line(name, word)?;
            text.push_str(&format!(" \"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")));
        }
        text.push_str(&format!("\nAGENT {name}\n"));
        for variable in self.env.keys() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if variable.is_empty()
                || variable.starts_with(|first: char| first.is_ascii_digit())
                || !variable.bytes().all(plain)
            {
                let what = format!("has in `{name}` the variable `{variable}`, which is no name of one");
                return Err(Fault::new(what, "write letters, digits and `_`"));
            }
            let upper = variable.to_ascii_uppercase();
            if SECRET.iter().any(|part| upper.contains(part)) {
                let what =
                    format!("has in `{name}` a value for `{variable}`, which sounds like a credential");
                return Err(Fault::new(
                    what,
                    format!(
                        "a value is never written down: add the boundary `CRED {variable} env:{variable} host:…`, which the gateway puts in"
                    ),
                ));
            }
        }
        let value = self.env.values().find(|value| value.contains('\0') || value.contains("${"));
        if value.is_some() {
            let what = format!("has in `{name}` a variable whose value is not a plain text");
            let help =
                "nothing of the host's environment is given to a server: write the value, or a CRED line";
            return Err(Fault::new(what, help));
        }
        Ok(text)
    }
}

/// What becomes part of a line must not end it.
fn one_line(name: &str, text: &str) -> Result<(), Fault> {
    if text.contains(['\n', '\r', '\0']) {
        let what = format!("has in `{name}` a text of more than one line");
        return Err(Fault::new(what, "write each boundary, and each word of the command, as one text"));
    }
    Ok(())
}

fn is_boundary(statement: &Statement) -> bool {
    matches!(
        statement.body,
        Body::Bind { .. }
            | Body::Mount { .. }
            | Body::Url(_)
            | Body::Cred(_)
            | Body::Broker(_)
            | Body::Limit { .. }
            | Body::RateLimit { .. }
            | Body::Slice { .. }
    )
}

/// The server and the tool that `TOOL mcp:server.tool` names.
#[must_use]
pub fn tool_of(name: &str) -> Option<(&str, &str)> {
    let (server, tool) = name.split_once('.')?;
    (!server.is_empty() && !tool.is_empty()).then_some((server, tool))
}
