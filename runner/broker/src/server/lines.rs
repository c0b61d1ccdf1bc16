//! The pipes of a server as messages of the protocol: one JSON object a line. What a server writes is bounded in length, and read
//! as strictly as what an agent writes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use agentfile::json;
use rmcp::RoleClient;
use rmcp::model::JsonRpcMessage;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{Semaphore, mpsc};

use crate::protocol::Splitter;

/// Longest message of a server's, in bytes.
const LONGEST: usize = 2 * 1024 * 1024;
/// Messages that wait for a server that does not read them.
const UNREAD: usize = 4;
/// What a server asked and was not answered yet, at most; and how long one may take to read an answer that has no place before.
const UNANSWERED: usize = 16;
const DEAF: Duration = Duration::from_secs(5);

/// What is said to a server, and what it says.
#[derive(Debug)]
pub(super) struct Lines {
    from: Receiver,
    splitter: Splitter,
    writer: mpsc::Sender<Said>,
    /// What it asked, and waits for a place among what is not answered yet. Nothing is lost when that is not waited for.
    next: Option<RxJsonRpcMessage<RoleClient>>,
    places: Arc<Semaphore>,
}

/// A line to be written, and whether it answers the server.
type Said = (Vec<u8>, bool);

impl Lines {
    /// Of its standard input and output. Must be called on the runtime's local set.
    pub(super) fn new(to: Sender, from: Receiver) -> Self {
        let (writer, lines) = mpsc::channel(UNREAD);
        let places = Arc::new(Semaphore::new(UNANSWERED));
        tokio::task::spawn_local(write(to, lines, Arc::clone(&places)));
        Self { from, splitter: Splitter::default(), writer, next: None, places }
    }

    /// The next line; `None` when there is none, or it is too long. Nothing is lost when this is not waited for to its end.
    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.splitter.line() {
                return Some(line);
            }
            let read = &mut self.splitter.read;
            if read.len() > LONGEST || self.from.read_buf(read).await.ok()? == 0 {
                return None;
            }
        }
    }
}

impl Transport<RoleClient> for Lines {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let bytes = serde_json::to_vec(&item).map_err(io::Error::other);
        let answers = matches!(&item, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_));
        let writer = self.writer.clone();
        async move { writer.send((bytes?, answers)).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) }
    }

    /// A server that writes what is no message, or asks without hearing the answers, is not listened to any further.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        while self.next.is_none() {
            let line = self.line().await?;
            if !line.iter().all(u8::is_ascii_whitespace) {
                self.next = Some(serde_json::from_value(json::read(&line).ok()?).ok()?);
            }
        }
        if let Some(JsonRpcMessage::Request(_)) = &self.next {
            // Given back when the answer is written.
            tokio::time::timeout(DEAF, self.places.acquire()).await.ok()?.ok()?.forget();
        }
        self.next.take()
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes until nobody has anything to say any more, or the server is gone.
async fn write(mut to: Sender, mut lines: mpsc::Receiver<Said>, places: Arc<Semaphore>) {
    while let Some((mut line, answers)) = lines.recv().await {
        line.push(b'\n');
        if to.write_all(&line).await.is_err() {
            return;
        }
        if answers {
            places.add_permits(1);
        }
    }
}
