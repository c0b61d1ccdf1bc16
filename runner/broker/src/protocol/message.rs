//! Bytes as a message: refused when two readers could understand two things.

use rmcp::RoleServer;
use rmcp::service::RxJsonRpcMessage;
use serde_json::{Value, json};

// JSON-RPC 2.0, section 5.1.
const PARSE_ERROR: i32 = -32700;
pub(super) const INVALID_REQUEST: i32 = -32600;

/// The message, or what is to be answered.
pub(crate) fn read(bytes: &[u8]) -> Result<RxJsonRpcMessage<RoleServer>, Vec<u8>> {
    let value = agentfile::json::read(bytes)
        .map_err(|error| refusal(PARSE_ERROR, &error.to_string(), &Value::Null))?;
    let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
    let invalid = |message: &str| refusal(INVALID_REQUEST, message, &id);
    if !value.is_object() {
        return Err(invalid("a message is one JSON object; batches are not taken"));
    }
    if value.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("`jsonrpc` must be \"2.0\""));
    }
    serde_json::from_value::<RxJsonRpcMessage<RoleServer>>(value).map_err(|error| invalid(&error.to_string()))
}

/// An error that answers `id`.
pub(super) fn refusal(code: i32, message: &str, id: &Value) -> Vec<u8> {
    let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
    error.to_string().into_bytes()
}
