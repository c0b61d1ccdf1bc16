//! What a caller may say in the head of a request.

use agentrc_audit::text::printable_text;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers that are about the connection, or say how long the body is: a caller's would be read as another request.
const NOT_THE_CALLERS: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept-encoding",
];
/// Headers by which a server may take a request for another one than its method and URL, which policies look at, say it is.
const ANOTHER_REQUEST: [&str; 8] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-forwarded-uri",
];
/// One header more.
pub(super) fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let shown = printable_text(name);
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{shown}` is no header"))?;
    // Many servers read `_` as `-` (RFC 3875, section 4.1.18).
    let read = header.as_str().replace('_', "-");
    if [&NOT_THE_CALLERS[..], &ANOTHER_REQUEST].concat().contains(&read.as_str()) {
        return Err(format!("the header `{shown}` is not the caller's to say"));
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("the header `{shown}` has a value that no header can have"))?;
    match headers.insert(header, value) {
        None => Ok(()),
        Some(_) => Err(format!("the header `{shown}` is there twice")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_request_says_nothing_of_its_own_frame() {
        let of = |given: Value| {
            let mut headers = HeaderMap::new();
            for (name, value) in given.as_object().unwrap() {
                add(&mut headers, name, value.as_str().unwrap())?;
            }
            Ok::<_, String>(headers.len())
        };
        assert_eq!(of(json!({ "Accept": "text/plain", "X-One": "1" })), Ok(2));
        for headers in [
            json!({ "Host": "b.example" }),
            json!({ "content-length": "0" }),
            json!({ "Transfer-Encoding": "chunked" }),
            json!({ "X-One": "1\r\nX-Two: 2" }),
            json!({ "X-One\r\nX-Two": "2" }),
            json!({ "X-One": "1\u{0}" }),
            json!({ "": "1" }),
            json!({ "X-One": "1", "x-one": "2" }),
            json!({ "X-HTTP-Method-Override": "DELETE" }),
            json!({ "x_http_method_override": "DELETE" }),
            json!({ "X-Original-URL": "/admin" }),
        ] {
            assert!(of(headers.clone()).is_err(), "{headers}");
        }
    }
}
