//! One session with the broker: MCP over a unix socket, one JSON-RPC message a line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

/// Longest message of the broker's, in bytes.
const LONGEST: u64 = 64 << 20;
/// The revision that is asked for: the latest with a handshake. The broker may answer with an older one, and what is used here is
/// in all of them.
const PROTOCOL: &str = "2025-11-25";
const PROTOCOLS: [&str; 4] = [PROTOCOL, "2025-06-18", "2025-03-26", "2024-11-05"];
/// JSON-RPC 2.0, section 5.1.
const METHOD_NOT_FOUND: i32 = -32601;

/// A session whose handshake is done.
pub(crate) struct Session {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    last: u64,
}

/// Why a question has no result.
pub(crate) enum Failure {
    /// The broker answered with an error. Policy is the reason when its `data` has `"refused": true`.
    Refused { message: String, by_policy: bool },
    /// It is gone, or does not keep to the protocol.
    Broken(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

/// Connects to the broker.
///
/// # Errors
/// There is none, in words.
pub(crate) fn connect(path: &str) -> Result<UnixStream, String> {
    UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "`{path}`: this sandbox has no broker: nothing in its Agentfile declares what would need one, such as a TOOL line"
        ),
        io::ErrorKind::ConnectionRefused => format!("`{path}`: the broker of this sandbox has ended: {error}"),
        _ => format!("`{path}`: this sandbox has no broker that can be reached: {error}"),
    })
}

impl Session {
    /// Connects, and does the handshake.
    ///
    /// # Errors
    /// There is no broker, or it does not agree.
    pub(crate) fn open(path: &str) -> Result<Self, Failure> {
        let writer = connect(path)?;
        let reader = writer.try_clone().map_err(|error| format!("cannot use the socket: {error}"))?;
        let mut session = Self { reader: BufReader::new(reader), writer, last: 0 };
        let client = json!({ "name": "agentrc", "version": env!("CARGO_PKG_VERSION") });
        let hello = json!({ "protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client });
        let answer = session.ask("initialize", &hello)?;
        let version = answer.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        if !PROTOCOLS.contains(&version) {
            return Err(format!("the broker speaks the protocol `{version}`, which is not known here").into());
        }
        session.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
        Ok(session)
    }

    /// Sends a request, and waits for its result. What else comes is not for this client, which said that it
    /// can nothing: a notification is passed over, a request is answered so.
    ///
    /// # Errors
    /// The broker's, or that it is gone.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Failure> {
        self.last += 1;
        let id = self.last;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        loop {
            let mut message = self.receive()?;
            if let Some(asked) = message.get("method") {
                let (asked, theirs) = (asked.as_str().unwrap_or_default(), message.get("id"));
                if let Some(theirs) = theirs.filter(|id| id.is_string() || id.is_number()) {
                    self.send(&reply(theirs, asked))?;
                }
                continue;
            }
            let error = message.get_mut("error").map(Value::take);
            // An error without an id is about a message that was not understood: with one question open, about this.
            let ours = match message.get("id") {
                Some(Value::Null) | None => error.is_some(),
                Some(theirs) => theirs.as_u64() == Some(id),
            };
            if !ours {
                continue;
            }
            return match (error, message.get_mut("result").map(Value::take)) {
                (Some(error), _) => Err(refused(&error)),
                (None, Some(result)) => Ok(result),
                (None, None) => {
                    Err("the broker's answer has neither a result nor an error".to_owned().into())
                }
            };
        }
    }

    fn send(&mut self, message: &Value) -> Result<(), String> {
        let mut line = message.to_string();
        line.push('\n');
        self.writer.write_all(line.as_bytes()).map_err(|error| format!("the broker does not hear: {error}"))
    }

    /// The next message.
    fn receive(&mut self) -> Result<Value, String> {
        let mut line = Vec::new();
        (&mut self.reader)
            .take(LONGEST)
            .read_until(b'\n', &mut line)
            .map_err(|error| format!("the broker cannot be heard: {error}"))?;
        if line.last() != Some(&b'\n') {
            let cut = line.len() as u64 == LONGEST;
            let why = if cut { "says more in one message than is taken" } else { "closed the connection" };
            return Err(format!("the broker {why}"));
        }
        let message: Value = serde_json::from_slice(&line)
            .map_err(|error| format!("the broker said what is no JSON: {error}"))?;
        if message.is_object() { Ok(message) } else { Err("the broker said what is no message".to_owned()) }
    }
}

/// The answer to a request of the broker's: `ping` must be answered (MCP 2025-11-25, "Ping").
fn reply(id: &Value, method: &str) -> Value {
    if method == "ping" {
        return json!({ "jsonrpc": "2.0", "id": id, "result": {} });
    }
    let error = json!({ "code": METHOD_NOT_FOUND, "message": "method not found" });
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

fn refused(error: &Value) -> Failure {
    let message = error.get("message").and_then(Value::as_str).unwrap_or("the broker refuses without a word");
    let by_policy = error.pointer("/data/refused") == Some(&Value::Bool(true));
    Failure::Refused { message: message.to_owned(), by_policy }
}
