//! A tool's part of the plan: what it takes, what an agent is told of it, and where it runs. All of it is known when the
//! Agentfile is compiled, and so is part of what a person consents to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CommandTemplate, HttpTemplate, Plan};

/// What is known of a tool before any run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolDefinition {
    /// Where it runs.
    pub runs: Runs,
    /// A few words for people.
    pub title: Option<String>,
    /// What an agent is told of it.
    pub description: String,
    /// What its arguments must be: JSON Schema, an `object` at its root, its members in the order of their names. It has
    /// passed [`crate::schema::judge`].
    pub input_schema: Value,
    /// SHA-256 (hex) of `input_schema` without white space.
    pub schema_sha256: String,
    /// Which arguments policies see.
    pub facts: Facts,
    /// What MCP's annotations say.
    pub hints: Hints,
}

/// What is known of a function before any run: from its `def` line and docstring, `agentfile/src/function.rs`, or from the
/// schema beside its program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionDefinition {
    /// What calls it.
    pub runs: Calls,
    /// Its docstring: what an agent is told of it.
    pub description: String,
    /// As of a tool.
    pub input_schema: Value,
    /// SHA-256 (hex) of `input_schema` without white space.
    pub schema_sha256: String,
    /// What it returns (JSON Schema), when it says so.
    pub output_schema: Option<Value>,
}

/// What is known of a skill that is a tool: one that has scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkillDefinition {
    /// Its name, which is also its folder's under `/agentrc/skills`.
    pub name: String,
    /// What its front matter says.
    pub description: String,
    /// Paths of the scripts that it may execute, in its folder, sorted.
    pub scripts: Vec<String>,
    /// What a call may touch: that of an agent of its own, no wider than the agent. None: what the agent may, without a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<Plan>>,
    /// As of a tool.
    pub input_schema: Value,
    /// SHA-256 (hex) of `input_schema` without white space.
    pub schema_sha256: String,
}

impl FunctionDefinition {
    /// What a client is told of it: nothing is known of what it does, but that it has no network.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints { read_only: false, destructive: true, idempotent: false, open_world: false }
    }
}

impl SkillDefinition {
    /// As of a function; one that has less than the agent may have a network.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints { read_only: false, destructive: true, idempotent: false, open_world: self.networked() }
    }

    /// Whether a call of it has a network.
    #[must_use]
    pub fn networked(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| !plan.egress.is_empty())
    }
}

/// What calls a function, in a sandbox of its own that sees what the agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calls {
    /// Our adapter imports the file and calls it (`runner/inside/src/function/adapter.py`).
    Python,
    /// The file is a program, and the function's name its one argument.
    Program,
}

/// Where a tool runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// In the broker itself: it touches no file, no network and no process.
    Broker,
    /// By the gateway, which the broker asks: a request as the agent's own are, judged in the same way.
    Gateway,
    /// In a sandbox of its own that sees what the agent sees: `/agentrc/bin/mcp --builtin NAME`.
    Inside,
    /// As `Inside`, this program: an absolute path inside.
    Program(String),
    /// In an MCP server. No plan has it: what a server's tools are, it says when it is started.
    Server,
    /// As `Inside`, a command of a manual: `/agentrc/bin/mcp --command TEMPLATE`.
    Command(CommandTemplate),
    /// A request of a manual. Made as `Gateway`.
    Http(Box<HttpTemplate>),
}

/// Names of the arguments, each a string, that policies see; what an argument does not say is the empty string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// `context.path`, made absolute and normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `context.url`, and its host as `context.host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `context.method`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

impl Facts {
    /// Each fact that there is, by the name that policies know it by, with its argument.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("path", &self.path), ("url", &self.url), ("method", &self.method)];
        all.into_iter().filter_map(|(fact, argument)| Some((fact, argument.as_deref()?)))
    }
}

/// Annotations of MCP (2025-11-25, "ToolAnnotations"): what a client may show, and nothing that is decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hints {
    /// It changes nothing (`readOnlyHint`).
    pub read_only: bool,
    /// It may destroy something (`destructiveHint`).
    pub destructive: bool,
    /// A second call with the same arguments changes nothing more (`idempotentHint`).
    pub idempotent: bool,
    /// It reaches something outside the sandbox (`openWorldHint`).
    pub open_world: bool,
}
