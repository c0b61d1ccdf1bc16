//! UTCP manuals (version 1): `tools/NAME.utcp.json` beside the Agentfile, which says of tools what they take and how each is
//! called. Read strictly: what is not understood might be what makes a call harmless.

mod cli;
mod http;
pub(crate) mod mcp;
mod split;

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::json;
use crate::plan::ToolDefinition;
use crate::schema::Fault;
use crate::tool;

/// Where manuals lie, and what their names end with.
pub(crate) const FOLDER: &str = "tools";
pub(crate) const SUFFIX: &str = ".utcp.json";
/// Most manuals of a package: each is read for each Agentfile that names a tool of one.
pub(crate) const MANUALS: usize = 64;

const EXAMPLE: &str = "write {\"utcp_version\": \"1.0.1\", \"manual_version\": \"1.0.0\", \"tools\": [{\"name\": …, \
                       \"description\": …, \"inputs\": {…}, \"tool_call_template\": {…}}]}";

/// A manual. What `info` says is for people.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    utcp_version: String,
    #[serde(rename = "manual_version")]
    _manual_version: Option<String>,
    #[serde(rename = "info")]
    _info: Option<Value>,
    tools: Vec<Listed>,
}

/// A tool of a manual, not yet judged.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    pub(crate) name: String,
    description: Option<String>,
    inputs: Option<Value>,
    #[serde(rename = "outputs")]
    _outputs: Option<Value>,
    #[serde(rename = "tags")]
    _tags: Option<Vec<String>>,
    #[serde(rename = "average_response_size")]
    _average_response_size: Option<u64>,
    tool_call_template: Option<Value>,
    /// Version 0.1's.
    tool_provider: Option<Value>,
}

/// The tools that the manual `bytes` lists.
///
/// # Errors
/// It is not a manual of version 1.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Listed>, Fault> {
    let document = json::read(bytes).map_err(|error| Fault::new(format!("is not JSON: {error}"), EXAMPLE))?;
    let file: File = serde_json::from_value(document)
        .map_err(|error| Fault::new(format!("is not a UTCP manual: {error}"), EXAMPLE))?;
    if !file.utcp_version.starts_with("1.") {
        let version: String = file.utcp_version.escape_debug().take(40).collect();
        return Err(Fault::new(
            format!("is a manual of UTCP {version}"),
            "write it for UTCP 1: `\"utcp_version\": \"1.0.1\"`, and a `tool_call_template` for each tool",
        ));
    }
    let mut names = BTreeSet::new();
    for tool in &file.tools {
        if let Some(fault) = tool::name_fault(&tool.name) {
            let name: String = tool.name.escape_debug().take(200).collect();
            return Err(Fault::new(format!("has a tool `{name}`: {fault}"), "give it another name"));
        }
        if !names.insert(tool.name.as_str()) {
            return Err(Fault::new(format!("has two tools `{}`", tool.name), "remove one of them"));
        }
    }
    Ok(file.tools)
}

impl Listed {
    /// The MCP server that it is a tool of. `None`: of none.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub(crate) fn server(&self) -> Option<Result<mcp::Meant, Fault>> {
        let template = self.tool_call_template.as_ref()?;
        let kind = template.get("call_template_type").and_then(Value::as_str)?;
        (kind == "mcp").then(|| mcp::read(template.clone(), &self.name))
    }

    /// What an agent is told of it, and what a call does.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub(crate) fn definition(self) -> Result<ToolDefinition, Fault> {
        let template = match (self.tool_call_template, self.tool_provider) {
            (Some(template), None) => template,
            (_, Some(_)) => {
                return Err(Fault::new(
                    "has a `tool_provider`, as UTCP 0.1 does",
                    "write a `tool_call_template` instead",
                ));
            }
            (None, None) => {
                return Err(Fault::new("does not say how it is called", "write a `tool_call_template`"));
            }
        };
        let inputs = self
            .inputs
            .unwrap_or_else(|| json!({"type": "object", "properties": {}, "additionalProperties": false}));
        let kind = template.get("call_template_type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let runs = match kind.as_str() {
            "cli" => cli::read(template, &inputs)?,
            "http" => http::read(template, &inputs)?,
            _ => {
                return Err(Fault::new(
                    "has a `call_template_type` that is not served",
                    "write `cli` for a command, `http` for a request, `mcp` for a tool of a server's",
                ));
            }
        };
        tool::listed(self.description, inputs, runs)
    }
}

/// Refuses the argument `name` if `inputs` do not say that it is one value, or, where it is `needed`, that it is always there.
fn scalar(inputs: &Value, name: &str, needed: bool) -> Result<(), Fault> {
    let shown = || name.escape_debug().take(200).collect::<String>();
    let Some(schema) = inputs.get("properties").and_then(|properties| properties.get(name)) else {
        return Err(Fault::new(
            format!("has the argument `{}`, which its `inputs` have not", shown()),
            "write it into the `properties` of `inputs`",
        ));
    };
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "string" | "integer" | "number" | "boolean") {
        return Err(Fault::new(
            format!("has the argument `{}`, which is not one word", shown()),
            "give it the `type` `string`, `integer`, `number` or `boolean`",
        ));
    }
    let required = inputs.get("required").and_then(Value::as_array);
    if needed && !required.is_some_and(|names| names.iter().any(|required| required == name)) {
        return Err(Fault::new(
            format!("has the argument `{}`, which need not be there", shown()),
            "write it into `required` of `inputs`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
