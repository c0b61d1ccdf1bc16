//! What a tool takes, and what an agent is told of it: of a built-in one from `policies/tools.toml`, of a program beside the
//! Agentfile from the file beside it. Both become a [`ToolDefinition`] of the plan.

mod help;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::help::{Shown, help};
use crate::characters::{self, fault};
use crate::plan::{Facts, Hints, Runs, ToolDefinition, digest};
use crate::schema::Fault;
use crate::{json, schema};

/// Where the built-in tools come from, as documentation names it.
pub const TOOLS_FILE: &str = "policies/tools.toml";
/// Longest file that defines a tool, in bytes: all of it is read by a model.
pub const FILE_BYTES: usize = 64 << 10;
/// Longest name that MCP has for a tool (2025-11-25, "Tool Names").
const NAME_BYTES: usize = 128;
/// What the files beside a tool's own end with, in `/agentrc/tools`.
pub(crate) const BESIDE: [&str; 2] = [".schema.json", ".help"];

/// A tool of `policies/tools.toml`.
#[derive(Debug)]
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    title: &'static str,
    description: &'static str,
    runs: Runs,
    /// Arguments that are `path`, `url` and `method` for policies.
    facts: [Option<&'static str>; 3],
    hints: Hints,
    /// JSON.
    input: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/tool_tables.rs"));

/// The built-in tool of that name. `None` also for a table that is not what the build checked it to be.
pub(crate) fn builtin(name: &str) -> Option<ToolDefinition> {
    let tool = BUILTINS.iter().find(|tool| tool.name == name)?;
    let [path, url, method] = tool.facts.map(|argument| argument.map(str::to_owned));
    let definition = Defined {
        title: Some(tool.title.to_owned()),
        description: Some(tool.description.to_owned()),
        input_schema: json::read(tool.input.as_bytes()).ok()?,
        facts: Facts { path, url, method },
        annotations: Annotations::default(),
    };
    definition.judged(tool.runs.clone(), tool.hints).ok()
}

/// Why a program of this name cannot be a tool.
#[must_use]
pub fn name_fault(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(plain) {
        return Some(format!(
            "MCP knows tools by at most {NAME_BYTES} letters, digits, `_`, `.` and `-`, without a space"
        ));
    }
    BESIDE.iter().find(|suffix| name.ends_with(*suffix)).map(|suffix| {
        format!("`/agentrc/tools/NAME{suffix}` is the place of what describes a tool, not of one")
    })
}

/// Where the schema of the program at `path` may lie: the first that is there holds.
pub(crate) fn schema_paths(path: &str) -> impl Iterator<Item = String> {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let slash = if folder.is_empty() { "" } else { "/" };
    let stem = name.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| !stem.is_empty());
    let names: Vec<String> = [Some(name), stem]
        .into_iter()
        .flatten()
        .map(|name| format!("{folder}{slash}{name}.schema.json"))
        .collect();
    names.into_iter()
}

/// A file beside a program: `{"description": …, "inputSchema": {…}}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Defined {
    title: Option<String>,
    description: Option<String>,
    input_schema: Value,
    #[serde(default)]
    facts: Facts,
    #[serde(default)]
    annotations: Annotations,
}

/// As MCP writes them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Annotations {
    title: Option<String>,
    read_only_hint: Option<bool>,
    destructive_hint: Option<bool>,
    idempotent_hint: Option<bool>,
    open_world_hint: Option<bool>,
}

/// What the file `bytes` says of the program `program` (an absolute path inside).
///
/// # Errors
/// The first [`Fault`].
pub(crate) fn read(bytes: &[u8], program: String) -> Result<ToolDefinition, Fault> {
    let example =
        "write {\"description\": \"…\", \"inputSchema\": {\"type\": \"object\", \"properties\": {…}}}";
    if bytes.len() > FILE_BYTES {
        return Err(Fault::new("is larger than 64 KiB", "shorten it: a model has to read it"));
    }
    let document = json::read(bytes).map_err(|error| Fault::new(format!("is not JSON: {error}"), example))?;
    let Some(members) = document.as_object() else {
        return Err(Fault::new("is not a JSON object", example));
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let defined = if members.contains_key("inputSchema") {
        serde_json::from_value(document)
            .map_err(|error| Fault::new(format!("is not what a tool's schema is: {error}"), example))?
    } else {
        Defined {
            title: text("title"),
            description: text("description"),
            input_schema: document,
            facts: Facts::default(),
            annotations: Annotations::default(),
        }
    };
    // What MCP takes for true where nothing is said.
    let hints = Hints {
        read_only: defined.annotations.read_only_hint.unwrap_or(false),
        destructive: defined.annotations.destructive_hint.unwrap_or(true),
        idempotent: defined.annotations.idempotent_hint.unwrap_or(false),
        open_world: defined.annotations.open_world_hint.unwrap_or(true),
    };
    defined.judged(Runs::Program(program), hints)
}

/// What an MCP server says of one of its tools ("Tool" of MCP). Which of its arguments are facts, it does not say.
///
/// # Errors
/// The first [`Fault`]; it continues a sentence that begins with the tool's name.
pub fn of_server(definition: &Value) -> Result<ToolDefinition, Fault> {
    let text = |name: &str| definition.get(name).and_then(Value::as_str).map(str::to_owned);
    let hint = |name: &str, otherwise: bool| {
        definition.get("annotations").and_then(|all| all.get(name)?.as_bool()).unwrap_or(otherwise)
    };
    let input_schema = definition.get("inputSchema").cloned().unwrap_or_default();
    let hints = Hints {
        read_only: hint("readOnlyHint", false),
        destructive: hint("destructiveHint", true),
        idempotent: hint("idempotentHint", false),
        open_world: hint("openWorldHint", true),
    };
    let size = definition.to_string().len();
    if size > FILE_BYTES {
        return Err(Fault::new(format!("is described in {size} bytes"), "64 KiB are the most that is taken"));
    }
    let title = text("title");
    // Servers need not say more than a name.
    let description = text("description").filter(|text| !text.trim().is_empty()).or_else(|| title.clone());
    let description = description.or_else(|| text("name"));
    let (facts, annotations) = (Facts::default(), Annotations::default());
    let defined = Defined { title, description, input_schema, facts, annotations };
    defined.judged(Runs::Server, hints)
}

/// A tool of a manual: what MCP takes for true where nothing is said, is.
///
/// # Errors
/// The first [`Fault`].
pub(crate) fn listed(
    description: Option<String>,
    input_schema: Value,
    runs: Runs,
) -> Result<ToolDefinition, Fault> {
    // Its words and variables, too, are what somebody looks at.
    unseen([], &serde_json::to_value(&runs).unwrap_or_default())?;
    let (facts, annotations) = (Facts::default(), Annotations::default());
    let hints = Hints { read_only: false, destructive: true, idempotent: false, open_world: true };
    Defined { title: None, description, input_schema, facts, annotations }.judged(runs, hints)
}

/// Judges what a file beside a program says.
///
/// # Errors
/// The first [`Fault`].
pub fn judge(bytes: &[u8]) -> Result<(), Fault> {
    read(bytes, String::new()).map(drop)
}

impl Defined {
    fn judged(self, runs: Runs, hints: Hints) -> Result<ToolDefinition, Fault> {
        let title = self.title.or(self.annotations.title);
        let description = self.description.unwrap_or_default();
        if description.trim().is_empty() {
            return Err(Fault::new(
                "does not say what the tool does",
                "write a `description`: an agent knows nothing else of it",
            ));
        }
        unseen(title.iter().chain([&description]), &self.input_schema)?;
        if self.input_schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(Fault::new(
                "does not take an object, as the arguments of a tool are",
                "write \"type\": \"object\" at the top of the schema of its input",
            ));
        }
        schema::judge(&self.input_schema)?;
        for (fact, argument) in self.facts.each() {
            let kind = self.input_schema.get("properties").and_then(|all| all.get(argument)?.get("type"));
            if kind.and_then(Value::as_str) != Some("string") {
                return Err(Fault::new(
                    format!("takes `{argument}` for what policies see as `context.{fact}`, which is no text"),
                    format!("give `{argument}` the type `string` in `properties`, or name another"),
                ));
            }
        }
        let input_schema = json::sorted(&self.input_schema);
        let schema_sha256 = digest::sha256_hex(input_schema.to_string().as_bytes());
        Ok(ToolDefinition { runs, title, description, input_schema, schema_sha256, facts: self.facts, hints })
    }
}

/// Refuses texts for people and models that may read differently from what they say.
pub(crate) fn unseen<'a>(texts: impl IntoIterator<Item = &'a String>, schema: &Value) -> Result<(), Fault> {
    if texts.into_iter().any(|text| is_hostile(text)) || any_text(schema, &is_hostile) {
        return Err(Fault::new(
            "has a character that hides text or drives a terminal",
            "remove control characters and those that turn the writing direction",
        ));
    }
    Ok(())
}

/// Whether `text` may read differently from what it says; lines and tabs are what a description has.
fn is_hostile(text: &str) -> bool {
    use characters::Fault::{Control, Hidden};
    text.chars().any(|character| character != '\n' && matches!(fault(character), Some(Control | Hidden)))
}

/// Whether some text of `value`, names included, is `wanted`. The parser bounds the depth.
fn any_text(value: &Value, wanted: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => wanted(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, wanted)),
        Value::Object(members) => {
            members.iter().any(|(name, member)| wanted(name) || any_text(member, wanted))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
