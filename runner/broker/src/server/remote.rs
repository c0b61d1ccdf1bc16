//! MCP over streamable HTTP, the client's side: each message is a request of its own, over a connection of its own to the gateway,
//! which judges it as every other. What comes back is bounded, and read as strictly as what an agent writes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agentfile::json;
use agentrc_audit::text::printable_text;
use agentrc_service::channel::cut;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use rmcp::RoleClient;
use rmcp::model::ErrorCode;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::Why;
use super::events::{Events, LONGEST};
use super::place::Place;
use crate::outward::{self, DENIED, REFUSAL};
use crate::reporter::Reporter;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// What a request is answered with whose session the server knows no more, so that it has not been heard; and any other that has no answer.
/// No server may say these.
pub(super) const SESSION_OVER: ErrorCode = ErrorCode(i32::MIN);
pub(super) const UNANSWERED: ErrorCode = ErrorCode(i32::MIN + 1);
/// How long a message that has no answer may take to be accepted.
const ACCEPTED: Duration = Duration::from_secs(20);
/// How long an answer may take; whoever waits for it usually gives up before.
const ANSWERED: Duration = Duration::from_secs(620);
/// Messages of either direction that wait.
const WAITING: usize = 16;
/// Requests under way at a time.
const REQUESTS: usize = 64;
/// What the server asked and was not answered yet, at most; and how long one waits that has no place before.
const ASKED: usize = 16;
const DEAF: Duration = Duration::from_secs(5);

/// How a connection to the server is come by. It is judged there, too.
pub(super) trait Way: 'static {
    /// A new connection, on which HTTP/1.1 is spoken in the clear.
    async fn connect(&self, place: &Place) -> Result<OwnedFd, String>;
}

impl Way for Rc<Reporter> {
    async fn connect(&self, Place { scheme, host, port, .. }: &Place) -> Result<OwnedFd, String> {
        Reporter::connect(self, scheme, host, *port).await
    }
}

/// What is said to a server, and what it says.
pub(super) struct Posts {
    to: mpsc::Sender<Value>,
    from: mpsc::Receiver<RxJsonRpcMessage<RoleClient>>,
    /// Why there is nothing more to be said, once that is so.
    pub(super) over: Why,
}

impl Posts {
    /// Must be called on the runtime's local set.
    pub(super) fn new(way: impl Way, place: Place) -> Self {
        let (to, outgoing) = mpsc::channel(WAITING);
        let (incoming, from) = mpsc::channel(WAITING);
        let over = Arc::new(OnceLock::new());
        let places = Semaphore::new(ASKED);
        let exchange = Rc::new(Exchange { way, place, incoming, session: RefCell::default(), places });
        let why = Arc::clone(&over);
        tokio::task::spawn_local(async move {
            if let Err(reason) = post(exchange, outgoing).await {
                // Only said here, and once.
                let _ = why.set(reason);
            }
        });
        Self { to, from, over }
    }
}

impl Transport<RoleClient> for Posts {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let message = serde_json::to_value(&item).map_err(io::Error::other);
        let to = self.to.clone();
        async move { to.send(message?).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.from.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.from.close();
        Ok(())
    }
}

/// Why a message has no answer.
#[derive(Debug)]
enum Failed {
    /// This one; others may have.
    Message(String),
    /// The server knows the session no more.
    Over,
}

/// What the server said at its greeting.
#[derive(Default)]
struct Session {
    id: Option<HeaderValue>,
    version: Option<HeaderValue>,
}

struct Exchange<W> {
    way: W,
    place: Place,
    incoming: mpsc::Sender<RxJsonRpcMessage<RoleClient>>,
    session: RefCell<Session>,
    places: Semaphore,
}

/// Sends until nobody has anything to say any more. Requests wait for their answers beside each other; what has none goes in order.
async fn post<W: Way>(exchange: Rc<Exchange<W>>, mut outgoing: mpsc::Receiver<Value>) -> Result<(), String> {
    // Dropped with this: then nothing is waited for any more.
    let mut asked = JoinSet::new();
    let mut under_way: HashMap<String, AbortHandle> = HashMap::new();
    loop {
        tokio::select! {
            message = outgoing.recv(), if asked.len() < REQUESTS => {
                let Some(message) = message else { return Ok(()) };
                let method = message.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
                let id = message.get("id").filter(|_| !method.is_empty()).cloned();
                if let Some(id) = id {
                    let key = id.to_string();
                    let exchange = Rc::clone(&exchange);
                    let ended = key.clone();
                    let ask = async move { (ended, exchange.ask(&message, &method, id).await) };
                    under_way.insert(key, asked.spawn_local(ask));
                    continue;
                }
                let cancels = method == "notifications/cancelled";
                if let Some(id) = message.pointer("/params/requestId").filter(|_| cancels)
                    && let Some(request) = under_way.remove(&id.to_string()) {
                    request.abort();
                }
                let said = exchange.say(&message).await;
                if method.is_empty() {
                    // An answer to what the server asked.
                    exchange.places.add_permits(1);
                }
                match said {
                    Err(Failed::Over) => return Err(over()),
                    // That one is not wanted any more is of no matter where it is not known.
                    Err(Failed::Message(reason)) if !cancels => return Err(reason),
                    Err(Failed::Message(_)) | Ok(()) => {}
                }
            }
            Some(ended) = asked.join_next() => {
                // Otherwise it was cancelled.
                if let Ok((key, is_over)) = ended {
                    under_way.remove(&key);
                    if is_over { return Err(over()) }
                }
            }
        }
    }
}

fn over() -> String {
    "it knows this session no more".to_owned()
}

impl<W: Way> Exchange<W> {
    /// A message without an answer.
    async fn say(&self, message: &Value) -> Result<(), Failed> {
        let sent = tokio::time::timeout(ACCEPTED, self.send(message)).await;
        let answer = sent.map_err(|_| late(ACCEPTED))??;
        if answer.status().is_success() { Ok(()) } else { Err(self.unusable(answer).await) }
    }

    /// A request, whose answer goes to whoever receives; an error, too. Whether the session is over.
    async fn ask(&self, message: &Value, method: &str, id: Value) -> bool {
        let answered = tokio::time::timeout(ANSWERED, self.answered(message, method, &id)).await;
        let (reason, is_over) = match answered.unwrap_or_else(|_| Err(late(ANSWERED))) {
            Ok(()) => return false,
            Err(Failed::Message(reason)) => (reason, false),
            Err(Failed::Over) => (over(), true),
        };
        let code = if is_over { SESSION_OVER } else { UNANSWERED };
        let error = json!({ "code": code, "message": cut(&printable_text(&reason)) });
        let message = json!({ "jsonrpc": "2.0", "id": id, "error": error });
        if let Ok(message) = serde_json::from_value(message) {
            // Whoever listens no more does not wait for it.
            let _ = self.incoming.send(message).await;
        }
        is_over
    }

    async fn answered(&self, message: &Value, method: &str, id: &Value) -> Result<(), Failed> {
        let answer = self.send(message).await?;
        if answer.status() != StatusCode::OK || answer.headers().contains_key(DENIED) {
            return Err(self.unusable(answer).await);
        }
        let greets = method == "initialize";
        if greets && let Some(session) = answer.headers().get(SESSION) {
            let is_name = session.len() <= 1024 && session.as_bytes().iter().all(u8::is_ascii_graphic);
            if session.is_empty() || !is_name {
                return Err(Failed::Message(
                    "it names its session in a way that none can be named".to_owned(),
                ));
            }
            self.session.borrow_mut().id = Some(session.clone());
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" => {
                let body = read(answer.into_body(), LONGEST).await?;
                match self.message(&body, id, greets).await? {
                    true => Ok(()),
                    false => Err(Failed::Message("its answer is none to this request".to_owned())),
                }
            }
            "text/event-stream" => self.stream(answer.into_body(), id, greets).await,
            _ => Err(Failed::Message(format!("its answer is `{kind}`, neither JSON nor a stream of events"))),
        }
    }

    /// Events, until the answer is among them.
    async fn stream(&self, mut body: Incoming, id: &Value, greets: bool) -> Result<(), Failed> {
        let mut events = Events::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failed::Message(error.to_string()))?;
            let Some(data) = frame.data_ref() else { continue };
            for message in events.take(data).map_err(Failed::Message)? {
                // Such an event only says where the stream could be taken up again.
                if !message.is_empty() && self.message(&message, id, greets).await? {
                    return Ok(());
                }
            }
        }
        Err(Failed::Message("its stream ended before the answer".to_owned()))
    }

    /// Hands on one message. Whether it is the answer to the request `id`.
    async fn message(&self, bytes: &[u8], id: &Value, greets: bool) -> Result<bool, Failed> {
        let failed = |reason: &str| Failed::Message(reason.to_owned());
        let message = json::read(bytes).map_err(|_| failed("what it says is not JSON, or not strictly"))?;
        let is_answer = message.get("method").is_none();
        let code = message.pointer("/error/code").and_then(Value::as_i64);
        if code.is_some_and(|code| [SESSION_OVER, UNANSWERED].iter().any(|own| i64::from(own.0) == code)) {
            return Err(failed("its error has a code that is none of a server's"));
        }
        if is_answer && message.get("id") != Some(id) {
            return Err(failed("it answers what this request did not ask"));
        }
        if !is_answer && message.get("id").is_some() {
            // Given back when it is answered.
            match tokio::time::timeout(DEAF, self.places.acquire()).await {
                Ok(Ok(place)) => place.forget(),
                Ok(Err(_)) | Err(_) => return Err(failed("it asks without end")),
            }
        }
        if greets && is_answer {
            let version = message.pointer("/result/protocolVersion").and_then(Value::as_str);
            let version = version.and_then(|version| HeaderValue::from_str(version).ok());
            self.session.borrow_mut().version = version;
        }
        let message =
            serde_json::from_value(message).map_err(|_| failed("what it says is no message of MCP"))?;
        self.incoming.send(message).await.map_err(|_| failed("nobody waits for its answer"))?;
        Ok(is_answer)
    }

    /// One request, and the head of its answer. Where that redirects to, nobody goes.
    async fn send(&self, message: &Value) -> Result<Response<Incoming>, Failed> {
        let failed = |what: &dyn std::fmt::Display| Failed::Message(what.to_string());
        let body = serde_json::to_vec(message).map_err(|error| failed(&error))?;
        if body.len() > LONGEST {
            return Err(failed(&format!("the message has more than {LONGEST} bytes")));
        }
        let headers = self.headers()?;
        let connection = self.way.connect(&self.place).await.map_err(Failed::Message)?;
        let mut sender = outward::ready(connection).await.map_err(Failed::Message)?;
        let target = self.place.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.parse().map_err(|error: http::uri::InvalidUri| failed(&error))?;
        *request.headers_mut() = headers;
        sender.send_request(request).await.map_err(|error| failed(&error))
    }

    fn headers(&self) -> Result<HeaderMap, Failed> {
        let authority = self.place.uri.authority().map_or("", http::uri::Authority::as_str);
        let host = HeaderValue::from_str(authority).map_err(|error| Failed::Message(error.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let session = self.session.borrow();
        let said =
            [(SESSION, &session.id), (VERSION, &session.version), (AUTHORIZATION, &self.place.authorization)];
        headers.extend(said.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        Ok(headers)
    }

    /// What an answer means that is none to the message.
    async fn unusable(&self, answer: Response<Incoming>) -> Failed {
        let status = answer.status();
        if answer.headers().contains_key(DENIED) {
            return match read(answer.into_body(), REFUSAL).await {
                Ok(said) => Failed::Message(outward::words(&said)),
                Err(failed) => failed,
            };
        }
        if status == StatusCode::NOT_FOUND && self.session.borrow().id.is_some() {
            return Failed::Over;
        }
        Failed::Message(match status {
            StatusCode::ACCEPTED => "it accepted the request, and did not answer it".to_owned(),
            _ if status.is_redirection() => {
                format!("it answered with a redirect ({status}), which is not followed")
            }
            _ => format!("it answered with the status {status}"),
        })
    }
}

fn late(patience: Duration) -> Failed {
    Failed::Message(format!("it did not answer within {} s", patience.as_secs()))
}

/// A whole body of at most `most` bytes.
async fn read(mut body: Incoming, most: usize) -> Result<Vec<u8>, Failed> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failed::Message(error.to_string()))?;
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(data);
        }
        if read.len() > most {
            return Err(Failed::Message(format!("its answer has more than {most} bytes")));
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
