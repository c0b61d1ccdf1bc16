//! The end of exchanges in which nothing moves any more: a server that sends a head and then nothing, an agent that sends half
//! a body. What counts is silence in both directions, not the time that all of it takes: an event stream may last for days, and
//! an upload may go on while the answer is silent.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::Error;
use crate::pump::IDLE;

/// When something last moved in one request or its answer.
#[derive(Debug, Clone)]
pub(super) struct Activity(Rc<Cell<Instant>>);

impl Activity {
    /// Now.
    pub(super) fn new() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }

    fn touch(&self) {
        self.0.set(Instant::now());
    }

    fn ends(&self) -> Instant {
        self.0.get() + IDLE
    }

    /// Waits for `future` as long as something moves. `None`: nothing did for [`IDLE`].
    pub(super) async fn within<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            match tokio::time::timeout_at(self.ends(), &mut future).await {
                Ok(done) => return Some(done),
                Err(_) if Instant::now() >= self.ends() => return None,
                // Something has moved meanwhile.
                Err(_) => {}
            }
        }
    }
}

/// A body that breaks off when the exchange is silent for [`IDLE`].
pub(super) struct Idle<B> {
    inner: B,
    activity: Activity,
    /// Runs only while the body is waited for: one that nobody wants to read is not silent.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<B> Idle<B> {
    pub(super) fn new(inner: B, activity: Activity) -> Self {
        Self { inner, activity, silence: None }
    }
}

impl<B> Body for Idle<B>
where
    B: Body<Data = Bytes, Error: Into<Error>> + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.silence = None;
            this.activity.touch();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.silence.is_none() {
            // It starts to be waited for now, however long ago something moved.
            this.activity.touch();
        }
        loop {
            let ends = this.activity.ends();
            let silence = this.silence.get_or_insert_with(|| Box::pin(sleep_until(ends)));
            if silence.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= ends {
                return Poll::Ready(Some(Err(Error::Idle)));
            }
            silence.as_mut().reset(ends);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use tokio::sync::mpsc;

    use super::*;

    /// A body that gives what it is sent.
    struct Fed(mpsc::UnboundedReceiver<Bytes>);

    impl Body for Fed {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            self.get_mut().0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
        }
    }

    fn fed(activity: &Activity) -> (mpsc::UnboundedSender<Bytes>, Idle<Fed>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Idle::new(Fed(receiver), activity.clone()))
    }

    fn paused<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    const SHORT: Duration = Duration::from_secs(60);

    #[test]
    fn a_body_that_stops_breaks_off_after_the_time_and_not_before() {
        paused(async {
            let (sender, mut body) = fed(&Activity::new());
            sender.send(Bytes::from_static(b"half")).unwrap();
            assert!(body.frame().await.unwrap().is_ok());
            let start = Instant::now();
            assert!(matches!(body.frame().await, Some(Err(Error::Idle))));
            assert_eq!(start.elapsed().as_secs(), IDLE.as_secs());
            drop(sender);
        });
    }

    #[test]
    fn events_with_long_silence_between_them_go_on_for_days() {
        paused(async {
            let (sender, mut body) = fed(&Activity::new());
            let start = Instant::now();
            let server = async {
                for _ in 0..100 {
                    tokio::time::sleep(IDLE - SHORT).await;
                    sender.send(Bytes::from_static(b"data: x\n\n")).unwrap();
                }
                drop(sender);
            };
            let agent = async {
                let mut events = 0;
                while let Some(frame) = body.frame().await {
                    frame.unwrap();
                    events += 1;
                }
                events
            };
            assert_eq!(tokio::join!(server, agent).1, 100);
            assert!(start.elapsed() > Duration::from_secs(4 * 24 * 3600));
        });
    }

    #[test]
    fn one_direction_may_be_silent_while_the_other_moves() {
        paused(async {
            let activity = Activity::new();
            let ((upload, mut request), (answer, mut response)) = (fed(&activity), fed(&activity));
            let agent = async {
                for _ in 0..10 {
                    tokio::time::sleep(IDLE / 2).await;
                    upload.send(Bytes::from_static(b"part")).unwrap();
                    request.frame().await.unwrap().unwrap();
                }
                answer.send(Bytes::from_static(b"done")).unwrap();
            };
            assert!(tokio::join!(agent, response.frame()).1.unwrap().is_ok());
            assert!(matches!(response.frame().await, Some(Err(Error::Idle))));
        });
    }

    #[test]
    fn a_body_that_nobody_wants_to_read_is_not_silent() {
        paused(async {
            let (sender, mut body) = fed(&Activity::new());
            sender.send(Bytes::from_static(b"one")).unwrap();
            body.frame().await.unwrap().unwrap();
            tokio::time::sleep(2 * IDLE).await;
            let start = Instant::now();
            let late = async {
                tokio::time::sleep(SHORT).await;
                sender.send(Bytes::from_static(b"two")).unwrap();
            };
            assert!(tokio::join!(late, body.frame()).1.unwrap().is_ok());
            assert_eq!(start.elapsed().as_secs(), SHORT.as_secs());
        });
    }

    #[test]
    fn an_answer_is_waited_for_while_its_request_moves() {
        paused(async {
            let activity = Activity::new();
            let start = Instant::now();
            assert!(activity.within(std::future::pending::<()>()).await.is_none());
            assert_eq!(start.elapsed().as_secs(), IDLE.as_secs());
            let activity = Activity::new();
            let moves = async {
                for _ in 0..4 {
                    tokio::time::sleep(IDLE - SHORT).await;
                    activity.touch();
                }
            };
            let slow = tokio::time::sleep(4 * (IDLE - SHORT) + SHORT);
            assert!(tokio::join!(moves, activity.within(slow)).1.is_some());
        });
    }
}
