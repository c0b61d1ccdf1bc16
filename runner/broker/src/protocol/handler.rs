//! The server's side of the protocol: which tools there are, and their calls; resources and prompts where a policy may permit some of a
//! server's. What this does not answer, the protocol's library refuses.

use std::rc::Rc;
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, ErrorCode,
    GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
    ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tokio::sync::watch;

use super::underway::{Step, Underway, Which};
use crate::call::{Broker, Request};
use crate::outcome::{Outcome, refused_meta, told};
use crate::server::Client;

/// The member of a call's `_meta` with words of a command line, from `/agentrc/tools/NAME`.
const WORDS: &str = "io.agentrc/argv";

/// The code of an error that is a refusal.
const REFUSED: ErrorCode = ErrorCode(-32001);

/// One connection's.
#[derive(Clone)]
pub(crate) struct Handler {
    broker: Rc<Broker>,
    pid: i32,
    /// Changes, or ends, when the connection is gone.
    gone: watch::Receiver<()>,
}

impl Handler {
    pub(crate) fn new(broker: Rc<Broker>, pid: i32, gone: watch::Receiver<()>) -> Self {
        Self { broker, pid, gone }
    }

    /// The call that a request asks for.
    fn request(
        &self,
        params: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<Request, ErrorData> {
        let words = match context.meta.0.0.get(WORDS) {
            None => Vec::new(),
            Some(words) => serde_json::from_value::<Vec<String>>(words.clone())
                .map_err(|_| ErrorData::invalid_params(format!("`{WORDS}` must be a list of texts"), None))?,
        };
        Ok(Request {
            name: params.name.into_owned(),
            arguments: params.arguments.unwrap_or_default(),
            words,
            pid: self.pid,
            client: Some(Client::Now(context.peer.clone())),
        })
    }
}

impl Handler {
    /// Waits for `done`, as long as somebody waits for this.
    async fn awaited<T>(
        &self,
        context: &RequestContext<RoleServer>,
        done: impl Future<Output = T>,
    ) -> Result<T, Outcome> {
        let mut gone = self.gone.clone();
        tokio::select! {
            done = done => Ok(done),
            () = context.ct.cancelled() => Err(Outcome::Error("it was cancelled".to_owned())),
            _ = gone.changed() => Err(Outcome::Error("the connection is gone".to_owned())),
        }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let tools = ServerCapabilities::builder().enable_tools();
        let passes = self.broker.servers.iter().any(|server| server.more);
        let capabilities =
            if passes { tools.enable_resources().enable_prompts().build() } else { tools.build() };
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("agentrc", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "The tools that this sandbox's Agentfile declares. A refusal says which rule decided, and which line to change.",
            )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.broker.tools.borrow();
        let tools = tools.iter().map(|(name, tool)| {
            let Value::Object(input) = tool.input.clone() else {
                return Err(ErrorData::internal_error(format!("the schema of `{name}` is no object"), None));
            };
            let mut shown = Tool::new(name.to_owned(), tool.description.clone(), Arc::new(input));
            shown.title.clone_from(&tool.title);
            shown.output_schema.clone_from(&tool.output);
            shown.annotations = Some(
                ToolAnnotations::new()
                    .read_only(tool.hints.read_only)
                    .destructive(tool.hints.destructive)
                    .idempotent(tool.hints.idempotent)
                    .open_world(tool.hints.open_world),
            );
            Ok(shown)
        });
        Ok(ListToolsResult::with_all_items(tools.collect::<Result<_, _>>()?))
    }

    async fn call_tool(
        &self,
        mut params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (state, responses) = (params.request_state.take(), params.input_responses.take());
        let request = self.request(params, &context)?;
        // What a client offers is only read where somebody may ask for it.
        let offers = self.broker.may_ask(&request.name).then(|| asked_later(&context)).flatten();
        let (mut underway, mut which) = match (state, offers) {
            (Some(state), _) => {
                let which = Which::of(&request);
                (self.broker.paused.resume(&state, &which, responses)?, which)
            }
            (None, Some(offers)) => {
                let which = Which::of(&request);
                (Underway::begin(Rc::clone(&self.broker), request, offers), which)
            }
            (None, None) => {
                let outcome = self.awaited(&context, self.broker.call(request)).await;
                return Ok(result(outcome.unwrap_or_else(|outcome| outcome)).into());
            }
        };
        loop {
            match self.awaited(&context, underway.next()).await {
                Ok(Step::Asks(ask)) => match self.broker.paused.keep(underway, which, *ask) {
                    Ok(asked) => return Ok(asked.into()),
                    Err(goes_on) => (underway, which) = goes_on,
                },
                Ok(Step::Done(outcome)) | Err(outcome) => return Ok(result(outcome).into()),
            }
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let listed = self.awaited(&context, self.broker.resources(self.pid)).await.flatten();
        listed.map(ListResourcesResult::with_all_items).map_err(|outcome| error(&outcome))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let listed = self.awaited(&context, self.broker.templates(self.pid)).await.flatten();
        listed.map(ListResourceTemplatesResult::with_all_items).map_err(|outcome| error(&outcome))
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = self.awaited(&context, self.broker.read(&params.uri, self.pid)).await;
        read.flatten().map(Into::into).map_err(|outcome| error(&outcome))
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let listed = self.awaited(&context, self.broker.prompts(self.pid)).await.flatten();
        listed.map(ListPromptsResult::with_all_items).map_err(|outcome| error(&outcome))
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let got = self.broker.prompt(&params.name, params.arguments, self.pid);
        self.awaited(&context, got).await.flatten().map(Into::into).map_err(|outcome| error(&outcome))
    }
}

/// A call's outcome, as a client hears it.
fn result(outcome: Outcome) -> CallToolResult {
    let (text, failed, refused) = told(&outcome);
    let content = match &outcome {
        Outcome::Content(content, _) => content.clone(),
        _ => vec![ContentBlock::text(text)],
    };
    let mut result = if failed { CallToolResult::error(content) } else { CallToolResult::success(content) };
    if let Outcome::Value(value @ Value::Object(_)) | Outcome::Content(_, Some(value)) = outcome {
        result.structured_content = Some(value);
    }
    if refused {
        result.meta = Some(MetaObject(refused_meta()));
    }
    result
}

/// What a client offers that is asked in the answer to his call, if it is one of those.
fn asked_later(context: &RequestContext<RoleServer>) -> Option<ClientCapabilities> {
    let version = context.protocol_version()?;
    context.client_capabilities().filter(|_| version >= ProtocolVersion::V_2026_07_28)
}

/// What is told of that which is no call, and so has no result for it.
fn error(outcome: &Outcome) -> ErrorData {
    let (text, _, refused) = told(outcome);
    let data = refused.then(|| Value::Object(refused_meta()));
    ErrorData::new(if refused { REFUSED } else { ErrorCode::INTERNAL_ERROR }, text, data)
}
