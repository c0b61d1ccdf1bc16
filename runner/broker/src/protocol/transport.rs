//! Lines of a unix socket as messages. What comes from the agent is bounded in length, in depth and in number, and is refused
//! when two readers could understand two things.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ClientNotification, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, watch};

use super::message::{self, INVALID_REQUEST};
use super::room::{LONGEST, Room, SMALL, TINY};
use super::splitter::Splitter;

/// Most requests of one connection that are not answered yet: then the next is not taken.
const UNANSWERED: usize = 16;
/// Answers of a connection that wait for an agent that does not read them; each is held until it is written.
const UNREAD: usize = 1;

/// What an unanswered request holds.
#[derive(Debug)]
struct Held {
    _request: OwnedSemaphorePermit,
    _bytes: Option<OwnedSemaphorePermit>,
}

/// Between two looks at whether an agent that asks nothing more is still there.
const LOOK: Duration = Duration::from_millis(20);

/// Requests that were read and not answered.
#[derive(Debug, Default)]
struct Open {
    ids: Mutex<HashMap<RequestId, Held>>,
    fewer: Notify,
}

impl Open {
    fn ids(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Held>> {
        // Nothing panics while it is held; and if it did, the set would still be one.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, id: &RequestId) {
        self.ids().remove(id);
        self.fewer.notify_one();
    }
}

/// One connection of the agent's.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: OwnedReadHalf,
    splitter: Splitter,
    writer: mpsc::Sender<Said>,
    open: Arc<Open>,
    room: Room,
    /// The room that a long line takes while it is read.
    long: Option<OwnedSemaphorePermit>,
    /// What was read and waits for room. Whoever waits for a message may stop that and begin anew: nothing is lost by it.
    next: Option<Next>,
    /// Dropped when the agent is gone.
    here: Option<watch::Sender<()>>,
}

/// A line to be written, and the request that it answers.
type Said = (Vec<u8>, Option<RequestId>);

/// On the way from a line to a message that is taken.
#[derive(Debug)]
enum Next {
    Line(Vec<u8>),
    Message(Box<RxJsonRpcMessage<RoleServer>>, Option<OwnedSemaphorePermit>),
    /// What is wrong with it, to be answered.
    Refusal(Vec<u8>),
}

/// What came of reading.
enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

impl Lines {
    /// Of a connected socket. Must be called on the runtime's local set.
    pub(crate) fn new(stream: UnixStream, room: Room, here: watch::Sender<()>) -> Self {
        let (reader, writer) = stream.into_split();
        let (sender, receiver) = mpsc::channel(UNREAD);
        let open = Arc::<Open>::default();
        tokio::task::spawn_local(write(writer, receiver, Arc::clone(&open)));
        Self {
            reader,
            splitter: Splitter::default(),
            writer: sender,
            open,
            room,
            long: None,
            next: None,
            here: Some(here),
        }
    }

    /// The next line. Nothing is lost when this is not waited for to its end.
    async fn line(&mut self) -> Line {
        loop {
            if let Some(line) = self.splitter.line() {
                return Line::Whole(line);
            }
            let begun = self.splitter.begun();
            if begun > LONGEST {
                return Line::TooLong;
            }
            if begun > SMALL && self.long.is_none() {
                self.long = self.room.bytes(LONGEST).await;
            }
            match self.reader.read_buf(&mut self.splitter.read).await {
                // Half a message is none.
                Ok(0) | Err(_) => return Line::End,
                Ok(_) => {}
            }
        }
    }

    /// Nothing more is asked. What was is still answered, as long as there is somebody to hear it.
    async fn answer_the_rest(&mut self) {
        while !self.open.ids().is_empty() {
            let mut watched = [PollFd::new(self.reader.as_ref(), PollFlags::empty())];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            // The end of both directions, which no event of the runtime's tells from that of one.
            if poll(&mut watched, Some(&now)).is_ok() && !watched[0].revents().is_empty() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.here = None;
    }

    /// The message of a line, or what is to be answered to it.
    fn message(&self, line: &[u8]) -> Result<RxJsonRpcMessage<RoleServer>, Vec<u8>> {
        let message = message::read(line)?;
        match &message {
            JsonRpcMessage::Request(request) if self.open.ids().contains_key(&request.id) => {
                let id = serde_json::to_value(&request.id).unwrap_or_default();
                Err(message::refusal(INVALID_REQUEST, "a request of this `id` is not answered yet", &id))
            }
            _ => Ok(message),
        }
    }

    /// One step from what was read towards a message. `None`: there is none yet.
    async fn step(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        match self.next.take()? {
            Next::Refusal(bytes) => {
                self.next = Some(Next::Refusal(bytes));
                // An agent that is gone needs no answer.
                let place = self.writer.reserve().await.ok();
                if let (Some(place), Some(Next::Refusal(bytes))) = (place, self.next.take()) {
                    place.send((bytes, None));
                }
                None
            }
            Next::Line(line) => {
                let number = line.len();
                self.next = Some(Next::Line(line));
                let room = if number <= TINY {
                    None
                } else if self.long.is_some() {
                    self.long.take()
                } else {
                    self.room.bytes(number).await
                };
                if let Some(Next::Line(line)) = self.next.take() {
                    self.next = Some(match self.message(&line) {
                        Ok(message) => Next::Message(Box::new(message), room),
                        Err(refusal) => Next::Refusal(refusal),
                    });
                }
                None
            }
            Next::Message(message, room) => {
                let JsonRpcMessage::Request(request) = &*message else { return Some(*message) };
                let id = request.id.clone();
                self.next = Some(Next::Message(message, room));
                while self.open.ids().len() >= UNANSWERED {
                    self.open.fewer.notified().await;
                }
                let permit = self.room.request().await?;
                let Some(Next::Message(message, room)) = self.next.take() else { return None };
                self.open.ids().insert(id, Held { _request: permit, _bytes: room });
                Some(*message)
            }
        }
    }
}

impl Transport<RoleServer> for Lines {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let answered = match &item {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        let bytes = serde_json::to_vec(&item).map_err(io::Error::other);
        let writer = self.writer.clone();
        // It counts as unanswered until it is written.
        async move { writer.send((bytes?, answered)).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if self.next.is_some() {
                let Some(message) = self.step().await else { continue };
                // What is cancelled is not answered.
                if let JsonRpcMessage::Notification(notification) = &message
                    && let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.open.close(id);
                }
                return Some(message);
            }
            match self.line().await {
                Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                Line::Whole(line) => self.next = Some(Next::Line(line)),
                Line::TooLong => {
                    let most = format!("a message has at most {LONGEST} bytes");
                    let refusal = message::refusal(INVALID_REQUEST, &most, &Value::Null);
                    // An agent that is gone needs no answer.
                    drop(self.writer.send((refusal, None)).await);
                    return None;
                }
                Line::End => {
                    self.answer_the_rest().await;
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes until nobody has anything to say any more, or the agent is gone.
async fn write(mut writer: OwnedWriteHalf, mut lines: mpsc::Receiver<Said>, open: Arc<Open>) {
    while let Some((mut line, answered)) = lines.recv().await {
        line.push(b'\n');
        let written = writer.write_all(&line).await;
        if let Some(id) = answered {
            open.close(&id);
        }
        if written.is_err() {
            return;
        }
    }
}
