//! MCP servers: started by the supervisor, each in a sandbox of its own, and asked by the broker over their standard input and
//! output. What a server says is as little trusted as what an agent does.

#[cfg(test)]
mod events;
mod lines;
pub(crate) mod pin;
#[cfg(test)]
mod remote;

pub use pin::Pins;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use agentfile::plan::{BrokerEntry, Origin, Plan, ToolDefinition};
use agentfile::server::tool_of;
use agentfile::tool;
use agentrc_audit::text::printable_text;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, ClientResult,
    ContentBlock, ErrorCode, ErrorData, Implementation, PaginatedRequestParams, ServerNotification,
    ServerRequest,
};
use rmcp::service::{NotificationContext, Peer, RequestContext, RunningService, Service};
use rmcp::transport::Transport;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Map, Value};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Semaphore;

use crate::outcome::Outcome;
use crate::server::lines::Lines;
use crate::server::pin::{definition, difference};

/// How long a server may take to say what its tools are.
const GREETING: Duration = Duration::from_secs(20);
/// How long it may take for one call.
const PATIENCE: Duration = Duration::from_secs(600);
/// Calls of one server at a time; further ones wait.
const CALLS: usize = 16;
/// Most characters of what is said of an error.
const COMPLAINT: usize = 8 * 1024;
/// Most tools that a server may have, and most answers in which it may tell them.
const TOOLS: usize = 1024;
const PAGES: usize = 64;
/// Tools that are named when one is missing.
const NAMES: usize = 30;
/// What a server that asks for something is told.
const NOTHING: &str = "nothing is offered to a server: no sampling, no elicitation, no roots";

/// A server of the plan's.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    /// What relative paths are below.
    pub(crate) directory: String,
    /// Whether it has a network: then what it gives comes from there.
    pub(crate) networked: bool,
    /// Those of its tools that lines declare and something permits.
    wanted: BTreeMap<String, Origin>,
    pins: RefCell<Pins>,
    peer: RefCell<Option<Peer<RoleClient>>>,
    /// How often it was connected to: a call that began with an earlier one has nothing to say of this.
    generation: Cell<u64>,
    calls: Semaphore,
}

/// A tool of a server's.
pub(crate) struct Found {
    /// As the server calls it.
    pub(crate) name: String,
    pub(crate) definition: ToolDefinition,
    pub(crate) origin: Origin,
    /// What is to be pinned, if it is new.
    pub(crate) new: Option<Value>,
}

/// The end of a server's connection.
pub(crate) type Connection = RunningService<RoleClient, Ours>;

/// What a server may ask of its client: whether it is there. Nothing else is offered, and so nothing else is answered.
pub(crate) struct Ours;

impl Service<RoleClient> for Ours {
    async fn handle_request(
        &self,
        request: ServerRequest,
        _: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        match request {
            ServerRequest::PingRequest(_) => Ok(ClientResult::empty(())),
            _ => Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, NOTHING, None)),
        }
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
        ClientConfig::new(ClientCapabilities::default(), ours)
    }
}

/// All servers of a plan, in its order.
pub(crate) fn all(plan: &Plan, pins: &BTreeMap<String, Pins>) -> Vec<Rc<Server>> {
    let servers = plan.broker.iter().filter_map(|entry| match entry {
        BrokerEntry::Mcp { name, plan: Some(server), origin, .. } => Some((name, server, origin)),
        _ => None,
    });
    let wanted = |server: &str| {
        let tools = plan.broker.iter().filter_map(|entry| match entry {
            BrokerEntry::Tool { namespace, name, permitted: true, origin, .. } if namespace == "mcp" => {
                let (of, tool) = tool_of(name)?;
                (of == server).then(|| (tool.to_owned(), origin.clone()))
            }
            _ => None,
        });
        tools.collect()
    };
    let server = |(name, server, origin): (&String, &Plan, &Origin)| Server {
        name: name.clone(),
        origin: origin.clone(),
        directory: server.workdir.clone(),
        networked: !server.egress.is_empty(),
        wanted: wanted(name),
        pins: RefCell::new(pins.get(name).cloned().unwrap_or_default()),
        peer: RefCell::new(None),
        generation: Cell::new(0),
        calls: Semaphore::new(CALLS),
    };
    servers.map(|(name, plan, origin)| Rc::new(server((name, plan, origin)))).collect()
}

impl Server {
    /// Greets the server behind these pipes (its standard input and output), and hears what its tools are. It is not asked for
    /// anything before that is what it was.
    ///
    /// # Errors
    /// It says nothing, or what cannot be taken.
    pub(crate) async fn connect(&self, pipes: [OwnedFd; 2]) -> Result<(Vec<Found>, Connection), String> {
        let [to, from] = pipes;
        let unusable = |error: std::io::Error| format!("its pipes cannot be used: {error}");
        for end in [&to, &from] {
            rustix::io::ioctl_fionbio(end, true).map_err(|errno| unusable(errno.into()))?;
        }
        let to = Sender::from_owned_fd(to).map_err(unusable)?;
        let from = Receiver::from_owned_fd(from).map_err(unusable)?;
        self.greet(Lines::new(to, from)).await
    }

    /// The same over any way to a server.
    async fn greet(
        &self,
        transport: impl Transport<RoleClient> + 'static,
    ) -> Result<(Vec<Found>, Connection), String> {
        let asked = async {
            let connection = Ours
                .serve(transport)
                .await
                .map_err(|error| format!("it does not speak MCP: {}", printable_text(&error.to_string())))?;
            let found = self.found(connection.peer()).await?;
            Ok::<_, String>((found, connection))
        };
        let (found, connection) = tokio::time::timeout(GREETING, asked)
            .await
            .map_err(|_| format!("it did not say what its tools are within {} s", GREETING.as_secs()))??;
        for one in &found {
            if let Some(new) = &one.new {
                self.pins.borrow_mut().insert(one.name.clone(), new.clone());
            }
        }
        self.generation.set(self.generation.get() + 1);
        *self.peer.borrow_mut() = Some(connection.peer().clone());
        Ok((found, connection))
    }

    /// The connection of this number is at its end. Whether it was the present one.
    pub(crate) fn ended(&self, generation: u64) -> bool {
        let present = self.generation.get() == generation;
        if present {
            *self.peer.borrow_mut() = None;
        }
        present
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Those of its tools that are wanted, each as it was pinned.
    async fn found(&self, peer: &Peer<RoleClient>) -> Result<Vec<Found>, String> {
        let mut listed = list(peer, &self.wanted).await?;
        let mut found = Vec::new();
        for (name, origin) in &self.wanted {
            let Some(said) = listed.tools.remove(name) else {
                let names = listed.names.join(", ");
                return Err(format!("it has no tool `{name}` ({origin}); it has {names}"));
            };
            let pinned = self.pins.borrow().get(name).cloned();
            if let Some(pinned) = pinned.as_ref().filter(|pinned| **pinned != said) {
                return Err(format!(
                    "its tool `{name}` is not what it was at its first use: {}",
                    printable_text(&difference(pinned, &said))
                ));
            }
            let definition = tool::of_server(&said)
                .map_err(|fault| format!("its tool `{name}` {}", printable_text(&fault.what)))?;
            let new = pinned.is_none().then_some(said);
            found.push(Found { name: name.clone(), definition, origin: origin.clone(), new });
        }
        Ok(found)
    }

    /// Calls its tool. At most `most` bytes of its answer are taken.
    pub(crate) async fn call(&self, tool: &str, arguments: &Map<String, Value>, most: usize) -> Outcome {
        let Ok(_one) = self.calls.acquire().await else {
            return Outcome::Error("the broker ends".to_owned());
        };
        let Some(peer) = self.peer.borrow().clone() else {
            return Outcome::Error(format!("the server `{}` has ended, and is not back yet", self.name));
        };
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        // Whoever stops waiting has it cancelled.
        match tokio::time::timeout(PATIENCE, peer.call_tool_once(params)).await {
            Err(_) => Outcome::Error(format!("it took more than {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => {
                Outcome::Error(format!("the server `{}`: {}", self.name, said(&error.to_string())))
            }
            Ok(Ok(CallToolResponse::Complete(result))) => outcome(result, most),
            // It wants something of the client, or of a person.
            Ok(Ok(_)) => Outcome::Error(format!(
                "the server `{}` asks for more than the call's arguments, which is refused",
                self.name
            )),
        }
    }
}

fn said(text: &str) -> String {
    printable_text(&agentrc_service::channel::cut(text))
}

/// What a server says of its tools: what may be long is kept only where it is wanted.
#[derive(Default)]
struct Listed {
    /// The definitions of those that are wanted.
    tools: BTreeMap<String, Value>,
    /// What the first ones are called, for whoever looks for another.
    names: Vec<String>,
    number: usize,
}

impl Listed {
    fn add(&mut self, tool: &Value, wanted: &BTreeMap<String, Origin>) -> Result<(), String> {
        let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
        self.number += 1;
        if self.number > TOOLS {
            return Err(format!("it has more than {TOOLS} tools"));
        }
        if self.names.len() < NAMES {
            self.names.push(printable_text(&name.chars().take(100).collect::<String>()));
        }
        if !wanted.contains_key(name) {
            return Ok(());
        }
        let said = definition(tool);
        let size = said.to_string().len();
        if size > tool::FILE_BYTES {
            return Err(format!("its tool `{name}` is described in {size} bytes, of at most 64 KiB"));
        }
        match self.tools.insert(name.to_owned(), said) {
            None => Ok(()),
            Some(_) => Err(format!("it has two tools `{name}`")),
        }
    }
}

/// Those of its tools that are wanted.
async fn list(peer: &Peer<RoleClient>, wanted: &BTreeMap<String, Origin>) -> Result<Listed, String> {
    let mut listed = Listed::default();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let params = cursor.take().map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let page = peer
            .list_tools(params)
            .await
            .map_err(|error| format!("it does not say what its tools are: {}", said(&error.to_string())))?;
        for tool in page.tools {
            let tool = serde_json::to_value(tool).map_err(|error| error.to_string())?;
            listed.add(&tool, wanted)?;
        }
        match page.next_cursor {
            None => return Ok(listed),
            next => cursor = next,
        }
    }
    Err(format!("it tells its tools in more than {PAGES} answers"))
}

/// What a result comes to.
fn outcome(result: CallToolResult, most: usize) -> Outcome {
    let CallToolResult { content, structured_content, is_error, .. } = result;
    let texts: Option<Vec<&str>> = content
        .iter()
        .map(|block| match block {
            ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        })
        .collect();
    if is_error == Some(true) {
        let text = texts.map(|texts| texts.join("\n")).filter(|text| !text.is_empty());
        let text = text.unwrap_or_else(|| "the tool failed".to_owned());
        return Outcome::Error(printable_text(&text.chars().take(COMPLAINT).collect::<String>()));
    }
    let outcome = match (structured_content, texts) {
        (Some(value), Some(_)) => Outcome::Value(value),
        (None, Some(texts)) => Outcome::Text(texts.join("\n")),
        (value, None) => Outcome::Content(content, value),
    };
    match outcome.bytes() {
        Ok(bytes) if bytes.len() <= most => outcome,
        Ok(_) => Outcome::Error(format!("the result has more than {most} bytes: ask for less")),
        Err(why) => Outcome::Error(why),
    }
}
