//! `http_request`: a request to a destination of the plan's, over a connection to the gateway, which judges it as it does the agent's
//! own. Of redirects each is decided about again, as a call of its own would be.

mod headers;

use std::time::Duration;

use agentfile::plan::HttpTemplate;
use agentrc_audit::text::printable_text;
use agentrc_memory::Trust;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, HOST,
    HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use serde_json::{Map, Value, json};

use crate::approval::Question;
use crate::call::{self, Broker};
use crate::facts::{Seen, canonical_url};
use crate::judge::Verdict;
use crate::outcome::Outcome;
use crate::outward::{self, DENIED, REFUSAL};
use crate::report::Call;
use crate::request::headers::add;
use crate::tools::{Does, Tool};

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// How long it may take, unless the caller says otherwise.
const PATIENCE: u64 = 60;
/// The longest that it may say, as its schema has it.
const MOST: u64 = 600;
/// Headers that go with a redirect to another origin.
const ANYWHERE: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// What is sent.
struct Sent {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Why there is no answer.
enum Failed {
    Refused(String),
    Error(String),
}

impl Broker {
    /// Makes the request of a call, which is permitted.
    pub(crate) async fn request(&self, call: Call, tool: &Tool, request: &call::Request) -> Outcome {
        let made = match &tool.does {
            Does::Request(Some(template)) => Sent::made(template, &request.arguments),
            _ => Sent::of(&request.arguments),
        };
        let sent = match made {
            Ok(sent) => sent,
            Err(why) => return Outcome::Error(why),
        };
        let id = call.id;
        if let Err(reason) = self.reporter.intent(call, &[]).await {
            return Outcome::Error(reason);
        }
        // A parameter of a manual's tool is the tool's, whatever it is called.
        let said = match &tool.does {
            Does::Request(None) => request.arguments.get("timeout_seconds").and_then(Value::as_u64),
            _ => None,
        };
        let seconds = said.unwrap_or(PATIENCE).min(MOST);
        match tokio::time::timeout(Duration::from_secs(seconds), self.followed(id, sent, tool, request)).await
        {
            Ok(Ok(value)) => Outcome::Value(value),
            Ok(Err(Failed::Refused(why))) => Outcome::Refused(why),
            Ok(Err(Failed::Error(why))) => Outcome::Error(why),
            Err(_) => Outcome::Error(format!("it took more than {seconds} s")),
        }
    }

    /// Sends it, as the call `id`, and what its redirects ask for.
    async fn followed(
        &self,
        id: u64,
        mut sent: Sent,
        tool: &Tool,
        request: &call::Request,
    ) -> Result<Value, Failed> {
        let mut followed = 0;
        loop {
            let answer = self.exchange(&sent, request).await?;
            let Some(next) = redirect(&answer, &sent.url) else { return self.answer(answer, &sent).await };
            if followed == REDIRECTS {
                return Err(Failed::Error(format!("it redirects more than {REDIRECTS} times")));
            }
            followed += 1;
            let next = next.map_err(|why| Failed::Error(format!("it redirects to what {why}")))?;
            let hop = self.hop(&mut sent, answer.status(), next, tool, request).await?;
            self.reporter.intent(Call { id, ..hop }, &[]).await.map_err(Failed::Error)?;
        }
    }

    /// One request, and the head of its answer.
    async fn exchange(&self, sent: &Sent, request: &call::Request) -> Result<Response<Incoming>, Failed> {
        let failed = |what: &dyn std::fmt::Display| Failed::Error(printable_text(&what.to_string()));
        let uri: Uri = sent.url.parse().map_err(|error: http::uri::InvalidUri| failed(&error))?;
        let (scheme, authority) =
            uri.scheme_str().zip(uri.authority()).ok_or_else(|| failed(&"it is no URL"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let connection = match self.reporter.connect(scheme, host, port).await {
            Ok(connection) => connection,
            Err(reason) => {
                let act = format!("call {} {}", request.name, printable_text(&sent.url));
                self.reporter.denied(&act, "refused", &reason, "", request.pid).await;
                return Err(Failed::Refused(format!("`{}` is refused: {reason}", request.name)));
            }
        };
        // Before anything of the answer can be known.
        self.give(Trust::Network);
        let mut sender = outward::ready(connection).await.map_err(|why| failed(&why))?;
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::builder().method(sent.method.clone()).uri(target);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&sent.headers);
            headers.insert(HOST, HeaderValue::from_str(authority.as_str()).map_err(|error| failed(&error))?);
        }
        let request = request.body(Full::new(sent.body.clone())).map_err(|error| failed(&error))?;
        sender.send_request(request).await.map_err(|error| failed(&error))
    }

    /// Whether a redirect may be followed; then `sent` is what it asks for, and this is to be on record before it is sent.
    async fn hop(
        &self,
        sent: &mut Sent,
        status: StatusCode,
        (url, host): (String, String),
        tool: &Tool,
        request: &call::Request,
    ) -> Result<Call, Failed> {
        let becomes_get = match status {
            StatusCode::SEE_OTHER => sent.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => sent.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            sent.method = Method::GET;
            sent.body = Bytes::new();
            // What was said of the body goes with it.
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
                sent.headers.remove(name);
            }
        }
        if origin(&sent.url) != origin(&url) {
            let kept =
                ANYWHERE.iter().filter_map(|name| Some((name.clone(), sent.headers.get(name)?.clone())));
            sent.headers = kept.collect();
        }
        let method = sent.method.as_str();
        let mut given = request.arguments.clone();
        if tool.does == Does::Request(None) {
            given.insert("url".to_owned(), url.clone().into());
            given.insert("method".to_owned(), method.into());
        }
        let arguments = call::text(&given);
        let seen = Seen { url: url.clone(), host, method: method.to_owned(), path: String::new() };
        let act = format!("call {} {}", request.name, printable_text(&url));
        let question = Question {
            name: &request.name,
            tool,
            given: &given,
            arguments: &arguments,
            seen: std::slice::from_ref(&seen),
            act: &act,
            memory: None,
            pid: request.pid,
            follows: true,
        };
        let Verdict { permitted, mut rule, mut reason, approvals } = self.judged(&question);
        if permitted {
            let Some(approval) = approvals.first() else {
                sent.url = url;
                return Ok(call::recorded(&act, &arguments, rule, request.pid));
            };
            reason = "a person must approve it, and is asked about a call, not about a redirect".to_owned();
            rule = format!("{} [{}]", approval.id, approval.origin);
        }
        let reason = format!("it redirects to {}, and {reason}", printable_text(&url));
        self.reporter.denied(&act, "refused", &reason, &rule, request.pid).await;
        let line = if rule.is_empty() { String::new() } else { format!(" ({rule})") };
        Err(Failed::Refused(format!("`{}` is refused: {reason}{line}", request.name)))
    }

    /// An answer as a result.
    async fn answer(&self, answer: Response<Incoming>, sent: &Sent) -> Result<Value, Failed> {
        let (parts, mut body) = answer.into_parts();
        let denied = parts.headers.contains_key(DENIED);
        // What the gateway says is short, and is not to be taken for too much of the server's.
        let most = if denied { REFUSAL } else { self.limits.output() };
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failed::Error(printable_text(&error.to_string())))?;
            if let Some(data) = frame.data_ref() {
                read.extend_from_slice(data);
            }
            if read.len() > most {
                return Err(Failed::Error(format!("the answer has more than {most} bytes: ask for less")));
            }
        }
        if denied {
            let said = printable_text(&outward::words(&read));
            return Err(match parts.status {
                StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => Failed::Refused(said),
                _ => Failed::Error(said),
            });
        }
        let mut headers = Map::new();
        for (name, value) in &parts.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            match headers.get_mut(name.as_str()) {
                // RFC 9110, section 5.3.
                Some(Value::String(said)) => said.push_str(&format!(", {value}")),
                _ => drop(headers.insert(name.as_str().to_owned(), value.into())),
            }
        }
        let (body, encoding) = match String::from_utf8(read) {
            Ok(text) => (text, "utf-8"),
            Err(bytes) => (STANDARD.encode(bytes.as_bytes()), "base64"),
        };
        let status = parts.status.as_u16();
        let value = json!({ "status": status, "url": sent.url, "headers": headers, "body": body, "encoding": encoding });
        if value.to_string().len() > most {
            return Err(Failed::Error(format!("the result has more than {most} bytes: ask for less")));
        }
        Ok(value)
    }
}

impl Sent {
    /// What a manual's template makes of the arguments.
    fn made(template: &HttpTemplate, arguments: &Map<String, Value>) -> Result<Self, String> {
        let made = agentfile::request::request(template, arguments)?;
        let (url, _) = canonical_url(&made.url).map_err(|why| format!("its URL {why}"))?;
        let method = Method::from_bytes(made.method.as_bytes()).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        for (name, value) in &made.headers {
            add(&mut headers, name, value)?;
        }
        Ok(Self { method, url, headers, body: made.body.unwrap_or_default().into() })
    }

    /// What the arguments of a call ask for; they fit their schema.
    fn of(arguments: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        let method = Method::from_bytes(text("method").as_bytes()).map_err(|error| error.to_string())?;
        let body = match text("encoding") {
            "base64" => {
                STANDARD.decode(text("body")).map_err(|error| format!("`body` is no base64: {error}"))?
            }
            _ => text("body").to_owned().into_bytes(),
        };
        let mut headers = HeaderMap::new();
        let given = arguments.get("headers").and_then(Value::as_object);
        for (name, value) in given.into_iter().flatten() {
            add(&mut headers, name, value.as_str().unwrap_or_default())?;
        }
        Ok(Self { method, url: text("url").to_owned(), headers, body: body.into() })
    }
}

/// Scheme, host and port of a URL in its one form.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| start + at);
    url.get(..end).unwrap_or(url)
}

/// Where an answer to a request for `url` leads: the URL in its one form, and its host. `None`: nowhere.
fn redirect(answer: &Response<Incoming>, url: &str) -> Option<Result<(String, String), &'static str>> {
    let follows = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !follows.contains(&answer.status()) || answer.headers().contains_key(DENIED) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?;
    let Ok(location) = location.to_str() else { return Some(Err("is no URL")) };
    Some(canonical_url(&joined(url, location)))
}

/// RFC 3986, section 5.2, without dot segments: those have no one form, and are refused.
fn joined(base: &str, reference: &str) -> String {
    let reference = reference.split('#').next().unwrap_or_default();
    let scheme = base.split("://").next().unwrap_or_default();
    let is_absolute = reference.split(['/', '?']).next().is_some_and(|first| first.contains(':'));
    if is_absolute {
        return reference.to_owned();
    }
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}");
    }
    let origin = origin(base);
    if reference.starts_with('/') {
        return format!("{origin}{reference}");
    }
    let path = base.get(origin.len()..).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    match reference {
        "" => base.to_owned(),
        _ if reference.starts_with('?') => format!("{origin}{path}{reference}"),
        _ => {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{origin}{folder}/{reference}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_beside_what_it_came_from() {
        let base = "https://a.example:8443/b/c?d";
        for (reference, wanted) in [
            ("http://x.example/y", "http://x.example/y"),
            ("//x.example/y", "https://x.example/y"),
            ("/y?z#f", "https://a.example:8443/y?z"),
            ("y", "https://a.example:8443/b/y"),
            ("?q", "https://a.example:8443/b/c?q"),
            ("", base),
            ("javascript:x", "javascript:x"),
        ] {
            assert_eq!(joined(base, reference), wanted, "{reference}");
        }
        assert_eq!(joined("https://a.example", "y"), "https://a.example/y");
        assert_eq!(origin("https://a.example?q"), "https://a.example");
        // What leaves the folder has no one form.
        assert!(canonical_url(&joined(base, "../y")).is_err());
    }
}
