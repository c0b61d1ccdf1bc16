//! The broker's part of the plan: tools, functions, skills, servers, memory, credentials.

use serde::{Deserialize, Serialize};

use super::{FunctionDefinition, Origin, Plan, SkillDefinition, ToolDefinition};

/// Something that the broker or the gateway serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum BrokerEntry {
    Tool {
        namespace: String,
        /// As written, behind the namespace.
        name: String,
        /// As policies, MCP and `/agentrc/tools` know it: `AgentRC::Tool::"entity"`.
        entity: String,
        /// Whether something could permit it; what is not permitted is not shown.
        permitted: bool,
        /// None: of a namespace that is not served yet, and so refused at `run`.
        definition: Option<Box<ToolDefinition>>,
        /// The toolset that it came by: `utcp:files`, or `local:./FILE:LINE:COLUMN`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        toolset: Option<String>,
        /// How the line writes it, when the host says what its namespace is here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mapped: Option<Mapped>,
        origin: Origin,
    },
    /// One that is not served yet, and so refused at `run`; of others there are the tools.
    Toolset {
        reference: String,
        origin: Origin,
    },
    Function {
        path: Option<String>,
        symbol: String,
        permitted: bool,
        /// None: it is in no file beside the Agentfile.
        definition: Option<Box<FunctionDefinition>>,
        origin: Origin,
    },
    Skill {
        reference: String,
        permitted: bool,
        /// None: it is no tool, having no script, or being what CMD executes.
        definition: Option<Box<SkillDefinition>>,
        origin: Origin,
    },
    Server {
        name: String,
        host: String,
        port: u16,
        scheme: String,
        path: Option<String>,
        /// What its tools are asked with, if it has some: the credential that is bound to the host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<String>,
        /// Whether a policy may permit more of it than calls of its tools: resources, prompts, and what it asks for.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
        origin: Origin,
    },
    Mcp {
        reference: String,
        /// As policies know it: `AgentRC::MCPServer::"name"`.
        name: String,
        /// What it is, and what it may touch: that of an agent of its own. None: it is not served yet, and so refused at `run`.
        plan: Option<Box<Plan>>,
        /// As of a `SERVER`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
        origin: Origin,
    },
    Memory {
        name: String,
        schema_path: String,
        schema_type: String,
        /// Unless a policy forbids it without a condition.
        readable: bool,
        /// As its line says, and as above.
        writable: bool,
        schema_sha256: String,
        origin: Origin,
    },
    Credential {
        name: String,
        source: String,
        hosts: Vec<String>,
        inject: Option<String>,
        older_form: bool,
        origin: Origin,
    },
    CredentialBroker {
        family: String,
        origin: Origin,
    },
    HealthCheck {
        interval_seconds: u64,
        timeout_seconds: u64,
        retries: u32,
        argv: Vec<String>,
        origin: Origin,
    },
    Trace {
        target: String,
        origin: Origin,
    },
}

/// A tool whose namespace is what the host says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapped {
    /// As the line writes it.
    pub written: String,
    /// Where the host says what it is here: `file:line:column`.
    pub by: String,
}

/// Where a vault's login is kept, below the user's home ("Vault CLI, token helper"): the broker reads it, the jail hides it.
pub const VAULT_TOKEN: &str = ".vault-token";

/// The file that a credential's source is read from, as it is written: `file:PATH`, `dotenv:PATH#KEY`, and `.env` for
/// `dotenv:KEY`. Relative to the Agentfile's folder, or `~/…`. `None`: the value is in no file that the source names.
#[must_use]
pub fn source_file(source: &str) -> Option<&str> {
    if let Some(path) = source.strip_prefix("file:") {
        return Some(path);
    }
    source.strip_prefix("dotenv:").map(|rest| dotenv_parts(rest).0)
}

/// Path and key of what follows `dotenv:`.
#[must_use]
pub fn dotenv_parts(rest: &str) -> (&str, &str) {
    match rest.rsplit_once('#') {
        Some((path, key)) if !path.is_empty() => (path, key),
        _ => (".env", rest),
    }
}
