//! The body of a request on its way out: counted against the limits on bytes, held back while they want it, and cut when
//! they are used up.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use agentrc_service::limit;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::gateway::Gateway;
use crate::report::Client;

/// Any body. All of a connection is in one thread.
pub(super) type Boxed = Pin<Box<dyn Body<Data = Bytes, Error = Error>>>;

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The connection that it comes over.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// A limit on bytes is used up.
    #[error("the limit on bytes is used up")]
    Limit,
    /// Nothing moves any more.
    #[error("nothing has moved for an hour")]
    Idle,
    /// It holds what must not pass.
    #[error("it holds what must not pass")]
    Placeholder,
}

/// Whether a body that announces no byte has none, which in HTTP/2 only its end tells: what goes on is malformed, and must not be
/// passed on (RFC 9113, section 8.1.1). Trailers behind no body are nobody's either.
pub(super) async fn is_empty<B>(body: &mut B, patience: Duration) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    let ends = async {
        while let Some(frame) = body.frame().await {
            if !frame.is_ok_and(|frame| frame.data_ref().is_some_and(Bytes::is_empty)) {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(patience, ends).await.unwrap_or(false)
}

/// A text of ours.
pub(super) fn text(text: String) -> Boxed {
    Box::pin(http_body_util::Full::new(Bytes::from(text)).map_err(|never| match never {}))
}

/// What comes over a connection, as it is.
pub(super) fn incoming<B>(body: B) -> Boxed
where
    B: Body<Data = Bytes, Error: Into<Error>> + 'static,
{
    Box::pin(body.map_err(Into::into))
}

/// Where a body that is cut leaves the limit that is used up, with its line.
pub(super) type UsedUp = Rc<RefCell<Option<String>>>;

/// A counted body.
pub(super) struct Metered {
    inner: Incoming,
    gateway: Rc<Gateway>,
    agent: Client,
    /// What has arrived and is not yet granted.
    held: Bytes,
    wait: Option<Pin<Box<Sleep>>>,
    used_up: UsedUp,
}

impl Metered {
    pub(super) fn new(inner: Incoming, gateway: Rc<Gateway>, agent: Client, used_up: UsedUp) -> Self {
        Self { inner, gateway, agent, held: Bytes::new(), wait: None, used_up }
    }

    /// As much of what is held as the limits give.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, Error>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            let wanted = self.held.len();
            match self.gateway.limits.bytes(wanted as u64, Instant::now()) {
                Ok(some) => {
                    let some = usize::try_from(some).unwrap_or(wanted).min(wanted);
                    return Poll::Ready(Ok(Frame::data(self.held.split_to(some))));
                }
                Err((Some(wait), _)) => {
                    self.wait = Some(Box::pin(tokio::time::sleep(wait.max(Duration::from_millis(1)))));
                }
                Err((None, limit)) => return Poll::Ready(Err(self.cut(limit))),
            }
        }
    }

    /// The limit is used up: said to whoever sent it, and recorded.
    fn cut(&self, limit: &limit::Limit) -> Error {
        *self.used_up.borrow_mut() = Some(format!("{} [{}]", limit.name(), limit.origin()));
        self.tell();
        Error::Limit
    }

    /// Records that a limit is used up: by the one that says so when it is asked once more.
    fn tell(&self) {
        let (gateway, agent) = (Rc::clone(&self.gateway), self.agent);
        tokio::task::spawn_local(async move {
            if let Err((None, limit)) = gateway.limits.bytes(1, Instant::now()) {
                gateway.reporter.limited(limit, "send a request's body", agent).await;
            }
        });
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.held.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(data) => this.held = data,
                    // Trailers: small, and so granted as a whole or not at all.
                    Err(frame) => {
                        let size: usize = frame.trailers_ref().map_or(0, |trailers| {
                            trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
                        });
                        return Poll::Ready(Some(
                            match this.gateway.limits.bytes(size as u64, Instant::now()) {
                                Ok(granted) if granted == size as u64 => Ok(frame),
                                Ok(_) => Err(Error::Limit),
                                Err((_, limit)) => Err(this.cut(limit)),
                            },
                        ));
                    }
                },
            }
        }
        this.poll_held(cx).map(Some)
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.held.is_empty() { self.inner.size_hint() } else { SizeHint::default() }
    }
}
