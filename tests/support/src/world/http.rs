//! What the world's servers of HTTP answer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request as Asked, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::git;
use super::log::Request;
use super::mcp;
use super::noise::noise;
use super::servers::Server;
use super::websocket;

/// How far the client of `/events` says to have come.
#[derive(Clone)]
pub(super) struct Turns(Rc<watch::Sender<usize>>);

impl Default for Turns {
    fn default() -> Self {
        Self(Rc::new(watch::channel(0).0))
    }
}

/// Whatever is answered.
enum Answer {
    Whole(Option<Bytes>),
    /// The next event is sent when the client says that it has the one before.
    Events {
        next: usize,
        last: usize,
        turn: Pin<Box<dyn Future<Output = ()> + Send>>,
        turns: watch::Receiver<usize>,
    },
}

pub(super) async fn serve(
    server: Server,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    at: IpAddr,
    server_name: Option<String>,
    scheme: &'static str,
) {
    let service = service_fn(move |asked| {
        let (server, server_name) = (server.clone(), server_name.clone());
        async move { Ok::<_, Infallible>(answer(&server, asked, at, server_name, scheme).await) }
    });
    let builder = auto::Builder::new(LocalExecutor);
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

async fn answer(
    server: &Server,
    mut asked: Asked<Incoming>,
    at: IpAddr,
    server_name: Option<String>,
    scheme: &'static str,
) -> Response<Answer> {
    let upgrade = websocket::accepts(&asked).then(|| hyper::upgrade::on(&mut asked));
    let (parts, mut body) = asked.into_parts();
    let host = parts.uri.authority().map(ToString::to_string).or_else(|| {
        parts.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
    });
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let record = if target.starts_with("/recorded") { server.log.record() } else { String::new() };
    let mut bytes = Vec::new();
    // A body that breaks off is one as well.
    while let Some(Ok(frame)) = next(&mut body).await {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    server.log.asked(Request {
        port: server.port,
        at,
        server_name,
        scheme,
        version: format!("{:?}", parts.version),
        method: parts.method.to_string(),
        target: target.clone(),
        host: host.unwrap_or_default(),
        headers: parts.headers.clone(),
        body: bytes.clone(),
        record,
    });
    if let Some(upgrade) = upgrade {
        return websocket::switch(&parts.headers, upgrade).map(|()| whole(""));
    }
    if target.starts_with("/git/") {
        return git::answer(&server.repositories, &parts, bytes).await.map(whole);
    }
    if target == "/mcp" {
        return mcp::answer(server, &parts, &bytes).map(whole);
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut response = match path {
        _ if parts.method == Method::HEAD => Response::new(whole("")),
        "/noise" => Response::new(whole(noise(query.parse().unwrap_or_default()))),
        "/echo" | "/v1/echo" => Response::new(whole(bytes)),
        // Gives back what it was sent as a credential, in a header and in the body.
        "/reflect" => {
            let sent = parts.headers.get(AUTHORIZATION).cloned().unwrap_or(HeaderValue::from_static("none"));
            let mut response =
                Response::new(whole(format!("you are {}\n", String::from_utf8_lossy(sent.as_bytes()))));
            // And, where there is one, in the words behind the status.
            let words = [b"yes ", sent.as_bytes()].concat();
            response.extensions_mut().insert(ReasonPhrase::try_from(words).expect("a reason phrase"));
            response.headers_mut().insert("x-reflected", sent);
            response
        }
        "/events" => events(server, query.parse().unwrap_or(3)),
        "/turn" => {
            server.turns.0.send_replace(query.parse().unwrap_or_default());
            Response::new(whole("\n"))
        }
        // The one keeps the method, the other does not.
        "/redirect" | "/moved" => {
            let mut response = Response::new(whole("elsewhere\n"));
            *response.status_mut() =
                if path == "/moved" { StatusCode::TEMPORARY_REDIRECT } else { StatusCode::FOUND };
            response.headers_mut().insert(LOCATION, HeaderValue::from_str(query).expect("a location"));
            response
        }
        _ => match path.strip_prefix("/files/") {
            Some(name) => file(server, name),
            None => Response::new(whole(format!("hello from {target}\n"))),
        },
    };
    response.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain"));
    response
}

fn whole(bytes: impl Into<Bytes>) -> Answer {
    Answer::Whole(Some(bytes.into()))
}

/// What the test put there. A folder is its `index.html`.
fn file(server: &Server, name: &str) -> Response<Answer> {
    let mut path = server.repositories.folder.join(name.trim_end_matches('/'));
    if path.is_dir() {
        path = path.join("index.html");
    }
    let Ok(bytes) = std::fs::read(&path) else {
        let mut response = Response::new(whole("not there\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    let mut response = Response::new(whole(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn events(server: &Server, last: usize) -> Response<Answer> {
    server.turns.0.send_replace(0);
    let turns = server.turns.0.subscribe();
    let mut response =
        Response::new(Answer::Events { next: 1, last, turn: Box::pin(std::future::ready(())), turns });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

async fn next(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events { next, last, .. } if *next > *last => Poll::Ready(None),
            Self::Events { next, turn, turns, .. } => {
                std::task::ready!(turn.as_mut().poll(cx));
                let (number, mut turns) = (*next, turns.clone());
                *turn = Box::pin(async move {
                    let _ = turns.wait_for(|turn| *turn >= number).await;
                });
                *next += 1;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("data: {number}\n\n"))))))
            }
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => {
                hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Self::Events { .. } => hyper::body::SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }
}
