//! The broker over HTTP, at its name on the agent's network: MCP's streamable HTTP without sessions and streams, one message a
//! request, one request a connection. So who asks is known for each, and nothing can follow a request that another reader would take
//! for a part of it.

mod head;

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::ServiceExt;
use rmcp::model::{
    ClientRequest, ErrorCode, GetMeta, InitializeRequestParams, JsonRpcMessage, JsonRpcRequest,
    ProtocolVersion,
};
use rmcp::service::serve_directly;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use self::head::{Refused, agrees, judge, version};
use super::handler::Handler;
use super::message;
use super::once::Once;
use super::room::{LONGEST, Room, SMALL, TINY};
use crate::call::Broker;

/// How long a head may take, and then the body, not counting what is waited for room.
const HEAD: Duration = Duration::from_secs(20);
const BODY: Duration = Duration::from_secs(60);
/// Most bytes of a head.
const LONGEST_HEAD: usize = 16 * 1024;
/// Between two looks at whether whoever asked is still there.
const LOOK: Duration = Duration::from_millis(20);

/// One connection.
struct Front {
    broker: Rc<Broker>,
    room: Room,
    /// Who asks, as the host numbers it.
    pid: i32,
    /// To see whether he is still there.
    socket: OwnedFd,
}

type Answer = Response<Full<Bytes>>;

/// Serves one request of the process `pid`.
pub(crate) async fn serve(broker: Rc<Broker>, room: Room, pid: i32, stream: UnixStream) {
    let Ok(socket) = stream.as_fd().try_clone_to_owned() else { return };
    let front = Rc::new(Front { broker, room, pid, socket });
    let service = service_fn(move |request| {
        let front = Rc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD);
    server.keep_alive(false).max_buf_size(LONGEST_HEAD);
    // How it ended is the client's business.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

impl Front {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let answered = tokio::select! {
            answered = self.answered(request) => answered,
            // With what was waited for, the call ends.
            () = self.gone() => Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "whoever asked is gone")),
        };
        match answered {
            Ok(answer) => answer,
            Err(refused) => self.refuse(refused).await,
        }
    }

    async fn answered(&self, request: Request<Incoming>) -> Result<Answer, Refused> {
        let (parts, body) = request.into_parts();
        judge(&parts)?;
        let (bytes, _room) = self.read(body).await?;
        let message = match message::read(&bytes) {
            Ok(message) => message,
            Err(refusal) => return Ok(json(StatusCode::BAD_REQUEST, refusal)),
        };
        drop(bytes);
        let JsonRpcMessage::Request(request) = message else {
            version(&parts.headers, None)?;
            // There is no session that it could be about.
            let mut accepted = Response::new(Full::default());
            *accepted.status_mut() = StatusCode::ACCEPTED;
            return Ok(accepted);
        };
        let _one = self.room.request().await;
        self.ask(request, &parts.headers).await
    }

    /// The message, and the room that it takes.
    async fn read(&self, mut body: Incoming) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Refused> {
        let too_long = || {
            let most = format!("a message has at most {LONGEST} bytes");
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, most)
        };
        if body.size_hint().lower() > LONGEST as u64 {
            return Err(too_long());
        }
        let mut deadline = Instant::now() + BODY;
        let (mut read, mut room) = (Vec::new(), None);
        loop {
            let frame = timeout_at(deadline, body.frame()).await;
            let late = |_| Refused::new(StatusCode::REQUEST_TIMEOUT, "the message does not come");
            let Some(frame) = frame.map_err(late)? else { break };
            let broken = |_| Refused::new(StatusCode::BAD_REQUEST, "the body is no body of HTTP/1.1");
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if read.len() + data.len() > LONGEST {
                return Err(too_long());
            }
            if read.len() + data.len() > SMALL && room.is_none() {
                let waited = Instant::now();
                room = self.room.bytes(LONGEST).await;
                deadline += waited.elapsed();
            }
            read.extend_from_slice(&data);
        }
        if read.len() > TINY && room.is_none() {
            room = self.room.bytes(read.len()).await;
        }
        Ok((read, room))
    }

    /// Has it answered by what answers on the socket.
    async fn ask(
        &self,
        request: JsonRpcRequest<ClientRequest>,
        headers: &HeaderMap,
    ) -> Result<Answer, Refused> {
        let stated = request.request.get_meta().protocol_version();
        let header = version(headers, stated.as_ref())?;
        if let Err(refusal) = agrees(headers, header.as_ref(), &request) {
            return Ok(json(StatusCode::BAD_REQUEST, refusal));
        }
        // Dropped with this, when whoever asked is gone.
        let (_here, gone) = watch::channel(());
        let handler = Handler::new(Rc::clone(&self.broker), self.pid, gone);
        let greets = matches!(request.request, ClientRequest::InitializeRequest(_));
        let alone = stated.is_some();
        let (once, answer) = Once::new(JsonRpcMessage::Request(request));
        if greets || alone {
            tokio::task::spawn_local(async move {
                if let Ok(service) = handler.serve(once).await {
                    drop(service.waiting().await);
                }
            });
        } else {
            // It was greeted in another request, of which nothing is known here but the revision that came of it.
            let header = header.unwrap_or(ProtocolVersion::V_2025_03_26);
            let peer = InitializeRequestParams::default().with_protocol_version(header);
            let service = serve_directly(handler, once, Some(peer));
            tokio::task::spawn_local(async move { drop(service.waiting().await) });
        }
        let answer = answer.wait().await;
        let status = match &answer {
            Some(JsonRpcMessage::Error(error)) if alone => status_of(error.error.code),
            _ => StatusCode::OK,
        };
        let bytes = answer.and_then(|answer| serde_json::to_vec(&answer).ok());
        let failed = || Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "there is no answer");
        Ok(json(status, bytes.ok_or_else(failed)?))
    }

    /// Returns when whoever asked has closed the connection. The library notices only as long as nothing more was sent.
    async fn gone(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let mut watched = [PollFd::new(&self.socket, PollFlags::RDHUP)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0) {
                return;
            }
        }
    }

    /// Says no, and why.
    async fn refuse(&self, refused: Refused) -> Answer {
        let Refused { status, reason } = refused;
        if status == StatusCode::FORBIDDEN {
            self.broker.reporter.denied("ask the broker over HTTP", "403", &reason, "", self.pid).await;
        }
        let mut answer = Response::new(Full::from(format!("agentrc: {reason}\n")));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        answer
    }
}

/// The status of an error in revisions without a greeting (2026-07-28, "Streamable HTTP"); in older ones it is 200.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
        | ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY
        | ErrorCode::HEADER_MISMATCH => StatusCode::BAD_REQUEST,
        ErrorCode::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

fn json(status: StatusCode, bytes: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::from(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
