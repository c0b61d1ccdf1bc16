//! Bodies that credentials concern: what goes out is searched for placeholders, what comes back for values.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::body::{Boxed, Error};
use crate::credential::{Guard, Redactor, Refusal, Scanner};
use crate::gateway::Gateway;
use crate::report::Client;

/// Where a body that is refused leaves the reason.
pub(super) type Reason = Rc<RefCell<Option<Refusal>>>;

/// A request's body, each part of which was looked at before it goes on.
pub(super) struct Scanned {
    pub(super) inner: Boxed,
    pub(super) scanner: Scanner,
    pub(super) guard: Rc<Guard>,
    pub(super) reason: Reason,
    pub(super) gateway: Rc<Gateway>,
    pub(super) agent: Client,
    pub(super) act: String,
}

impl Body for Scanned {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = match ready!(this.inner.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let looked_at = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => this.scanner.push(data),
            (_, Some(trailers)) => this.guard.judge_trailers(trailers),
            (None, None) => Ok(()),
        };
        Poll::Ready(Some(match looked_at {
            Ok(()) => Ok(frame),
            Err(refusal) => {
                // Recorded from here: the server may have answered, and then nobody else hears of it.
                let (gateway, agent, act) = (Rc::clone(&this.gateway), this.agent, this.act.clone());
                let why = refusal.to_string();
                tokio::task::spawn_local(async move {
                    gateway.reporter.denied(&act, "403", &why, "", agent).await;
                });
                *this.reason.borrow_mut() = Some(refusal);
                Err(Error::Placeholder)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body without values.
pub(super) struct Redacted {
    pub(super) inner: Boxed,
    pub(super) redactor: Redactor,
    pub(super) guard: Rc<Guard>,
    /// Trailers that came while something was held back, and then the end.
    pub(super) rest: Option<Option<Frame<Bytes>>>,
}

impl Body for Redacted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(rest) = &mut this.rest {
                return Poll::Ready(rest.take().map(Ok));
            }
            let mut out = Vec::new();
            match ready!(this.inner.as_mut().poll_frame(cx)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        this.redactor.push(&data, &mut out);
                        if out.is_empty() {
                            continue;
                        }
                    }
                    Err(frame) => {
                        let mut trailers = frame.into_trailers().unwrap_or_default();
                        if this.guard.redact_head(&mut trailers, false).is_err() {
                            return Poll::Ready(Some(Err(Error::Placeholder)));
                        }
                        this.redactor.finish(&mut out);
                        this.rest = Some(Some(Frame::trailers(trailers)));
                    }
                },
                None => {
                    this.redactor.finish(&mut out);
                    this.rest = Some(None);
                }
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
    }
}
