//! One call from its name to its result. Everything that goes wrong on the way is a refusal or an error for the caller; nothing is
//! performed that is not permitted, counted and on record.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use agentfile::json;
use agentfile::plan::Target;
use agentrc_audit::line::Digest;
use agentrc_audit::text::printable_text;
use agentrc_memory::{Provenance, Trust};
use agentrc_service::channel::cut;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::approval::{Meant, Question, Settled, Stopped};
use crate::ending::{Ending, Killer};
use crate::judge::{Judge, Operator};
use crate::limits::Limits;
use crate::memory::{self, Confirms, Memories, lesser};
use crate::outcome::{self, Outcome};
use crate::program::{Ended, pipes};
use crate::protocol::Paused;
use crate::report::Call;
use crate::reporter::{Granted, Reporter};
use crate::search::Search;
use crate::server::{Client, Server};
use crate::tools::{Does, Kind, Tool, Tools};
use crate::{arguments, clock, facts};

/// How long a program may take, and how much longer than it says itself (`timeout_seconds` of a built-in one).
const PATIENCE: Duration = Duration::from_secs(600);
const MORE: Duration = Duration::from_secs(5);
/// Programs that run at a time; further calls wait.
const PROGRAMS: usize = 8;
/// The same of those that are runs of their own, each with the agent's limits for itself.
const APART: usize = 1;
/// Namespace of the tools that are built in.
const BUILT_IN: &str = "utcp";

/// What is known while the broker serves.
pub(crate) struct Broker {
    /// Those of a remote server come when it has said what they are: nobody keeps this borrowed while he waits.
    pub(crate) tools: RefCell<Tools>,
    pub(crate) servers: Vec<Rc<Server>>,
    pub(crate) memories: Memories,
    pub(crate) reporter: Rc<Reporter>,
    pub(crate) judge: Box<dyn Judge>,
    pub(crate) operator: Operator,
    pub(crate) limits: Limits,
    /// What relative paths are below.
    directory: String,
    /// The run, for where memories come from.
    pub(crate) run: String,
    pub(crate) calls: RefCell<HashMap<String, u64>>,
    /// The least trusted of what the agent was given in this run.
    pub(crate) trust: Cell<Trust>,
    programs: Semaphore,
    apart: Semaphore,
    /// Calls whose clients are asked something meanwhile.
    pub(crate) paused: Rc<Paused>,
    /// What the agent is given is searched for values, where the run has credentials.
    pub(crate) search: Option<Search>,
}

/// What a broker knows of its run.
pub(crate) struct Known {
    pub(crate) tools: Tools,
    pub(crate) servers: Vec<Rc<Server>>,
    pub(crate) memories: Memories,
    pub(crate) judge: Box<dyn Judge>,
    pub(crate) operator: Operator,
    pub(crate) limits: Limits,
    /// What relative paths are below.
    pub(crate) directory: String,
    /// The run, for where memories come from.
    pub(crate) run: String,
    /// Whether the agent has a network of its own.
    pub(crate) networked: bool,
}

/// A call as it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
    /// Words of a command line.
    pub(crate) words: Vec<String>,
    /// Who asks, as the host numbers it.
    pub(crate) pid: i32,
    /// And by which client, of which a server may ask something meanwhile.
    pub(crate) client: Option<Client>,
}

/// A call that is permitted and counted.
struct Permitted<'a> {
    request: &'a Request,
    /// Its arguments as canonical JSON.
    arguments: String,
    tool: &'a Tool,
    act: String,
    memory: Option<String>,
    rule: String,
    /// What a person approved, until it is done.
    granted: Option<Granted<'a>>,
    confirms: Confirms,
}

impl Broker {
    /// One that speaks through `reporter`.
    pub(crate) fn new(known: Known, reporter: Rc<Reporter>, search: Option<Search>) -> Self {
        let Known { tools, servers, memories, judge, operator, limits, directory, run, networked } = known;
        // What an agent with a network of its own was given there is not seen here.
        let trust = if networked { Trust::Network } else { Trust::Trusted };
        Self {
            tools: RefCell::new(tools),
            servers,
            memories,
            reporter,
            judge,
            operator,
            limits,
            directory,
            run,
            calls: RefCell::default(),
            trust: Cell::new(trust),
            programs: Semaphore::new(PROGRAMS),
            apart: Semaphore::new(APART),
            paused: Rc::default(),
            search,
        }
    }

    /// One call.
    pub(crate) async fn call(&self, mut request: Request) -> Outcome {
        let called = format!("call {}", printable_text(&request.name));
        let tool = self.tools.borrow().get(&request.name);
        let Some(tool) = tool.as_deref() else {
            let reason = "no line of the Agentfile declares a tool of this name that something permits";
            self.reporter.denied(&called, "refused", reason, "", request.pid).await;
            return Outcome::Refused(format!("there is no tool `{}`", printable_text(&request.name)));
        };
        if let Some(Err(why)) = self.search.as_ref().map(Search::is_there) {
            return Outcome::Error(why);
        }
        let fitted = self.fitted(tool, &mut request);
        let seen = match fitted {
            Ok(seen) => seen,
            Err(why) => {
                let rule = tool.origin.to_string();
                self.reporter.denied(&called, "invalid", &why, &rule, request.pid).await;
                return Outcome::Error(format!("the arguments of `{}` do not fit: {why}", request.name));
            }
        };
        let arguments = text(&request.arguments);
        let what = seen.first().and_then(facts::Seen::what);
        let mut act = what.map_or(called.clone(), |what| format!("{called} {}", printable_text(what)));
        let mut memory = None;
        if let Does::Memory(kind) = tool.does {
            let Some((name, schema, origin)) = self.memories.meant(kind, &request.arguments) else {
                return Outcome::Error("name one of the memories in `memory`".to_owned());
            };
            act = format!("{called} {name}");
            memory = Some(Meant { name, schema, origin, act: kind });
        }
        let question = Question {
            name: &request.name,
            tool,
            given: &request.arguments,
            arguments: &arguments,
            seen: &seen,
            act: &act,
            memory,
            pid: request.pid,
            follows: false,
        };
        let Settled { rule, granted, confirms } = match self.settled(&question).await {
            Ok(settled) => settled,
            Err(Stopped::Error(why)) => return Outcome::Error(why),
            Err(Stopped::Refused { reason, rule }) => {
                // Where no policy decided, the line that declares the tool is the one to look at.
                let (reason, line) = if rule.is_empty() {
                    (format!("{reason} (declared at {})", tool.origin), String::new())
                } else {
                    (reason, format!(" ({rule})"))
                };
                self.reporter.denied(&act, "refused", &reason, &rule, request.pid).await;
                return Outcome::Refused(format!("`{}` is refused: {reason}{line}", request.name));
            }
        };
        if let Err(why) = self.counted(&self.targets(&question), &act, &request.name, request.pid).await {
            return Outcome::Refused(why);
        }
        let memory = question.memory.map(|memory| memory.name);
        *self.calls.borrow_mut().entry(request.name.clone()).or_default() += 1;
        let permitted =
            Permitted { request: &request, arguments, tool, act, memory, rule, granted, confirms };
        self.perform(permitted).await
    }

    /// Counts it as a call of these; who asked knows it as `name`.
    ///
    /// # Errors
    /// The limit that is reached, in words.
    pub(crate) async fn counted(
        &self,
        targets: &[Target],
        act: &str,
        name: &str,
        pid: i32,
    ) -> Result<(), String> {
        let Err(limit) = self.limits.call(targets, Instant::now()) else { return Ok(()) };
        self.reporter.limited(limit, act, pid).await;
        Err(format!("`{name}` is refused: the limit `{}` ({}) is reached", limit.name(), limit.origin()))
    }

    /// What is put on record of it before it is done, and after: also when nobody waits any more.
    pub(crate) fn begun(&self, act: &str, arguments: &str, rule: String, pid: i32) -> (Call, Ending<'_>) {
        let id = self.reporter.next_call();
        let call = Call { id, ..recorded(act, arguments, rule, pid) };
        (call, Ending::new(&self.reporter, id, act.to_owned()))
    }

    /// Whether a server may ask the agent's client for something while this tool is called.
    pub(crate) fn may_ask(&self, name: &str) -> bool {
        let tool = self.tools.borrow().get(name);
        tool.is_some_and(|tool| self.server(&tool.does).is_some_and(|server| server.may_ask()))
    }

    /// The server that a tool is one of.
    pub(crate) fn server(&self, does: &Does) -> Option<&Rc<Server>> {
        if let Does::Server { server, .. } = does { self.servers.get(*server) } else { None }
    }

    /// Puts the arguments into the form that is decided about, and checks them.
    fn fitted(&self, tool: &Tool, request: &mut Request) -> Result<Vec<facts::Seen>, String> {
        let given = std::mem::take(&mut request.arguments);
        request.arguments = arguments::with_words(given, &request.words, &tool.input)?;
        if tool.does == Does::Request(None) {
            // Policies see what is done, said or not.
            request.arguments.entry("method").or_insert_with(|| "GET".into());
        }
        let whole = Value::Object(request.arguments.clone());
        if let Some(why) = tool.unfit(&whole) {
            return Err(printable_text(&why));
        }
        let seen = if let Does::Request(Some(template)) = &tool.does {
            // What a manual makes of the arguments is what is decided about.
            let made = agentfile::request::request(template, &request.arguments)?;
            let (url, host) = facts::canonical_url(&made.url).map_err(|why| format!("its URL {why}"))?;
            vec![facts::Seen { url, host, method: made.method, path: String::new() }]
        } else if matches!(tool.kind, Kind::Memory | Kind::Skill) {
            // A value is data, and an argument of a script is what the script makes of it.
            vec![facts::Seen::default()]
        } else {
            let directory = self.server(&tool.does).map_or(&self.directory, |server| &server.directory);
            facts::take(&tool.facts, &mut request.arguments, directory)
                .map_err(|why| cut(&printable_text(&why)))?
        };
        // What is decided about, and handed over, is what has to fit.
        match tool.unfit(&Value::Object(request.arguments.clone())) {
            Some(why) => Err(format!("in the form that is decided about: {}", printable_text(&why))),
            None => Ok(seen),
        }
    }

    async fn perform(&self, permitted: Permitted<'_>) -> Outcome {
        let Permitted { request, arguments, tool, act, memory, rule, granted, confirms } = permitted;
        let (call, ending) = self.begun(&act, &arguments, rule, request.pid);
        let id = call.id;
        let asked = granted.as_ref().map(|granted| granted.number);
        let call = Call { asked, entry: tool.does.entry(), ..call };
        let outcome = match (&tool.does, memory) {
            (Does::Request(_), _) => self.request(call, tool, request).await,
            (Does::Server { server, tool }, _) => self.ask(call, *server, tool, request).await,
            (Does::Execute { .. }, _) => self.execute(call, request, &arguments, tool).await,
            (does, memory) => match self.reporter.intent(call, &[]).await {
                Err(reason) => Outcome::Error(reason),
                Ok(()) => self.serve(does, memory.as_deref(), id, &request.arguments, &confirms),
            },
        };
        let outcome = self.searched(outcome, &act, request.pid).await;
        ending.tell(&outcome);
        outcome
    }

    /// What the broker does itself.
    fn serve(
        &self,
        does: &Does,
        memory: Option<&str>,
        id: u64,
        arguments: &Map<String, Value>,
        confirms: &Confirms,
    ) -> Outcome {
        match (does, memory) {
            (Does::Memory(kind), Some(name)) => {
                let provenance =
                    Provenance { run: self.run.clone(), call: id.to_string(), trust: self.trust.get() };
                match self.memories.perform(*kind, name, arguments, &provenance, confirms) {
                    Ok((value, trust)) => {
                        self.give(trust);
                        self.bounded(value)
                    }
                    Err(memory::Failed::Unconfirmed(why)) => Outcome::Refused(why),
                    Err(memory::Failed::Error(why)) => Outcome::Error(why),
                }
            }
            (Does::CurrentTime, _) => clock::now().map_or_else(Outcome::Error, Outcome::Value),
            (Does::Memory(_) | Does::Execute { .. } | Does::Server { .. } | Does::Request(_), _) => {
                Outcome::Error("it cannot be done here".to_owned())
            }
        }
    }

    /// A tool of a server.
    async fn ask(&self, call: Call, server: usize, tool: &str, request: &Request) -> Outcome {
        let Some(server) = self.servers.get(server) else {
            return Outcome::Error("the plan has no such server".to_owned());
        };
        if let Err(reason) = self.reporter.intent(call, &[]).await {
            return Outcome::Error(reason);
        }
        // Before anything of its answer can be known.
        self.give(server.trust());
        server.call(tool, request, self.limits.output()).await
    }

    /// A program, in a sandbox that the supervisor makes.
    async fn execute(&self, call: Call, request: &Request, arguments: &str, tool: &Tool) -> Outcome {
        let id = call.id;
        let room = if tool.apart { &self.apart } else { &self.programs };
        let Ok(_one) = room.acquire().await else {
            return Outcome::Error("the broker ends".to_owned());
        };
        let (ours, theirs) = match pipes() {
            Ok(pipes) => pipes,
            Err(error) => return Outcome::Error(format!("no pipes for its program: {error}")),
        };
        // What it says may reach the agent in other ways, and before it ends.
        self.give(if tool.networked { Trust::Network } else { Trust::Tool });
        // Whoever waits for this may stop at any moment; also one in which the supervisor starts it.
        let mut killer = Killer { reporter: &self.reporter, id, armed: true };
        if let Err(reason) = self.reporter.intent(call, &theirs.each()).await {
            killer.armed = false;
            return Outcome::Error(format!("its program was not started: {reason}"));
        }
        drop(theirs);
        // A built-in one keeps its own time first. What another's argument of that name means is not known.
        let asked = request.arguments.get("timeout_seconds").filter(|_| tool.namespace == BUILT_IN);
        let asked = asked.and_then(Value::as_u64);
        let patience =
            asked.map_or(PATIENCE, |asked| PATIENCE.min(Duration::from_secs(asked)).saturating_add(MORE));
        let ended = ours.run(arguments.as_bytes(), self.limits.output(), patience).await;
        killer.armed = matches!(ended, Ended::TooMuch | Ended::TooLong);
        outcome::of_program(tool, ended, &outcome::Bounds { output: self.limits.output(), patience })
    }

    /// The agent is given something of this trust.
    pub(crate) fn give(&self, trust: Trust) {
        self.trust.set(lesser(self.trust.get(), trust));
    }

    fn bounded(&self, value: Value) -> Outcome {
        let most = self.limits.output();
        if value.to_string().len() > most {
            return Outcome::Error(format!("the result has more than {most} bytes: ask for less"));
        }
        Outcome::Value(value)
    }
}

/// What is put on record of a call, whatever its number.
pub(crate) fn recorded(act: &str, arguments: &str, rule: String, pid: i32) -> Call {
    Call {
        id: 0,
        act: act.to_owned(),
        arguments_sha256: Digest::of(arguments.as_bytes()).to_string(),
        arguments: printable_text(arguments),
        rule,
        pid,
        asked: None,
        entry: None,
    }
}

/// Arguments as canonical JSON.
pub(crate) fn text(arguments: &Map<String, Value>) -> String {
    json::sorted(&Value::Object(arguments.clone())).to_string()
}
