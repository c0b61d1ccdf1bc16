//! The agent's side of HTTP: reads a request, judges it, sends it on, and gives back the answer. What is refused is answered
//! with the reason and the line to change.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::{Boxed, Metered, UsedUp, incoming, is_empty, text};
use super::client::{Client, Error};
use super::guarded::{Reason, Redacted, Scanned};
use super::idle::Idle;
use super::room::Room;
use super::{headers, target};
use crate::credential::{self, Guard, Head, Injection, Place};
use crate::destination::Destination;
use crate::eager::Side;
use crate::gateway::{Gateway, Local};
use crate::judge::{Asked, Verdict};
use crate::relay::Relay;
use crate::report::Client as Agent;
use crate::upstream::Unreachable;

/// How long a request's head may take, and a kept connection may be silent.
const HEAD: Duration = Duration::from_secs(120);

/// The same of the end of a request that announces no body.
const END: Duration = Duration::from_secs(10);

/// What the gateway's own answers are told by.
const DENIED: HeaderName = HeaderName::from_static("agentrc-denied");

/// One connection of the agent's.
struct Front {
    gateway: Rc<Gateway>,
    destination: Destination,
    secure: bool,
    /// Who asks: [`Asked::via`].
    via: &'static str,
    agent: Agent,
    client: Client,
}

/// Serves requests until whoever sends them closes.
pub(crate) async fn serve(
    gateway: Rc<Gateway>,
    destination: Destination,
    secure: bool,
    (via, agent): (&'static str, Agent),
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let room = Room::of(&gateway.places);
    let client = Client::new(Rc::clone(&gateway), destination.clone(), secure);
    let front = Rc::new(Front { gateway, destination, secure, via, agent, client });
    let service = service_fn(move |request| {
        let front = Rc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    let mut server = auto::Builder::new(Local);
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    server.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD);
    room.limit(&mut server);
    // How it ended concerns the agent, and it knows.
    let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

impl Front {
    async fn answer(&self, request: Request<Incoming>) -> Response<Boxed> {
        let method = request.method().as_str().to_owned();
        let scheme = if self.secure { "https" } else { "http" };
        let authority = target::authority(&self.destination, self.secure);
        let written = target::path(request.uri()).to_owned();
        let act = format!("{method} {scheme}://{authority}{written}");
        match self.pass(request, &method, scheme, &authority, &act).await {
            Ok(answer) => answer,
            Err(refused) => self.refuse(&act, refused).await,
        }
    }

    async fn pass(
        &self,
        request: Request<Incoming>,
        method: &str,
        scheme: &str,
        authority: &str,
        act: &str,
    ) -> Result<Response<Boxed>, Refused> {
        let (mut parts, mut body) = request.into_parts();
        target::for_destination(&parts, &self.destination, self.secure)?;
        let path = target::canonical_path(target::path(&parts.uri))?;
        let url = format!("{scheme}://{authority}{path}");
        let announced = body.size_hint().exact().and_then(|length| i64::try_from(length).ok());
        // What some servers take for the method, in whatever case, must be permitted as well.
        if headers::replaces_path(&parts.headers) {
            return Err(target::NotPassed::Path.into());
        }
        // A body whose length nobody knows goes with no such request: it would be lost on the way.
        let without = [http::Method::GET, http::Method::HEAD].contains(&parts.method);
        if without && !body.is_end_stream() && body.size_hint().exact().is_none() {
            return Err(target::NotPassed::Form.into());
        }
        let others = headers::method_overrides(&parts.headers);
        let mut methods = vec![method.to_owned()];
        if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
            methods.push(method.to_ascii_uppercase());
        }
        for other in others {
            methods.push(other.to_str().map_err(|_| target::NotPassed::Form)?.trim().to_ascii_uppercase());
        }
        let mut rule = String::new();
        for method in &methods {
            let asked = Asked {
                via: self.via,
                scheme,
                host: &self.destination.host,
                port: self.destination.port,
                method,
                path: &path,
                url: &url,
                bytes: announced.unwrap_or(i64::MAX),
            };
            let verdict = self.gateway.verdict(&asked);
            if !verdict.permitted {
                return Err(Refused::Policy(verdict));
            }
            rule = verdict.rule;
        }
        if announced == Some(0) && !body.is_end_stream() && !is_empty(&mut body, END).await {
            return Err(target::NotPassed::Form.into());
        }
        let websocket = headers::is_websocket(&parts.headers);
        let from_agent = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        headers::strip(&mut parts.headers);
        if websocket {
            headers::upgrade_to_websocket(&mut parts.headers);
        }
        let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        parts.uri = Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(target)
            .build()
            .map_err(|_| target::NotPassed::Form)?;
        let authority = HeaderValue::from_str(authority).map_err(|_| target::NotPassed::Host)?;
        parts.headers.insert(HOST, authority);
        let injections = match &self.gateway.guard {
            Some(guard) => self.credentials(guard, &parts)?,
            None => Vec::new(),
        };
        if let Err(limit) = self.gateway.limits.request(&self.destination.host, Instant::now()) {
            self.gateway.reporter.limited(limit, act, self.agent).await;
            return Err(Refused::Limit(format!("{} [{}]", limit.name(), limit.origin())));
        }
        if !self.gateway.reporter.intent(act, &rule).await {
            return Err(Refused::Unrecorded);
        }
        self.head_counts(&parts).await?;
        let used_up = UsedUp::default();
        let mut body: Boxed = if self.gateway.limits.counts_bytes() {
            Box::pin(Metered::new(body, Rc::clone(&self.gateway), self.agent, Rc::clone(&used_up)))
        } else {
            incoming(body)
        };
        let reason = Reason::default();
        if let Some(guard) = &self.gateway.guard {
            if guard.concerns(&self.destination.host) && self.secure {
                guard.apply(&injections, &parts.method, &mut parts.uri, &mut parts.headers)?;
            }
            let scanner = guard.scanner(Place::Body);
            body = Box::pin(Scanned {
                inner: body,
                scanner,
                guard: Rc::clone(guard),
                reason: Rc::clone(&reason),
                gateway: Rc::clone(&self.gateway),
                agent: self.agent,
                act: act.to_owned(),
            });
        }
        let head_only = parts.method == http::Method::HEAD;
        self.gateway.eager.moved(Side::Agent);
        let answer = self.client.send(Request::from_parts(parts, body), websocket).await;
        if let Some(refusal) = reason.borrow_mut().take() {
            return Err(Refused::Body(refusal));
        }
        if let (Err(_), Some(limit)) = (&answer, used_up.borrow_mut().take()) {
            return Err(Refused::Limit(limit));
        }
        self.gateway.eager.moved(Side::World);
        self.back(answer?, from_agent.filter(|_| websocket), head_only)
    }

    /// Where placeholders are to become values. One where it may not is a refusal.
    fn credentials(&self, guard: &Guard, parts: &http::request::Parts) -> Result<Vec<Injection>, Refused> {
        let host = &self.destination.host;
        let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers };
        // Secure: `tls.rs` has verified the destination's certificate for its name, or there is no connection.
        let injections = guard.judge(&head, host, self.secure)?;
        for injection in &injections {
            let name = guard.name(injection);
            let verdict = self.gateway.judge.resolve(name, host, self.destination.port, injection.place());
            if !verdict.permitted {
                return Err(Refused::Policy(verdict));
            }
        }
        Ok(injections)
    }

    /// The guard of what comes back from here, if a credential may have gone there.
    fn guard(&self) -> Option<&Rc<Guard>> {
        self.gateway.guard.as_ref().filter(|guard| self.secure && guard.concerns(&self.destination.host))
    }

    /// A request without a body takes bytes, too.
    async fn head_counts(&self, parts: &http::request::Parts) -> Result<(), Refused> {
        if !self.gateway.limits.counts_bytes() {
            return Ok(());
        }
        let target = parts.uri.path_and_query().map_or(1, |target| target.as_str().len());
        let fields: usize =
            parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let mut left = parts.method.as_str().len() + target + fields;
        while left > 0 {
            match crate::pump::granted(Some(&self.gateway.limits), left).await {
                Ok(some) => left -= some.min(left),
                Err(limit) => {
                    self.gateway.reporter.limited(limit, "send a request", self.agent).await;
                    return Err(Refused::Limit(format!("{} [{}]", limit.name(), limit.origin())));
                }
            }
        }
        Ok(())
    }

    /// The answer, as it is, but for what is about the connection that it came over.
    fn back(
        &self,
        mut answer: Response<Idle<Incoming>>,
        agent: Option<hyper::upgrade::OnUpgrade>,
        head_only: bool,
    ) -> Result<Response<Boxed>, Refused> {
        let switches = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let world = switches.then(|| hyper::upgrade::on(&mut answer));
        // Among them the reason phrase as the server wrote it, which nobody has searched for values.
        answer.extensions_mut().clear();
        headers::strip(answer.headers_mut());
        // What only the gateway's own answers have.
        answer.headers_mut().remove(DENIED);
        let has_body = !switches && !head_only && !answer.body().is_end_stream();
        if let Some(guard) = self.guard() {
            guard.redact_head(answer.headers_mut(), has_body)?;
        }
        if let Some(world) = world {
            let Some(agent) = agent else {
                return Err(Refused::Upstream("it switches to what nobody asked for".to_owned()));
            };
            let (gateway, client) = (Rc::clone(&self.gateway), self.agent);
            let scanner = self.gateway.guard.as_ref().map(|guard| guard.scanner(Place::Stream));
            let redactor = self.guard().map(|guard| guard.redactor_of_same_length());
            let open = gateway.places.again();
            tokio::task::spawn_local(async move {
                let _open = open;
                if let (Ok(agent), Ok(world)) = tokio::join!(agent, world) {
                    let relay = Relay { gateway: &gateway, client, scanner, redactor };
                    relay.run(TokioIo::new(agent), TokioIo::new(world)).await;
                }
            });
            headers::upgrade_to_websocket(answer.headers_mut());
            return Ok(answer.map(incoming));
        }
        *answer.version_mut() = http::Version::default();
        Ok(match self.guard().filter(|_| has_body) {
            Some(guard) => answer.map(|body| {
                let redacted = Redacted {
                    inner: incoming(body),
                    redactor: guard.redactor(),
                    guard: Rc::clone(guard),
                    rest: None,
                };
                Box::pin(redacted) as Boxed
            }),
            None => answer.map(incoming),
        })
    }

    /// Says no, and why.
    async fn refuse(&self, act: &str, refused: Refused) -> Response<Boxed> {
        let (status, verdict, rule, reason) = match refused {
            Refused::Policy(verdict) => (StatusCode::FORBIDDEN, "403", verdict.rule, verdict.reason),
            Refused::Request(why) => (StatusCode::FORBIDDEN, "403", String::new(), why.to_string()),
            Refused::Credential(why) => (StatusCode::FORBIDDEN, "403", String::new(), why.to_string()),
            Refused::Private(why) => (StatusCode::FORBIDDEN, "403", String::new(), why),
            Refused::Full(why) => (StatusCode::SERVICE_UNAVAILABLE, "503", String::new(), why),
            // These are on record already.
            Refused::Body(why) => return said(StatusCode::FORBIDDEN, &format!("{act} is denied: {why}")),
            Refused::Limit(limit) => {
                return said(StatusCode::TOO_MANY_REQUESTS, &format!("the limit {limit} is reached"));
            }
            Refused::Unrecorded => {
                return said(StatusCode::FORBIDDEN, "it cannot be recorded, and so it does not happen");
            }
            Refused::Upstream(why) => return said(StatusCode::BAD_GATEWAY, &why),
        };
        self.gateway.reporter.denied(act, verdict, &reason, &rule, self.agent).await;
        let place = if rule.is_empty() { String::new() } else { format!(" [{rule}]") };
        said(status, &format!("{act} is denied: {reason}{place}"))
    }
}

/// An answer of the gateway's own.
fn said(status: StatusCode, words: &str) -> Response<Boxed> {
    let words = format!("agentrc: {words}\n");
    let length = words.len();
    let mut answer = Response::new(text(words));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    answer.headers_mut().insert(DENIED, HeaderValue::from_static("1"));
    answer
}

/// Why there is no answer of the destination's.
enum Refused {
    Policy(Verdict),
    Request(target::NotPassed),
    Credential(credential::Refusal),
    Body(credential::Refusal),
    Private(String),
    Full(String),
    Limit(String),
    Unrecorded,
    Upstream(String),
}

impl From<target::NotPassed> for Refused {
    fn from(why: target::NotPassed) -> Self {
        Self::Request(why)
    }
}

impl From<credential::Refusal> for Refused {
    fn from(why: credential::Refusal) -> Self {
        Self::Credential(why)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreachable(forbidden @ Unreachable::Forbidden { .. }) => {
                Self::Private(forbidden.to_string())
            }
            Error::Full(why) => Self::Full(why),
            other => Self::Upstream(other.to_string()),
        }
    }
}
