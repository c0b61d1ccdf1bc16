//! A tool of a manual that is one of an MCP server's: which server, as the manual knows it. The server itself is declared by a line, which
//! says what it may touch; a manual only says that it means the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::schema::Fault;
use crate::server::tool_of;

const EXAMPLE: &str = "write {\"call_template_type\": \"mcp\", \"config\": {\"mcpServers\": {\"NAME\": {\"command\": \"…\", \"args\": […]}}}}";

/// What UTCP has of a tool of a server's (1.0, "McpCallTemplate").
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    #[serde(rename = "call_template_type")]
    _call_template_type: String,
    #[serde(rename = "name")]
    _name: Option<String>,
    config: Config,
    auth: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(rename = "mcpServers")]
    servers: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "transport", alias = "type")]
    transport: Option<String>,
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    url: Option<String>,
}

/// A server, as a manual describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meant {
    /// Its name.
    pub(crate) name: String,
    /// How it is come by.
    pub(crate) by: By,
}

/// How a manual's server is come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// It is started: command, arguments and variables.
    Command(String, Vec<String>, BTreeMap<String, String>),
    /// It is at this URL.
    Url(String),
}

/// The server of `template`, of a tool that the manual calls `tool`.
///
/// # Errors
/// The first [`Fault`].
pub(super) fn read(template: Value, tool: &str) -> Result<Meant, Fault> {
    let template: Template = serde_json::from_value(template)
        .map_err(|error| Fault::new(format!("is not a server's tool of UTCP 1: {error}"), EXAMPLE))?;
    if template.auth.is_some_and(|auth| !auth.is_null()) {
        return Err(Fault::new(
            "has `auth`",
            "remove it, and declare a `CRED` for the host: a value in a package is everybody's",
        ));
    }
    let Some((server, _)) = tool_of(tool) else {
        return Err(Fault::new(
            "is a tool of an MCP server's, and does not say of which",
            "name it `SERVER.TOOL`, as UTCP does",
        ));
    };
    let mut servers = template.config.servers;
    let Some(entry) = servers.remove(server) else {
        return Err(Fault::new(format!("is of a server `{server}` that its `config` has not"), EXAMPLE));
    };
    let transport = entry.transport.as_deref();
    let by = match (entry.command, entry.url) {
        (Some(command), None) if matches!(transport, None | Some("stdio")) => {
            By::Command(command, entry.args, entry.env)
        }
        (None, Some(url))
            if matches!(transport, None | Some("http" | "streamable-http" | "streamable_http")) =>
        {
            By::Url(url)
        }
        _ => {
            return Err(Fault::new(
                format!("has a server `{server}` that is neither one command nor one URL"),
                EXAMPLE,
            ));
        }
    };
    Ok(Meant { name: server.to_owned(), by })
}
