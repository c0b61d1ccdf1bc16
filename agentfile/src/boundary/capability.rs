//! Capabilities that lines declare: tools, functions, skills, servers, credentials, memory.

use super::Host;
use crate::place::Place;
use crate::plan::{FunctionDefinition, Plan, SkillDefinition, ToolDefinition};

/// A declared tool.
#[derive(Debug, Clone)]
pub struct Tool {
    /// `utcp`, `mcp`, `local`, …
    pub namespace: String,
    /// After the namespace, as written.
    pub name: String,
    /// Name as policies know it: `AgentRC::Tool::"entity"`.
    pub entity: String,
    /// What it takes and where it runs; none: of a namespace that is not served yet.
    pub definition: Option<ToolDefinition>,
    /// The toolset that it came by, and where that says so.
    pub toolset: Option<String>,
    /// As the line writes it, and where the host says what it is here.
    pub mapped: Option<(String, String)>,
    /// The line.
    pub place: Place,
}

/// A declared function.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its file, relative to the Agentfile's folder.
    pub path: Option<String>,
    /// Its name, which is also its entity's.
    pub symbol: String,
    /// What it takes and returns; none: it is in no file beside the Agentfile.
    pub definition: Option<FunctionDefinition>,
    /// The line.
    pub place: Place,
}

/// A declared skill.
#[derive(Debug, Clone)]
pub struct Skill {
    /// As written.
    pub reference: String,
    /// Its folder, relative to the Agentfile's, when it is there.
    pub path: Option<String>,
    /// Name as policies know it, and of its folder under `/agentrc/skills`.
    pub entity: String,
    /// What it takes; none: it has no script.
    pub definition: Option<SkillDefinition>,
    /// The line.
    pub place: Place,
}

/// A declared server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub host: Host,
}

/// A declared MCP server.
#[derive(Debug, Clone)]
pub struct McpServer {
    /// As written.
    pub reference: String,
    /// Name as policies know it: `AgentRC::MCPServer::"name"`.
    pub name: String,
    /// What it is, and what it may touch; none: it comes from a registry, which is not served yet.
    pub plan: Option<Box<Plan>>,
    /// The host's table that says so; none: the package does.
    pub host: Option<String>,
    /// The line.
    pub place: Place,
}

/// Something declared by one word.
#[derive(Debug, Clone)]
pub struct Reference {
    /// As written.
    pub reference: String,
    /// The line.
    pub place: Place,
}

/// A declared credential.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// Where the value comes from, as written.
    pub source: String,
    /// Where it may go.
    pub hosts: Vec<String>,
    /// How it is put in.
    pub inject: Option<String>,
    /// Whether it is written in one of the older forms.
    pub older_form: bool,
    /// The line.
    pub place: Place,
}

/// A declared memory store.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Its name.
    pub name: String,
    /// Its schema's file, relative to the Agentfile's folder.
    pub schema_path: String,
    /// The type in it.
    pub schema_type: String,
    /// The text of that file.
    pub schema: String,
    /// Whether the agent may write.
    pub writable: bool,
    /// The line.
    pub place: Place,
}
