//! An MCP server of the tests' own, that does what no library lets it.

use serde_json::json;

/// Its code, with what is left of the protocol. What is at `MARK` runs in a call, with `a` for its arguments and `r` for its result.
pub const SERVER: &str = include_str!("../programs/server.py");

/// The table of a package with that server as `own`, which is `own.py` beside it.
pub fn table(boundaries: &[&str]) -> String {
    json!({ "mcpServers": { "own": { "command": "/usr/bin/python3", "args": ["./own.py"], "boundaries": boundaries } } })
        .to_string()
}

/// A server with the official Python SDK, `notes.py` beside the Agentfile: resources, prompts, and tools that ask whoever calls them.
pub const NOTES: &str = include_str!("../programs/notes.py");

/// The table of a package with that server as `notes`, and the SDK in `python` beside it.
pub fn notes() -> String {
    json!({ "mcpServers": { "notes": {
        "command": "/usr/bin/python3", "args": ["-B", "./notes.py"], "env": { "PYTHONPATH": "/sdk" },
        "boundaries": ["BIND ./python /sdk ro", "LIMIT open_files 256"],
    } } })
    .to_string()
}
