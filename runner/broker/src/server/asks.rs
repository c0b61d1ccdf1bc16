//! What a server may ask of its client: whether it is there; and, where a policy on `mcp.request` permits it, words of a model's (sampling)
//! or a person's (elicitation). Those are asked of the agent's client that has called the server, and of nobody else.

use std::rc::{Rc, Weak};
use std::time::Duration;

use agentrc_audit::text::printable_text;
use rmcp::RoleClient;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientResult, ElicitRequestParams, ElicitationCapability, ErrorCode,
    ErrorData, FormElicitationCapability, Implementation, SamplingCapability, ServerNotification,
    ServerRequest,
};
use rmcp::service::{NotificationContext, RequestContext, Service};

use super::{Client, Server};
use crate::call::Broker;
use crate::judge::Verdict;

/// What a server that asks for something else is told.
const NOTHING: &str = "this is not offered to the server: no policy permits it";
/// How long a person, or a model, may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// The protocol's methods, as policies see them.
pub(super) const SAMPLING: &str = "sampling/createMessage";
pub(super) const ELICITATION: &str = "elicitation/create";

/// The client's side of a connection to a server.
pub(crate) struct Ours {
    pub(super) server: Rc<Server>,
}

/// Somebody who waits for a call of the server's.
pub(super) struct Caller {
    number: u64,
    client: Client,
    pid: i32,
}

/// One is no caller any more when this is dropped.
pub(super) struct Waiting<'a> {
    server: &'a Server,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.server.callers.borrow_mut().retain(|caller| caller.number != self.number);
    }
}

/// What is offered of these two.
pub(super) fn offers(sampling: bool, elicitation: bool) -> ClientCapabilities {
    let mut offers = ClientCapabilities::default();
    offers.sampling = sampling.then(SamplingCapability::default);
    // A form alone: an address that a person is led to is not in the request that is on record.
    let form = || ElicitationCapability::new().with_form(FormElicitationCapability::default());
    offers.elicitation = elicitation.then(form);
    offers
}

impl Service<RoleClient> for Ours {
    async fn handle_request(
        &self,
        request: ServerRequest,
        _: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        let method = match &request {
            ServerRequest::PingRequest(_) => return Ok(ClientResult::empty(())),
            ServerRequest::CreateMessageRequest(_) if self.server.offers.sampling.is_some() => SAMPLING,
            ServerRequest::ElicitRequest(asked)
                if self.server.offers.elicitation.is_some()
                    && matches!(asked.params, ElicitRequestParams::FormElicitationParams { .. }) =>
            {
                ELICITATION
            }
            _ => return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, NOTHING, None)),
        };
        let broker = self.server.broker.get().and_then(Weak::upgrade);
        let Some(broker) = broker else { return Err(failed("the agent is not there yet")) };
        broker.asked_by(&self.server, method, request).await
    }

    async fn handle_notification(
        &self,
        _: ServerNotification,
        _: NotificationContext<RoleClient>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn get_info(&self) -> ClientConfig {
        let ours = Implementation::new("agentrc", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(self.server.offers.clone(), ours)
    }
}

impl Server {
    /// Whom it may ask while this is kept.
    pub(super) fn called_by(&self, client: Option<&Client>, pid: i32) -> Waiting<'_> {
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        self.callers.borrow_mut().extend(client.cloned().map(|client| Caller { number, client, pid }));
        Waiting { server: self, number }
    }
}

impl Broker {
    /// A server asks for something that is offered: decided about again, counted and on record, as what the agent asks for is.
    async fn asked_by(
        &self,
        server: &Server,
        method: &'static str,
        request: ServerRequest,
    ) -> Result<ClientResult, ErrorData> {
        let act = format!("{method} for {}", server.name);
        // The last that called: which call it is about, the protocol does not say.
        let caller = server.callers.borrow().last().map(|caller| (caller.client.clone(), caller.pid));
        let Some((client, pid)) = caller else { return Err(failed("no call is under way")) };
        // Whoever is asked is the agent's.
        let request = self.searched_too(Ok(request), &act, pid).await.map_err(|why| failed(&why))?;
        let asked = serde_json::to_value(&request).map_err(|error| failed(&error.to_string()))?;
        let asked =
            asked.get("params").map(|params| agentfile::json::sorted(params).to_string()).unwrap_or_default();
        let offers = client.offers();
        let can = if method == SAMPLING { offers.sampling.is_some() } else { offers.elicitation.is_some() };
        if !can {
            return Err(failed("the agent's client does not offer it"));
        }
        let Verdict { permitted, rule, reason, .. } = self.request_judged(server, method, "");
        if !permitted {
            self.reporter.denied(&act, "refused", &reason, &rule, pid).await;
            return Err(failed(&reason));
        }
        let most = self.limits.output();
        if asked.len() > most {
            return Err(failed(&format!("it has more than {most} bytes")));
        }
        self.counted(&server.targets(), &act, &act, pid).await.map_err(|reason| failed(&reason))?;
        let (call, ending) = self.begun(&act, &asked, rule, pid);
        self.reporter.intent(call, &[]).await.map_err(|reason| failed(&reason))?;
        // What it asks is content, as what it answers is.
        self.give(server.trust());
        let answer = match tokio::time::timeout(PATIENCE, client.ask(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("it took more than {} s", PATIENCE.as_secs())),
        };
        ending.of(answer).map_err(|why| failed(&why))
    }
}

fn failed(why: &str) -> ErrorData {
    ErrorData::new(ErrorCode::INTERNAL_ERROR, printable_text(why), None)
}
