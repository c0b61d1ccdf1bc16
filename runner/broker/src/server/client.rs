//! The agent's client, as somebody whom a server asks while a call of his is under way.

use rmcp::RoleServer;
use rmcp::model::{ClientCapabilities, ClientResult, InputRequest, ServerRequest};
use rmcp::service::Peer;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::said;

/// Him, and how he can be asked.
#[derive(Debug, Clone)]
pub(crate) enum Client {
    /// Over his connection.
    Now(Peer<RoleServer>),
    /// By what his call is answered with, after which he calls again (MCP 2026-07-28, "Multi Round-Trip Requests").
    Later(ClientCapabilities, mpsc::Sender<Ask>),
}

/// What he is asked in an answer.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) request: InputRequest,
    /// His answer, when he has called again; or why he is not asked.
    pub(crate) answer: oneshot::Sender<Result<Value, String>>,
}

impl Client {
    /// What he says that he can do.
    pub(super) fn offers(&self) -> ClientCapabilities {
        match self {
            Self::Now(peer) => peer.peer_info().map(|info| info.capabilities.clone()).unwrap_or_default(),
            Self::Later(offers, _) => offers.clone(),
        }
    }

    /// Asks him.
    ///
    /// # Errors
    /// He does not answer, or something else than what was asked for.
    pub(super) async fn ask(&self, request: ServerRequest) -> Result<ClientResult, String> {
        let asks = match self {
            Self::Now(peer) => {
                return peer.send_request(request).await.map_err(|error| said(&error.to_string()));
            }
            Self::Later(_, asks) => asks,
        };
        let (request, wanted): (_, fn(&ClientResult) -> bool) = match request {
            ServerRequest::ElicitRequest(asked) => {
                (InputRequest::Elicitation(asked), |result| matches!(result, ClientResult::ElicitResult(_)))
            }
            ServerRequest::CreateMessageRequest(asked) => (InputRequest::CreateMessage(asked), |result| {
                matches!(result, ClientResult::CreateMessageResult(_))
            }),
            _ => return Err("nobody is asked that".to_owned()),
        };
        let (answer, answered) = oneshot::channel();
        let gone = || "the agent's client did not answer".to_owned();
        asks.send(Ask { request, answer }).await.map_err(|_| gone())?;
        let value = answered.await.map_err(|_| gone())??;
        let result = serde_json::from_value::<ClientResult>(value).ok().filter(wanted);
        result.ok_or_else(|| "the agent's client answered something else".to_owned())
    }
}
