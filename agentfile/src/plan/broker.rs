//! The broker's part of the plan: tools, functions, skills, servers, memory, credentials.

use serde::{Deserialize, Serialize};

use super::Origin;

/// Something that the broker or the gateway serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum BrokerEntry {
    Tool {
        namespace: String,
        name: String,
        permitted: bool,
        origin: Origin,
    },
    Toolset {
        reference: String,
        origin: Origin,
    },
    Function {
        path: Option<String>,
        symbol: String,
        permitted: bool,
        origin: Origin,
    },
    Skill {
        reference: String,
        permitted: bool,
        origin: Origin,
    },
    Server {
        name: String,
        host: String,
        port: u16,
        scheme: String,
        path: Option<String>,
        origin: Origin,
    },
    Mcp {
        reference: String,
        origin: Origin,
    },
    Memory {
        name: String,
        schema_path: String,
        schema_type: String,
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
