//! One call of a tool from a command line: MCP's handshake, `tools/call`, and what came of it as output and exit code.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::words::printable;

/// Most bytes of arguments.
const ARGUMENTS: u64 = 1 << 20;
/// Longest answer of the broker's.
const ANSWER: u64 = 64 << 20;
/// The revision of the protocol that is spoken: the latest with a handshake.
const PROTOCOL: &str = "2025-11-25";
/// What the broker says of a refusal, and takes as words of a command line.
const REFUSED: &str = "io.agentrc/refused";
const WORDS: &str = "io.agentrc/argv";
/// Exit code: policy refuses.
const REFUSAL: u8 = 77;

/// The tool that a path below `/agentrc` stands for; `None` for the bridge itself.
pub(crate) fn tool_of(called: &OsStr) -> Option<String> {
    let path = Path::new(called);
    let name = path.file_name()?.to_str()?;
    (name != "mcp" && name != "agentrc-inside").then(|| name.to_owned())
}

/// Prints what the plan says of it.
pub(crate) fn help(called: &OsStr, tool: &str) -> Result<(), String> {
    let folder = Path::new(called).parent().filter(|folder| folder.is_absolute());
    let path = folder.unwrap_or(Path::new("/agentrc/tools")).join(format!("{tool}.help"));
    let text = std::fs::read(&path)
        .map_err(|error| format!("there is no tool `{tool}`: {}: {error}", path.display()))?;
    io::stdout().write_all(&text).map_err(|error| format!("cannot print: {error}"))
}

/// Calls `tool` with the JSON of standard input and the words of the command line.
pub(crate) fn call(tool: &str, words: Vec<OsString>) -> ExitCode {
    let (code, out, err) = match attempt(tool, words) {
        Ok(said) => said,
        Err(why) => (1, None, Some(why)),
    };
    if let Some(text) = out {
        let mut stdout = io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        if stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(end.as_bytes())).is_err() {
            return ExitCode::FAILURE;
        }
    }
    if let Some(text) = err {
        eprintln!("{}", printable(&text));
    }
    ExitCode::from(code)
}

/// Exit code, output and complaint.
type Said = (u8, Option<String>, Option<String>);

fn attempt(tool: &str, words: Vec<OsString>) -> Result<Said, String> {
    let words = words
        .into_iter()
        .map(|word| word.into_string().map_err(|word| format!("`{}` is not UTF-8", word.to_string_lossy())));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let arguments = arguments()?;
    let stream = crate::connect(crate::SOCKET)?;
    let mut broker = Broker { reader: BufReader::new(&stream), writer: &stream };
    let client = json!({ "name": "agentrc", "version": env!("CARGO_PKG_VERSION") });
    broker.ask(
        0,
        "initialize",
        &json!({ "protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client }),
    )?;
    broker.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
    let mut params = json!({ "name": tool, "arguments": arguments });
    if let Some(members) = params.as_object_mut().filter(|_| !words.is_empty()) {
        members.insert("_meta".to_owned(), json!({ WORDS: words }));
    }
    let answer = broker.ask(1, "tools/call", &params)?;
    Ok(said(&answer))
}

/// What an answer to a call comes to.
fn said(answer: &Value) -> Said {
    if let Some(error) = answer.get("error") {
        let message =
            error.get("message").and_then(Value::as_str).unwrap_or("the broker refused the message");
        return (1, None, Some(message.to_owned()));
    }
    let result = answer.get("result").unwrap_or(&Value::Null);
    let content = result.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<_> = content.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    let text = texts.join("\n");
    if result.get("isError").and_then(Value::as_bool) == Some(true) {
        let refused = result.pointer(&format!("/_meta/{}", REFUSED.replace('/', "~1")));
        let code = if refused.and_then(Value::as_bool) == Some(true) { REFUSAL } else { 1 };
        return (code, None, Some(text));
    }
    match result.get("structuredContent") {
        Some(value) => (0, Some(value.to_string()), None),
        None if texts.len() == content.len() => (0, Some(text), None),
        None => (0, Some(Value::Array(content.to_vec()).to_string()), None),
    }
}

/// The JSON object of standard input; an empty one for a terminal, and for what ends without a byte.
fn arguments() -> Result<Map<String, Value>, String> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Ok(Map::new());
    }
    let mut bytes = Vec::new();
    stdin
        .lock()
        .take(ARGUMENTS + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read the arguments: {error}"))?;
    if bytes.len() as u64 > ARGUMENTS {
        return Err(format!("the arguments have more than {ARGUMENTS} bytes"));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("the arguments must be one JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are no JSON: {error}")),
    }
}

struct Broker<'a> {
    reader: BufReader<&'a UnixStream>,
    writer: &'a UnixStream,
}

impl Broker<'_> {
    fn send(&mut self, message: &Value) -> Result<(), String> {
        let mut line = message.to_string();
        line.push('\n');
        self.writer.write_all(line.as_bytes()).map_err(|error| format!("the broker cannot be told: {error}"))
    }

    /// Sends a request, and waits for its answer; what else comes is not for this client, which said that it can nothing.
    fn ask(&mut self, id: u64, method: &str, params: &Value) -> Result<Value, String> {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        loop {
            let mut line = Vec::new();
            let read = (&mut self.reader).take(ANSWER).read_until(b'\n', &mut line);
            read.map_err(|error| format!("the broker cannot be heard: {error}"))?;
            if line.last() != Some(&b'\n') {
                return Err("the broker closed the connection".to_owned());
            }
            let answer: Value = serde_json::from_slice(&line)
                .map_err(|error| format!("the broker said what is no JSON: {error}"))?;
            if answer.get("id").and_then(Value::as_u64) == Some(id) && answer.get("method").is_none() {
                if let (0, Some(error)) = (id, answer.get("error")) {
                    return Err(format!("the broker refuses the protocol: {error}"));
                }
                return Ok(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_for_a_tool() {
        for (called, tool) in [
            ("/agentrc/tools/file_read", Some("file_read")),
            ("./memory.read", Some("memory.read")),
            ("/agentrc/bin/mcp", None),
            ("mcp", None),
            ("/", None),
        ] {
            assert_eq!(tool_of(OsStr::new(called)).as_deref(), tool, "{called}");
        }
    }

    #[test]
    fn a_result_becomes_output_and_code() {
        let text = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
        assert_eq!(said(&json!({ "result": { "content": text } })), (0, Some("a\nb".to_owned()), None));
        let both = json!({ "result": { "content": text, "structuredContent": { "x": 1 } } });
        assert_eq!(said(&both), (0, Some("{\"x\":1}".to_owned()), None));
        let failed = json!({ "result": { "content": text, "isError": true } });
        assert_eq!(said(&failed), (1, None, Some("a\nb".to_owned())));
        let refused = json!({ "result": { "content": text, "isError": true, "_meta": { "io.agentrc/refused": true } } });
        assert_eq!(said(&refused), (77, None, Some("a\nb".to_owned())));
        assert_eq!(
            said(&json!({ "error": { "code": 1, "message": "no" } })),
            (1, None, Some("no".to_owned()))
        );
        let image = json!({ "result": { "content": [{ "type": "image", "data": "" }] } });
        assert_eq!(said(&image).1.as_deref(), Some("[{\"data\":\"\",\"type\":\"image\"}]"));
    }
}
