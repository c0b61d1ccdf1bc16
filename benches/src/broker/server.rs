//! An MCP server that does nothing, over standard input and output: what a call of one costs is then the way to it.

use std::io::{BufRead, Write};

/// `server`: answers until its standard input ends.
pub(crate) fn run() -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(failed)?;
        let message: serde_json::Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let Some(id) = message.get("id") else { continue };
        let result = match message.get("method").and_then(|method| method.as_str()) {
            Some("initialize") => {
                let version = message.pointer("/params/protocolVersion").cloned().unwrap_or_default();
                serde_json::json!({
                    "protocolVersion": version, "capabilities": {"tools": {}},
                    "serverInfo": {"name": "bench", "version": "1"},
                })
            }
            Some("tools/list") => serde_json::json!({ "tools": [
                {"name": "act", "description": "Does nothing.", "inputSchema": {"type": "object"}},
            ] }),
            _ => serde_json::json!({ "content": [{"type": "text", "text": "done"}] }),
        };
        let answer = serde_json::json!({ "jsonrpc": "2.0", "id": id, "result": result });
        writeln!(stdout, "{answer}").map_err(failed)?;
        stdout.flush().map_err(failed)?;
    }
    Ok(())
}
