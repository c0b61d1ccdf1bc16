//! A connection on which one message is said, and one answered.

use std::io;

use rmcp::RoleServer;
use rmcp::model::JsonRpcMessage;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::mpsc;

/// The server's side of it.
pub(super) struct Once {
    message: Option<RxJsonRpcMessage<RoleServer>>,
    answers: mpsc::Sender<TxJsonRpcMessage<RoleServer>>,
}

/// The other side. When it is dropped, the connection is closed.
pub(super) struct Answer(mpsc::Receiver<TxJsonRpcMessage<RoleServer>>);

impl Once {
    pub(super) fn new(message: RxJsonRpcMessage<RoleServer>) -> (Self, Answer) {
        let (answers, receiver) = mpsc::channel(1);
        (Self { message: Some(message), answers }, Answer(receiver))
    }
}

impl Answer {
    /// Waits for it. What is said besides has nobody to hear it.
    pub(super) async fn wait(mut self) -> Option<TxJsonRpcMessage<RoleServer>> {
        loop {
            match self.0.recv().await? {
                answer @ (JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_)) => return Some(answer),
                JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => {}
            }
        }
    }
}

impl Transport<RoleServer> for Once {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let answers = self.answers.clone();
        async move { answers.send(item).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        if let Some(message) = self.message.take() {
            return Some(message);
        }
        self.answers.closed().await;
        None
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}
