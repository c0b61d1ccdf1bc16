//! An MCP server over streamable HTTP, at `/mcp` of the world's servers: without sessions and with JSON, unless a file that the test put
//! among the served ones says otherwise.
//!
//! * `mcp-description`: how the tool `act` is described;
//! * `mcp-session`: the session that is known at present, as of when a request comes;
//! * `mcp-events`: the answers are events;
//! * `mcp-flighty`: it asks something before it lists its tools, and takes the answer for the end.

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::servers::Server;

const SESSION: &str = "mcp-session-id";

/// What is answered to a message.
pub(super) fn answer(server: &Server, parts: &Parts, body: &[u8]) -> Response<Bytes> {
    let served = |name: &str| std::fs::read_to_string(server.repositories.folder.join(name)).ok();
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let flighty = served("mcp-flighty").is_some();
    if flighty && said.get("method").is_none() {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let method = said["method"].as_str().unwrap_or_default();
    let session = served("mcp-session");
    let known = session.as_ref().is_none_or(|session| {
        parts.headers.get(SESSION).is_some_and(|sent| sent.as_bytes() == session.as_bytes())
    });
    if method != "initialize" && !known {
        return status(StatusCode::NOT_FOUND);
    }
    let result = match method {
        "initialize" => json!({
            "protocolVersion": said["params"]["protocolVersion"], "capabilities": { "tools": {} },
            "serverInfo": { "name": "world", "version": "1" },
        }),
        "tools/list" => json!({ "tools": [{
            "name": "act", "description": served("mcp-description").unwrap_or_else(|| "Acts.".to_owned()),
            "inputSchema": { "type": "object", "properties": { "path": { "type": "string" } } },
        }] }),
        "tools/call" => {
            let sent =
                parts.headers.get("authorization").map(|sent| String::from_utf8_lossy(sent.as_bytes()));
            let text = format!("acted on {}, asked with {sent:?}", said["params"]["arguments"]);
            json!({ "content": [{ "type": "text", "text": text }] })
        }
        _ => return status(StatusCode::ACCEPTED),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": said["id"], "result": result }).to_string();
    let (kind, body) = match served("mcp-events") {
        _ if flighty && method == "tools/list" => {
            let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
            ("text/event-stream", format!("data: {ping}\n\ndata: {answer}\n\n"))
        }
        Some(_) => ("text/event-stream", format!(": hello\n\ndata: {answer}\n\n")),
        None => ("application/json", answer),
    };
    let mut response = Response::new(Bytes::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(session) = session.filter(|_| method == "initialize") {
        response.headers_mut().insert(SESSION, HeaderValue::from_str(&session).expect("a session"));
    }
    response
}

fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
