//! A command that a tool is, as a template: which words it has, and where an argument's value stands in one of them. A value is never
//! more than a part of one word, whatever it holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A command with places for arguments. `/agentrc/bin/mcp --command` is given it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandTemplate {
    /// Its words, each of parts that are put together. The first is the program: fixed, an absolute path inside or a name that is
    /// looked for in `PATH`.
    pub words: Vec<Vec<Part>>,
    /// Where it begins, when it is not where the agent does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Variables that it has beside the agent's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// As it stands here.
    Text(String),
    /// The value of the argument of that name.
    Argument(String),
}
