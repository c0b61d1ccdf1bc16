//! A tool of a manual that is a request over HTTP: one host, and a place for each argument.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::scalar;
use crate::parse::url;
use crate::plan::{HttpTemplate, Part, Runs};
use crate::request::{is_header_value, is_json};
use crate::schema::Fault;
use crate::span::Span;
use crate::syntax::{Scheme, Word};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that say where a request goes, where it ends, or who makes it: the gateway's.
const NOT_A_TOOLS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What UTCP has of a request (1.0, "HttpCallTemplate").
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    #[serde(rename = "call_template_type")]
    _call_template_type: String,
    #[serde(rename = "name")]
    _name: Option<String>,
    http_method: Option<String>,
    url: String,
    content_type: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    body_field: Option<String>,
    header_fields: Option<Vec<String>>,
    auth: Option<Value>,
    auth_tools: Option<Value>,
}

/// The request of `template`, for arguments that are `inputs`.
///
/// # Errors
/// The first [`Fault`].
pub(super) fn read(template: Value, inputs: &Value) -> Result<Runs, Fault> {
    let template: Template = serde_json::from_value(template).map_err(|error| {
        let example = "write {\"call_template_type\": \"http\", \"http_method\": \"GET\", \"url\": \"https://api.example.com/users/{id}\"}";
        Fault::new(format!("is not a request of UTCP 1: {error}"), example)
    })?;
    if [&template.auth, &template.auth_tools].into_iter().flatten().any(|auth| !auth.is_null()) {
        return Err(Fault::new(
            "has `auth`",
            "remove it, and declare a `CRED` for the host: a value in a package is everybody's",
        ));
    }
    let method = template.http_method.unwrap_or_else(|| "GET".to_owned());
    if !METHODS.contains(&method.as_str()) {
        let method: String = method.escape_debug().take(40).collect();
        return Err(Fault::new(
            format!("has the `http_method` `{method}`"),
            format!("write one of {}", METHODS.join(", ")),
        ));
    }
    let (scheme, host, port, path) = destination(&template.url)?;
    let content_type = template.content_type.unwrap_or_else(|| "application/json".to_owned());
    if content_type.is_empty() || !is_header_value(&content_type) {
        return Err(Fault::new("has a `content_type` that is no header's", "write `application/json`"));
    }
    let mut headers = BTreeMap::new();
    for (name, value) in template.headers.unwrap_or_default() {
        let lower = header(&name)?;
        if !is_header_value(&value) || value.contains('$') {
            return Err(Fault::new(
                format!("has the header `{name}`, whose value is no fixed line of ASCII"),
                "write it as it is: neither variables nor arguments are put there",
            ));
        }
        if headers.insert(lower, value).is_some() {
            return Err(Fault::new(format!("has the header `{name}` twice"), "keep one of them"));
        }
    }
    let mut header_arguments = BTreeSet::new();
    for name in template.header_fields.unwrap_or_default() {
        let lower = header(&name)?;
        let twice = header_arguments.iter().any(|other: &String| other.eq_ignore_ascii_case(&name));
        if twice || headers.contains_key(&lower) {
            return Err(Fault::new(format!("has the header `{name}` twice"), "keep one of them"));
        }
        header_arguments.insert(name);
    }
    if template.body_field.is_some() && method == "GET" {
        return Err(Fault::new("has a `body_field`, and a GET has no body", "write another `http_method`"));
    }
    let mut http = HttpTemplate {
        method,
        scheme,
        host,
        port,
        path,
        query: BTreeSet::new(),
        headers,
        header_arguments,
        body: template.body_field,
        content_type,
    };
    places(&mut http, inputs)?;
    Ok(Runs::Http(Box::new(http)))
}

/// Scheme, host, port and path of a URL with `{name}` in its path.
fn destination(text: &str) -> Result<(String, String, u16, Vec<Part>), Fault> {
    let help =
        "write `https://host/path/{argument}`; what is in neither path, headers nor body is in the query";
    let wrong = |why: &str| Fault::new(format!("has a `url` that is not one destination: {why}"), help);
    let start = text.find("://").map_or(0, |at| at + 3);
    let slash = text.get(start..).and_then(|rest| rest.find('/')).map_or(text.len(), |at| start + at);
    let (base, path) = text.split_at_checked(slash).ok_or_else(|| wrong("it cannot be read"))?;
    let mut parts = Vec::new();
    let mut plain = base.to_owned();
    let mut rest = if path.is_empty() { "/" } else { path };
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) =
            after.split_once('}').filter(|(name, _)| !name.is_empty() && !name.contains('{'))
        else {
            return Err(wrong("it has a `{` that names no argument"));
        };
        plain.push_str(before);
        // Stands for the value, which is never a part of the path by itself.
        plain.push('x');
        parts.push(Part::Text(before.to_owned()));
        parts.push(Part::Argument(name.to_owned()));
        rest = behind;
    }
    plain.push_str(rest);
    parts.push(Part::Text(rest.to_owned()));
    parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    let pattern =
        url::parse(&Word { text: plain, span: Span::default() }).map_err(|fault| wrong(&fault.message))?;
    let scheme = match pattern.scheme {
        Scheme::Https => "https",
        Scheme::Http => "http",
        Scheme::Tcp => return Err(wrong("`tcp://` has no requests")),
    };
    if pattern.host.starts_with("*.") {
        return Err(wrong("a `*` names no one host"));
    }
    Ok((scheme.to_owned(), pattern.host, pattern.port, parts))
}

/// The name of a header that a tool may have, in lower case.
fn header(name: &str) -> Result<String, Fault> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(token) {
        let name: String = name.escape_debug().take(200).collect();
        return Err(Fault::new(
            format!("has a header `{name}`"),
            "a header's name is letters, digits and `-`",
        ));
    }
    if NOT_A_TOOLS.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err(Fault::new(
            format!("has the header `{name}`, which is not a tool's to write"),
            "remove it: `content_type` says what a body is, a `CRED` line who asks",
        ));
    }
    Ok(lower)
}

/// Gives each argument its place; what has no other is in the query.
fn places(http: &mut HttpTemplate, inputs: &Value) -> Result<(), Fault> {
    let empty = serde_json::Map::new();
    let properties = inputs.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let mut placed = BTreeSet::new();
    for part in &http.path {
        let Part::Argument(name) = part else { continue };
        scalar(inputs, name, true)?;
        placed.insert(name.as_str());
    }
    for name in &http.header_arguments {
        scalar(inputs, name, false)?;
        if !placed.insert(name) {
            return Err(twice(name));
        }
    }
    if let Some(name) = &http.body {
        let Some(schema) = properties.get(name) else {
            return Err(Fault::new(
                format!("has the body `{}`, which its `inputs` have not", name.escape_debug()),
                "write it into the `properties` of `inputs`",
            ));
        };
        if !is_json(&http.content_type) && schema.get("type").and_then(Value::as_str) != Some("string") {
            return Err(Fault::new(
                format!("has the body `{name}`, which is no text"),
                "give it the `type` `string`, or write `application/json` as `content_type`",
            ));
        }
        if !placed.insert(name) {
            return Err(twice(name));
        }
    }
    let mut query = BTreeSet::new();
    for name in properties.keys().filter(|name| !placed.contains(name.as_str())) {
        scalar(inputs, name, false)?;
        query.insert(name.clone());
    }
    http.query = query;
    Ok(())
}

fn twice(name: &str) -> Fault {
    Fault::new(format!("puts the argument `{}` in two places", name.escape_debug()), "keep one of them")
}
