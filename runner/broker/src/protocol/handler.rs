//! The server's side of the protocol: which tools there are, and their calls. There are no resources, no prompts, and nothing is
//! asked of the client: what this does not answer, the protocol's library refuses.

use std::rc::Rc;
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    MetaObject, PaginatedRequestParams, RequestMetaObject, ServerCapabilities, ServerConfig, Tool,
    ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tokio::sync::watch;

use crate::call::{Broker, Request};
use crate::outcome::{Outcome, refused_meta, told};

/// The member of a call's `_meta` with words of a command line, from `/agentrc/tools/NAME`.
const WORDS: &str = "io.agentrc/argv";

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
    fn request(&self, params: CallToolRequestParams, meta: &RequestMetaObject) -> Result<Request, ErrorData> {
        let words = match meta.0.0.get(WORDS) {
            None => Vec::new(),
            Some(words) => serde_json::from_value::<Vec<String>>(words.clone())
                .map_err(|_| ErrorData::invalid_params(format!("`{WORDS}` must be a list of texts"), None))?,
        };
        Ok(Request {
            name: params.name.into_owned(),
            arguments: params.arguments.unwrap_or_default(),
            words,
            pid: self.pid,
        })
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
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
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let request = self.request(params, &context.meta)?;
        let mut gone = self.gone.clone();
        let outcome = tokio::select! {
            outcome = self.broker.call(request) => outcome,
            () = context.ct.cancelled() => Outcome::Error("it was cancelled".to_owned()),
            _ = gone.changed() => Outcome::Error("the connection is gone".to_owned()),
        };
        let (text, failed, refused) = told(&outcome);
        let content = match &outcome {
            Outcome::Content(content, _) => content.clone(),
            _ => vec![ContentBlock::text(text)],
        };
        let mut result =
            if failed { CallToolResult::error(content) } else { CallToolResult::success(content) };
        if let Outcome::Value(value @ Value::Object(_)) | Outcome::Content(_, Some(value)) = outcome {
            result.structured_content = Some(value);
        }
        if refused {
            result.meta = Some(MetaObject(refused_meta()));
        }
        Ok(result.into())
    }
}
