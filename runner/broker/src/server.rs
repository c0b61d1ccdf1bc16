//! MCP servers: started by the supervisor, each in a sandbox of its own, and asked by the broker over their standard input and
//! output; or somewhere else, and asked over HTTP through the gateway. What a server says is as little trusted as what an agent does.

mod asks;
mod client;
mod events;
mod lines;
mod listed;
mod more;
mod pages;
pub(crate) mod pin;
mod place;
mod remote;

pub(crate) use asks::Ours;
pub(crate) use client::{Ask, Client};
pub use events::Events;
pub use pin::{Pins, difference};
pub(crate) use place::Place;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agentfile::plan::servers::{Asked, Reached};
use agentfile::plan::{Origin, Plan, ToolDefinition};
use agentfile::tool;
use agentrc_audit::text::printable_text;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
};
use rmcp::service::{ClientInitializeError, Peer, RunningService, ServiceError};
use rmcp::transport::Transport;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Map, Value};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{Semaphore, watch};

use crate::call::{Broker, Request};
use crate::judge::{self, Judge};
use crate::outcome::Outcome;
use crate::reporter::Reporter;
use crate::server::asks::{Caller, ELICITATION, SAMPLING, offers};
use crate::server::lines::Lines;
use crate::server::listed::list;
use crate::server::remote::{Posts, SESSION_OVER, UNANSWERED};

/// How long a server may take to say what its tools are.
const GREETING: Duration = Duration::from_secs(20);
/// How long it may take for one call.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a call waits for a session to begin anew.
const BACK: Duration = Duration::from_secs(10);
/// Calls of one server at a time; further ones wait.
const CALLS: usize = 16;
/// Most characters of what is said of an error.
const COMPLAINT: usize = 8 * 1024;

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
    generation: watch::Sender<u64>,
    /// Whether a policy may permit more of it than calls of its tools.
    pub(crate) more: bool,
    /// What it may ask for, and whom: those who wait for its calls, the last one last.
    offers: ClientCapabilities,
    callers: RefCell<Vec<Caller>>,
    numbers: Cell<u64>,
    /// Once there is one.
    pub(crate) broker: OnceCell<Weak<Broker>>,
    /// Where it is, if it is not started here.
    pub(crate) place: Option<Place>,
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

/// Why a connection over HTTP has ended, once it has.
pub(crate) type Why = Arc<OnceLock<String>>;

/// The end of a server's connection.
pub(crate) type Connection = RunningService<RoleClient, Ours>;

/// All servers of a plan that are asked, in its order. `placeholders` stand for the values of credentials.
///
/// # Errors
/// One is at no URL, or a placeholder cannot be sent.
pub(crate) fn all(
    plan: &Plan,
    pins: &BTreeMap<String, Pins>,
    placeholders: &BTreeMap<String, String>,
    judge: &dyn Judge,
) -> Result<Vec<Rc<Server>>, String> {
    let server = |Asked { name, reached, more, origin }: Asked<'_>| {
        let place = Place::of(&reached, placeholders);
        let place = place.map_err(|why| format!("the server `{name}` ({origin}) {why}"))?;
        let (directory, networked) = match reached {
            Reached::Started(plan) => (plan.workdir.clone(), !plan.egress.is_empty()),
            Reached::Remote { .. } => ("/".to_owned(), true),
        };
        let url = place.as_ref().map_or_else(String::new, |place: &Place| place.uri.to_string());
        let may = |method| {
            more && judge.judge(&judge::Asked::Server { name, method, tool: "", url: &url }).permitted
        };
        let offers = offers(may(SAMPLING), may(ELICITATION));
        let tools = plan.tools_of(name).filter(|(_, _, permitted)| *permitted);
        Ok(Rc::new(Server {
            name: name.to_owned(),
            origin: origin.clone(),
            directory,
            networked,
            wanted: tools.map(|(tool, origin, _)| (tool.to_owned(), origin.clone())).collect(),
            pins: RefCell::new(pins.get(name).cloned().unwrap_or_default()),
            peer: RefCell::new(None),
            generation: watch::Sender::new(0),
            more,
            offers,
            callers: RefCell::default(),
            numbers: Cell::default(),
            broker: OnceCell::new(),
            place,
            calls: Semaphore::new(CALLS),
        }))
    };
    plan.servers_asked().map(server).collect()
}

impl Server {
    /// Greets the server behind these pipes (its standard input and output), and hears what its tools are. It is not asked for
    /// anything before that is what it was.
    ///
    /// # Errors
    /// It says nothing, or what cannot be taken.
    pub(crate) async fn connect(
        self: &Rc<Self>,
        pipes: [OwnedFd; 2],
    ) -> Result<(Vec<Found>, Connection), String> {
        let [to, from] = pipes;
        let unusable = |error: std::io::Error| format!("its pipes cannot be used: {error}");
        for end in [&to, &from] {
            rustix::io::ioctl_fionbio(end, true).map_err(|errno| unusable(errno.into()))?;
        }
        let to = Sender::from_owned_fd(to).map_err(unusable)?;
        let from = Receiver::from_owned_fd(from).map_err(unusable)?;
        self.greet(Lines::new(to, from)).await
    }

    /// The same with the server at this place, by connections that `reporter` asks for; and why the connection will have ended.
    ///
    /// # Errors
    /// As for [`Server::connect`].
    pub(crate) async fn reach(
        self: &Rc<Self>,
        reporter: Rc<Reporter>,
        place: &Place,
    ) -> Result<(Vec<Found>, Connection, Why), String> {
        let posts = Posts::new(reporter, place.clone());
        let over = Arc::clone(&posts.over);
        match self.greet(posts).await {
            Ok((found, connection)) => Ok((found, connection, over)),
            // What the library makes of it says less.
            Err(reason) => Err(over.get().map_or(reason, |over| printable_text(over))),
        }
    }

    /// The same over any way to a server.
    async fn greet(
        self: &Rc<Self>,
        transport: impl Transport<RoleClient> + 'static,
    ) -> Result<(Vec<Found>, Connection), String> {
        let asked = async {
            let connection =
                Ours { server: Rc::clone(self) }.serve(transport).await.map_err(|error| match error {
                    // The words of the way to it, and none of its own.
                    ClientInitializeError::JsonRpcError(error)
                        if self.place.is_some() && error.code == UNANSWERED =>
                    {
                        said(&error.message)
                    }
                    error => format!("it does not speak MCP: {}", said(&error.to_string())),
                })?;
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
        *self.peer.borrow_mut() = Some(connection.peer().clone());
        self.generation.send_modify(|generation| *generation += 1);
        Ok((found, connection))
    }

    /// The connection of this number is at its end. Whether it was the present one.
    pub(crate) fn ended(&self, generation: u64) -> bool {
        let present = self.generation() == generation;
        if present {
            *self.peer.borrow_mut() = None;
        }
        present
    }

    pub(crate) fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Where it is, as policies see it: empty for one that is started here.
    pub(crate) fn url(&self) -> String {
        self.place.as_ref().map_or_else(String::new, |place| place.uri.to_string())
    }

    /// Those of its tools that are wanted, each as it was pinned.
    async fn found(&self, peer: &Peer<RoleClient>) -> Result<Vec<Found>, String> {
        // One that has no tools need not know what those are.
        if self.wanted.is_empty() {
            return Ok(Vec::new());
        }
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

    /// Whether it may ask for anything while a call of it is under way.
    pub(crate) fn may_ask(&self) -> bool {
        self.offers.sampling.is_some() || self.offers.elicitation.is_some()
    }

    /// Calls its tool for whoever asks by `request`. At most `most` bytes of its answer are taken.
    pub(crate) async fn call(&self, tool: &str, request: &Request, most: usize) -> Outcome {
        let Ok(_one) = self.calls.acquire().await else {
            return Outcome::Error("the broker ends".to_owned());
        };
        // Whom it may ask while it has the call.
        let _waits = self.called_by(request.client.as_ref(), request.pid);
        let arguments = &request.arguments;
        let before = self.generation();
        match self.asked(tool, arguments, most).await {
            Ok(outcome) => outcome,
            // It was not heard, and the session begins anew.
            Err(over) => {
                match tokio::time::timeout(BACK, self.generation.subscribe().wait_for(|now| *now > before))
                    .await
                {
                    Ok(Ok(_)) => self.asked(tool, arguments, most).await.unwrap_or_else(Outcome::Error),
                    Ok(Err(_)) | Err(_) => Outcome::Error(over),
                }
            }
        }
    }

    /// Its connection.
    fn present(&self) -> Result<Peer<RoleClient>, String> {
        let gone = || format!("the server `{}` has ended, and is not back yet", self.name);
        self.peer.borrow().clone().ok_or_else(gone)
    }

    /// What is said of an error: in the words of the way to it, where they are those.
    fn failed(&self, error: &ServiceError) -> String {
        let text = match error {
            ServiceError::McpError(error)
                if self.place.is_some() && [SESSION_OVER, UNANSWERED].contains(&error.code) =>
            {
                said(&error.message)
            }
            error => said(&error.to_string()),
        };
        format!("the server `{}`: {text}", self.name)
    }

    fn asks_for_more(&self) -> String {
        format!("the server `{}` asks for more than the call's arguments, which is refused", self.name)
    }

    /// Asks once.
    ///
    /// # Errors
    /// It knows the session no more, and did not hear this.
    async fn asked(
        &self,
        tool: &str,
        arguments: &Map<String, Value>,
        most: usize,
    ) -> Result<Outcome, String> {
        let peer = match self.present() {
            Ok(peer) => peer,
            Err(why) => return Ok(Outcome::Error(why)),
        };
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        // Whoever stops waiting has it cancelled.
        Ok(match tokio::time::timeout(PATIENCE, peer.call_tool_once(params)).await {
            Err(_) => Outcome::Error(format!("it took more than {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => {
                let what = self.failed(&error);
                match error {
                    ServiceError::McpError(error) if self.place.is_some() && error.code == SESSION_OVER => {
                        return Err(what);
                    }
                    _ => Outcome::Error(what),
                }
            }
            Ok(Ok(CallToolResponse::Complete(result))) => outcome(result, most),
            // It wants something of the client, or of a person.
            Ok(Ok(_)) => Outcome::Error(self.asks_for_more()),
        })
    }
}

fn said(text: &str) -> String {
    printable_text(&agentrc_service::channel::cut(text))
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
