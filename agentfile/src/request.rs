//! From a template of the plan and the arguments of a call to the request that is made. A value stays in its place: in a path it is
//! one part, in a query one value, in a header one line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::json;
use crate::plan::{HttpTemplate, Part, words};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its URL, in its plain form.
    pub url: String,
    /// Its headers, by names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Option<Vec<u8>>,
}

/// The request that `template` is with `arguments`, which its schema takes.
///
/// # Errors
/// A value does not fit into its place: what to tell the caller.
pub fn request(template: &HttpTemplate, arguments: &Map<String, Value>) -> Result<Request, String> {
    let known = |name: &str| {
        template.query.contains(name)
            || template.header_arguments.contains(name)
            || template.body.as_deref() == Some(name)
            || template.path.iter().any(|part| matches!(part, Part::Argument(argument) if argument == name))
    };
    if let Some(unknown) = arguments.keys().find(|name| !known(name)) {
        return Err(format!("there is no argument `{unknown}`"));
    }
    let mut url = format!("{}://{}", template.scheme, authority(template));
    url.push_str(&path(&template.path, arguments)?);
    let mut mark = '?';
    for name in &template.query {
        let Some(value) = arguments.get(name) else { continue };
        let (name, value) = (encoded(name), encoded(&text(name, value)?));
        // A String takes everything.
        let _ = write!(url, "{mark}{name}={value}");
        mark = '&';
    }
    let mut headers = template.headers.clone();
    for name in &template.header_arguments {
        let Some(value) = arguments.get(name) else { continue };
        let value = text(name, value)?;
        if !is_header_value(&value) {
            return Err(format!(
                "`{name}` is not the value of a header: one line of ASCII, without a space at its ends"
            ));
        }
        headers.insert(name.to_ascii_lowercase(), value);
    }
    let body = match template.body.as_ref().and_then(|name| Some((name, arguments.get(name)?))) {
        None => None,
        Some((name, value)) => {
            headers.insert("content-type".to_owned(), template.content_type.clone());
            Some(body(name, value, &template.content_type)?)
        }
    };
    Ok(Request { method: template.method.clone(), url, headers, body })
}

/// Host and port, which is left out where it is the scheme's.
fn authority(template: &HttpTemplate) -> String {
    let usual = matches!((template.scheme.as_str(), template.port), ("https", 443) | ("http", 80));
    let whole = words::authority(&template.host, template.port);
    let host = whole.rsplit_once(':').map_or(whole.as_str(), |(host, _)| host);
    if usual { host.to_owned() } else { whole }
}

/// The path: no value makes another part of it, or leads out of one.
fn path(parts: &[Part], arguments: &Map<String, Value>) -> Result<String, String> {
    let mut path = String::new();
    for part in parts {
        match part {
            Part::Text(text) => path.push_str(text),
            Part::Argument(name) => {
                let value = arguments.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
                let value = text(name, value)?;
                // Encoded they would be what some servers decode before they look.
                if value.is_empty() || value.contains(['/', '\\', '%']) || value.chars().any(char::is_control)
                {
                    return Err(format!(
                        "`{name}` is not one part of a path: it is empty, or has `/`, `\\`, `%` or a control character"
                    ));
                }
                path.push_str(&encoded(&value));
            }
        }
    }
    if path.split('/').any(|part| part == "." || part == "..") {
        return Err("the arguments make a `.` or `..` of a part of the path".to_owned());
    }
    Ok(path)
}

fn body(name: &str, value: &Value, content_type: &str) -> Result<Vec<u8>, String> {
    if is_json(content_type) {
        return Ok(json::sorted(value).to_string().into_bytes());
    }
    value.as_str().map(|text| text.as_bytes().to_vec()).ok_or_else(|| format!("`{name}` is no text"))
}

/// Whether a body of that type is JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

/// Whether `value` may be a header's: visible ASCII, with spaces and tabs between (RFC 9110, 5.5).
pub(crate) fn is_header_value(value: &str) -> bool {
    value.trim() == value && value.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'))
}

/// One value, as it is written in a URL or header.
fn text(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(format!("`{name}` is neither a text nor a number nor a truth")),
    }
}

/// Everything encoded that is not unreserved (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> HttpTemplate {
        HttpTemplate {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            host: "api.example.com".to_owned(),
            port: 443,
            path: vec![
                Part::Text("/users/".to_owned()),
                Part::Argument("id".to_owned()),
                Part::Text("/posts".to_owned()),
            ],
            query: ["q", "page"].map(str::to_owned).into(),
            headers: [("accept".to_owned(), "application/json".to_owned())].into(),
            header_arguments: ["X-Trace".to_owned()].into(),
            body: Some("post".to_owned()),
            content_type: "application/json".to_owned(),
        }
    }

    fn made(arguments: &Value) -> Result<Request, String> {
        request(&template(), arguments.as_object().unwrap())
    }

    #[test]
    fn each_argument_is_in_its_place() {
        let request = made(&json!({"id": "é b", "q": "a&b=c#d +%", "page": 2, "X-Trace": "t 1", "post": {"b": 1, "a": [null]}})).unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(
            request.url,
            "https://api.example.com/users/%C3%A9%20b/posts?page=2&q=a%26b%3Dc%23d%20%2B%25"
        );
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            headers,
            [("accept", "application/json"), ("content-type", "application/json"), ("x-trace", "t 1")]
        );
        assert_eq!(request.body.unwrap(), br#"{"a":[null],"b":1}"#);
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let request = made(&json!({"id": 7})).unwrap();
        assert_eq!((request.url.as_str(), request.body), ("https://api.example.com/users/7/posts", None));
        assert!(!request.headers.contains_key("content-type"));
        assert!(made(&json!({})).unwrap_err().contains("missing"));
        assert!(made(&json!({"id": "a", "other": 1})).unwrap_err().contains("no argument `other`"));
    }

    #[test]
    fn no_value_leads_to_another_path() {
        for id in ["", ".", "..", "a/b", "../x", "a\\b", "%2e%2e", "%2f", "a\nb", "\0"] {
            assert!(made(&json!({ "id": id })).is_err(), "{id:?}");
        }
        let request = made(&json!({"id": "a?b#c;d@e:f"})).unwrap();
        assert_eq!(request.url, "https://api.example.com/users/a%3Fb%23c%3Bd%40e%3Af/posts");
        // Two values that are one part.
        let mut template = template();
        template.path =
            vec![Part::Text("/".to_owned()), Part::Argument("a".to_owned()), Part::Argument("b".to_owned())];
        assert!(request_of(&template, &json!({"a": ".", "b": "."})).unwrap_err().contains("`..`"));
    }

    fn request_of(template: &HttpTemplate, arguments: &Value) -> Result<Request, String> {
        request(template, arguments.as_object().unwrap())
    }

    #[test]
    fn no_value_is_another_header() {
        for value in ["a\r\nX: y", "a\nb", "a\0", "é", " a", "a\t", "\u{7f}"] {
            assert!(
                made(&json!({"id": 1, "X-Trace": value})).unwrap_err().contains("`X-Trace`"),
                "{value:?}"
            );
        }
        for value in [json!([1]), json!({}), json!(null)] {
            assert!(made(&json!({"id": 1, "X-Trace": value})).is_err());
            assert!(made(&json!({"id": 1, "q": value})).is_err());
            assert!(made(&json!({"id": value})).is_err());
        }
    }

    #[test]
    fn a_body_that_is_no_json_is_a_text() {
        let mut template = template();
        template.content_type = "text/plain".to_owned();
        assert_eq!(
            request_of(&template, &json!({"id": 1, "post": "a\r\nb"})).unwrap().body.unwrap(),
            b"a\r\nb"
        );
        assert!(request_of(&template, &json!({"id": 1, "post": {}})).unwrap_err().contains("no text"));
    }

    #[test]
    fn a_port_is_written_where_it_is_not_the_schemes() {
        let mut template = template();
        for (scheme, host, port, url) in [
            ("http", "h.example", 80, "http://h.example/users/1/posts"),
            ("http", "h.example", 443, "http://h.example:443/users/1/posts"),
            ("https", "::1", 443, "https://[::1]/users/1/posts"),
            ("https", "::1", 8443, "https://[::1]:8443/users/1/posts"),
        ] {
            (template.scheme, template.host, template.port) = (scheme.to_owned(), host.to_owned(), port);
            assert_eq!(request_of(&template, &json!({"id": 1})).unwrap().url, url);
        }
    }
}
