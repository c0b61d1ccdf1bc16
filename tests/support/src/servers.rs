//! An MCP server of the tests' own, that does what no library lets it.

use serde_json::json;

/// Its code, with what is left of the protocol. What is at `MARK` runs in a call, with `a` for its arguments and `r` for its result.
pub const SERVER: &str = include_str!("../programs/server.py");

/// The table of a package with that server as `own`, which is `own.py` beside it.
pub fn table(boundaries: &[&str]) -> String {
    json!({ "mcpServers": { "own": { "command": "/usr/bin/python3", "args": ["./own.py"], "boundaries": boundaries } } })
        .to_string()
}
