//! What is in a request's head: whether it is for the broker at all, and what it says of the message that follows.
//!
//! MCP 2025-11-25 and 2026-07-28, "Streamable HTTP"; RFC 9110 §7.2 (Host), §12.5.1 (Accept); RFC 6454 (Origin).

use agentfile::plan::inside::{BROKER, BROKER_PATH, BROKER_PORT};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use rmcp::model::{ClientRequest, ErrorCode, GetMeta, JsonRpcRequest, ProtocolVersion};
use serde_json::Value;

use super::super::message::{INVALID_REQUEST, refusal};

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Why a request has no answer of the protocol's.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) reason: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// Checks what a request is for, and in which form.
///
/// # Errors
/// 403 for another host, or when a page of another origin has it sent (DNS rebinding); 404, 405, 415, 406.
pub(super) fn judge(parts: &Parts) -> Result<(), Refused> {
    let host = one(&parts.headers, &HOST)?;
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if !host.is_some_and(is_ours) || !authority.is_none_or(is_ours) {
        return Err(Refused::new(StatusCode::FORBIDDEN, format!("`Host` must be `{BROKER}`")));
    }
    let scheme = parts.uri.scheme_str().is_none_or(|scheme| scheme == "http");
    let origin = one(&parts.headers, &ORIGIN)?;
    if !scheme || !origin.is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_ours)) {
        let reason = format!("`Origin` must be `http://{BROKER}`, or not be there");
        return Err(Refused::new(StatusCode::FORBIDDEN, reason));
    }
    if parts.uri.path() != BROKER_PATH || parts.uri.query().is_some() {
        let reason = format!("there is `http://{BROKER}{BROKER_PATH}`, and nothing else");
        return Err(Refused::new(StatusCode::NOT_FOUND, reason));
    }
    if parts.method != Method::POST {
        let reason = "a message is sent by POST; there are no streams and no sessions";
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, reason));
    }
    let kind = one(&parts.headers, &CONTENT_TYPE)?.and_then(|kind| kind.split(';').next());
    if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        let reason = "`Content-Type` must be `application/json`";
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    if !takes_json(&parts.headers) {
        let reason = "the answer is `application/json`, which `Accept` must have";
        return Err(Refused::new(StatusCode::NOT_ACCEPTABLE, reason));
    }
    Ok(())
}

/// The value of a field that may be there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let bad = |what| Refused::new(StatusCode::BAD_REQUEST, format!("`{name}` {what}"));
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("is there more than once"));
    }
    value.to_str().map(Some).map_err(|_| bad("is no text"))
}

/// Whether `HOST[:PORT]` is the broker's.
fn is_ours(authority: &str) -> bool {
    let host = authority.strip_suffix(&format!(":{BROKER_PORT}")).unwrap_or(authority);
    host.eq_ignore_ascii_case(BROKER)
}

fn takes_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let json = ["application/json", "application/*", "*/*"];
        let never = |part: &str| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.bytes().all(|byte| matches!(byte, b'0' | b'.')))
        };
        json.iter().any(|one| range.eq_ignore_ascii_case(one)) && !parts.any(never)
    })
}

/// The revision that the head names. One that is not known is an answer of the protocol's where the message says the same.
///
/// # Errors
/// 400.
pub(super) fn version(
    headers: &HeaderMap,
    stated: Option<&ProtocolVersion>,
) -> Result<Option<ProtocolVersion>, Refused> {
    let Some(named) = one(headers, &VERSION)? else { return Ok(None) };
    let known = ProtocolVersion::KNOWN_VERSIONS.iter().find(|known| known.as_str() == named);
    match known.or(stated.filter(|stated| stated.as_str() == named)) {
        Some(version) => Ok(Some(version.clone())),
        None => {
            let reason = "`MCP-Protocol-Version` is no revision that is spoken here";
            Err(Refused::new(StatusCode::BAD_REQUEST, reason))
        }
    }
}

/// Checks that the head says of the message what is in it. The broker needs none of that; but what others on the way would go by
/// must not be something else.
///
/// # Errors
/// The message's answer.
pub(super) fn agrees(
    headers: &HeaderMap,
    version: Option<&ProtocolVersion>,
    request: &JsonRpcRequest<ClientRequest>,
) -> Result<(), Vec<u8>> {
    let id = serde_json::to_value(&request.id).unwrap_or_default();
    let refuse = |code: i32, reason: &str| Err(refusal(code, reason, &id));
    let mismatch = |reason: &str| refuse(ErrorCode::HEADER_MISMATCH.0, reason);
    if let ClientRequest::InitializeRequest(greeting) = &request.request {
        return match version {
            Some(version) if *version != greeting.params.protocol_version => {
                refuse(INVALID_REQUEST, "`MCP-Protocol-Version` is not what the message asks for")
            }
            _ => Ok(()),
        };
    }
    let meta = request.request.get_meta();
    let alone = version.is_some_and(|version| !version.has_initialize());
    match meta.protocol_version() {
        Some(stated) if Some(&stated) != version => {
            return mismatch("`MCP-Protocol-Version` is not what the message says");
        }
        None if alone || matches!(request.request, ClientRequest::DiscoverRequest(_)) => {
            let reason = "`_meta` lacks `io.modelcontextprotocol/protocolVersion`";
            return refuse(ErrorCode::INVALID_PARAMS.0, reason);
        }
        _ => {}
    }
    if !alone {
        return Ok(());
    }
    let message = serde_json::to_value(&request.request).unwrap_or_default();
    let method = message.get("method").and_then(Value::as_str).unwrap_or_default();
    if one(headers, &METHOD).ok().flatten() != Some(method) {
        return mismatch("`Mcp-Method` is not the message's `method`");
    }
    let name = message.pointer("/params/name").and_then(Value::as_str).filter(|_| method == "tools/call");
    let Some(name) = name else { return Ok(()) };
    let named = one(headers, &NAME).ok().flatten().and_then(plain);
    if named.as_deref() == Some(name) { Ok(()) } else { mismatch("`Mcp-Name` is not the tool's name") }
}

/// A value that may be in base64, because not every text is a field's value.
fn plain(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|value| value.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn judged(target: &str, method: &str, fields: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        judge(&parts).map_or_else(|refused| refused.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_request_is_for_the_broker_and_no_page_of_others_sends_it() {
        let with = |host: &str, more: &[(&'static str, &str)]| {
            let mut fields = vec![("host", host), ("content-type", "application/json; charset=utf-8")];
            fields.extend(more);
            judged("/mcp", "POST", &fields)
        };
        assert_eq!(with("agentrc.internal", &[]), 200);
        assert_eq!(with("AGENTRC.internal:80", &[("origin", "http://agentrc.internal")]), 200);
        for host in [
            "",
            "localhost",
            "agentrc.internal.",
            "agentrc.internal:8080",
            "x.agentrc.internal",
            "a@agentrc.internal",
        ] {
            assert_eq!(with(host, &[]), 403, "{host}");
        }
        for origin in
            ["null", "https://agentrc.internal", "http://agentrc.internal.example", "http://evil.example", ""]
        {
            assert_eq!(with("agentrc.internal", &[("origin", origin)]), 403, "{origin}");
        }
        assert_eq!(with("agentrc.internal", &[("host", "agentrc.internal")]), 400);
        let json = ("content-type", "application/json");
        let host = ("host", "agentrc.internal");
        assert_eq!(judged("/mcp", "POST", &[json]), 403);
        assert_eq!(judged("http://agentrc.internal/mcp", "POST", &[host, json]), 200);
        assert_eq!(judged("http://evil.example/mcp", "POST", &[host, json]), 403);
        assert_eq!(judged("https://agentrc.internal/mcp", "POST", &[host, json]), 403);
        for target in ["/", "/mcp/", "/mcp?x", "//mcp", "/MCP", "/%6dcp", "/x/../mcp"] {
            assert_eq!(judged(target, "POST", &[host, json]), 404, "{target}");
        }
        for method in ["GET", "DELETE", "PUT", "OPTIONS", "post"] {
            assert_eq!(judged("/mcp", method, &[host, json]), 405, "{method}");
        }
        assert_eq!(judged("/mcp", "POST", &[host]), 415);
        assert_eq!(judged("/mcp", "POST", &[host, ("content-type", "text/plain")]), 415);
        for (accept, wanted) in [
            ("application/json, text/event-stream", 200),
            ("*/*", 200),
            ("text/html, application/*;q=0.1", 200),
            ("text/event-stream", 406),
            ("application/json;q=0.0", 406),
        ] {
            assert_eq!(judged("/mcp", "POST", &[host, json, ("accept", accept)]), wanted, "{accept}");
        }
    }

    #[test]
    fn what_the_head_says_of_the_message_is_so() {
        let agree = |version: &str, fields: &[(&str, &str)], message: Value| {
            let mut headers = HeaderMap::new();
            headers.insert(VERSION, version.parse().unwrap());
            for (name, value) in fields {
                headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            let request: JsonRpcRequest<ClientRequest> = serde_json::from_value(message).unwrap();
            let stated = request.request.get_meta().protocol_version();
            let Ok(version) = self::version(&headers, stated.as_ref()) else { return false };
            agrees(&headers, version.as_ref(), &request).is_ok()
        };
        let call = |meta: Value| {
            let params = serde_json::json!({ "name": "f\u{fc}r", "arguments": {}, "_meta": meta });
            serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
        };
        let new = serde_json::json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
        let method = ("mcp-method", "tools/call");
        assert!(agree("2025-11-25", &[], call(serde_json::json!({}))));
        assert!(agree("2026-07-28", &[method, ("mcp-name", "=?base64?ZsO8cg==?=")], call(new.clone())));
        assert!(!agree("2026-07-28", &[method, ("mcp-name", "other")], call(new.clone())));
        assert!(!agree("2026-07-28", &[method], call(new.clone())));
        assert!(!agree("2026-07-28", &[("mcp-name", "=?base64?ZsO8cg==?=")], call(new.clone())));
        assert!(!agree("2025-11-25", &[method], call(new)), "another revision");
        assert!(!agree("2026-07-28", &[method], call(serde_json::json!({}))), "no revision");
        assert!(!agree("1999-01-01", &[], call(serde_json::json!({}))), "an unknown one");
    }
}
