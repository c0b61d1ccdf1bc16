//! What a call is decided about, and a person who is asked first where a policy or the host says so. An approval waives the click and
//! never the policy: after it everything is decided again.

use agentfile::plan::{Origin, Target};
use agentrc_audit::text::printable_text;
use agentrc_memory::{Approver, Effect, Provenance};
use serde_json::{Map, Value};

use crate::call::Broker;
use crate::facts::Seen;
use crate::judge::{self, Asking, Called, Untrusted, Verdict};
use crate::memory::{self, Confirms};
use crate::report::Asked;
use crate::reporter::Granted;
use crate::tools::{Does, Kind, Tool};

/// Settings of the host's, as the ticket names them.
const SETTING: &str = "approvals.require";
const MEMORY: &str = "memory.untrusted";

/// A call, as it is decided about.
pub(crate) struct Question<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    pub(crate) tool: &'a Tool,
    /// Its arguments, and the same as canonical JSON.
    pub(crate) given: &'a Map<String, Value>,
    pub(crate) arguments: &'a str,
    /// What it names, each of which is decided about; at least one.
    pub(crate) seen: &'a [Seen],
    /// For the record: `call file_read /work/a`.
    pub(crate) act: &'a str,
    /// The memory that it is about, if it is about one.
    pub(crate) memory: Option<Meant>,
    /// Who asks, as the host numbers it.
    pub(crate) pid: i32,
    /// Whether it belongs to a call that is counted already: a redirect.
    pub(crate) follows: bool,
}

/// A memory, and what is done to it.
pub(crate) struct Meant {
    pub(crate) name: String,
    pub(crate) schema: String,
    pub(crate) origin: Origin,
    pub(crate) act: memory::Act,
}

impl Question<'_> {
    /// What it is a call of.
    fn target(&self) -> Target {
        match &self.memory {
            Some(memory) => Target::Memory(memory.name.clone()),
            None => {
                let name = self.tool.entity.clone();
                match self.tool.kind {
                    Kind::Function => Target::Function(name),
                    Kind::Skill => Target::Skill(name),
                    Kind::Tool | Kind::Memory => Target::Tool(name),
                }
            }
        }
    }

    /// The action, and on what of which name, as Cedar knows them.
    fn action(&self) -> (&'static str, &str) {
        match &self.memory {
            Some(memory) if memory.act.changes() => ("memory.write", &memory.name),
            Some(memory) => ("memory.read", &memory.name),
            None => match self.tool.kind {
                Kind::Function => ("function.invoke", &self.tool.entity),
                Kind::Skill => ("skill.invoke", &self.tool.entity),
                Kind::Tool | Kind::Memory => ("tool.invoke", &self.tool.entity),
            },
        }
    }
}

/// Why a call is not performed.
pub(crate) enum Stopped {
    /// It must not be.
    Refused { reason: String, rule: String },
    /// It cannot be, whoever approves it.
    Error(String),
}

/// A call that is permitted, and approved where it had to be.
pub(crate) struct Settled<'a> {
    pub(crate) rule: String,
    /// What a person approved.
    pub(crate) granted: Option<Granted<'a>>,
    pub(crate) confirms: Confirms,
}

impl Broker {
    /// Whether it may be done now, and who has to be asked first.
    pub(crate) fn judged(&self, question: &Question<'_>) -> Verdict {
        let mut verdict = match &question.memory {
            Some(memory) => self.judge.judge(&judge::Asked::Memory {
                name: &memory.name,
                schema: &memory.schema,
                write: memory.act.changes(),
                trust: self.trust.get().word(),
            }),
            None => self.call_judged(question),
        };
        if let Some(memory) = question.memory.as_ref().filter(|_| verdict.rule.is_empty()) {
            verdict.rule = memory.origin.to_string();
        }
        let (action, name) = question.action();
        let asks = self
            .operator
            .asks
            .iter()
            .filter(|rule| rule.action == action && rule.name.as_deref().is_none_or(|only| only == name));
        verdict.approvals.extend(asks.map(|rule| Asking {
            reason: format!("this host asks before each `{action}` of `{name}`"),
            id: SETTING.to_owned(),
            origin: rule.origin.clone(),
        }));
        verdict
    }

    /// Whether a tool, a function or a skill may be called: with everything that the call names.
    fn call_judged(&self, question: &Question<'_>) -> Verdict {
        match question.tool.kind {
            Kind::Tool => self.of_server(&question.tool.does, self.each_judged(question, Called::Tool)),
            Kind::Function => self.each_judged(question, Called::Function),
            Kind::Skill => self.judge.judge(&judge::Asked::Skill { name: &question.tool.entity }),
            // It names none, and is asked about otherwise.
            Kind::Memory => Verdict::refused("it names no memory"),
        }
    }

    /// What is decided about each path and URL; the first that is refused, refuses.
    fn each_judged(&self, question: &Question<'_>, kind: Called) -> Verdict {
        let Question { tool, .. } = question;
        let mut all: Option<Verdict> = None;
        for seen in question.seen {
            let mut verdict = self.judge.judge(&judge::Asked::Call {
                kind,
                name: &tool.entity,
                namespace: &tool.namespace,
                arguments: question.arguments,
                seen,
                call_count: self.calls.borrow().get(question.name).copied().unwrap_or(0)
                    + u64::from(!question.follows),
                trust: self.trust.get().word(),
                server: self.server(&tool.does).map(|server| server.name.as_str()),
            });
            if !verdict.permitted {
                if let Some(what) = seen.what().filter(|_| question.seen.len() > 1) {
                    verdict.reason = format!("{}, for {}", verdict.reason, printable_text(what));
                }
                return verdict;
            }
            all = Some(match all {
                Some(all) => all.and(verdict),
                None => verdict,
            });
        }
        all.unwrap_or_else(|| Verdict::refused("nothing is known of what it names"))
    }

    /// What goes to a server needs two permits: to invoke the tool, and to ask the server.
    fn of_server(&self, does: &Does, verdict: Verdict) -> Verdict {
        let Does::Server { tool, .. } = does else { return verdict };
        if !verdict.permitted {
            return verdict;
        }
        let Some(server) = self.server(does) else { return Verdict::refused("the plan has no such server") };
        let (name, url) = (&server.name, &server.url());
        verdict.and(self.judge.judge(&judge::Asked::Server { name, method: "tools/call", tool, url }))
    }

    /// What limits count: the thing itself, and the server that it is of.
    pub(crate) fn targets(&self, question: &Question<'_>) -> Vec<Target> {
        let server = self.server(&question.tool.does).map(|server| Target::Server(server.name.clone()));
        std::iter::once(question.target()).chain(server).collect()
    }

    /// Decides, asks a person where one has to be asked, and decides again.
    ///
    /// # Errors
    /// Why it must not be done.
    pub(crate) async fn settled(&self, question: &Question<'_>) -> Result<Settled<'_>, Stopped> {
        let Verdict { permitted, rule, reason, approvals: mut asking } = self.judged(question);
        if !permitted {
            return Err(Stopped::Refused { reason, rule });
        }
        let refused = |reason: String| Stopped::Refused { reason, rule: rule.clone() };
        let mut confirms = match &self.operator.untrusted {
            Untrusted::Allow(place) => Confirms::Rule(Approver::new(place.clone())),
            Untrusted::Unsaid | Untrusted::Refuse(_) | Untrusted::Ask(_) => Confirms::Nobody,
        };
        let effect = self.unconfirmed(question, &rule, &mut asking)?;
        if asking.is_empty() {
            return Ok(Settled { rule, granted: None, confirms });
        }
        let asked = Asked {
            act: question.act.to_owned(),
            arguments: question.arguments.to_owned(),
            effect: effect.as_ref().map(|effect| effect.to_string()),
            asking: asking
                .iter()
                .map(|one| (one.reason.clone(), one.id.clone(), one.origin.clone()))
                .collect(),
            entry: question.tool.does.entry(),
        };
        let granted = self.reporter.ask(&asked, question.pid).await.map_err(&refused)?;
        let ticket = &granted.ticket;
        if let Some(effect) = effect {
            confirms = Confirms::Person(Approver::new(format!("approval {ticket}")), effect);
        }
        // Calls were counted meanwhile, and the agent was given other things.
        let Verdict { permitted, rule, reason, approvals } = self.judged(question);
        if !permitted {
            return Err(Stopped::Refused {
                reason: format!("{reason}, after ticket {ticket} was approved"),
                rule,
            });
        }
        if approvals.iter().any(|one| !asking.contains(one)) {
            let reason =
                format!("ticket {ticket} was approved, and now another approval is needed: ask again");
            return Err(Stopped::Refused { reason, rule });
        }
        Ok(Settled { rule, granted: Some(granted), confirms })
    }

    /// What content that is not trusted would change in a memory and a person has to see; whoever asks for that is added.
    fn unconfirmed(
        &self,
        question: &Question<'_>,
        rule: &str,
        asking: &mut Vec<Asking>,
    ) -> Result<Option<Box<Effect>>, Stopped> {
        let Some(memory) = question.memory.as_ref().filter(|memory| memory.act.changes()) else {
            return Ok(None);
        };
        let trust = self.trust.get();
        if !trust.needs_confirmation() {
            return Ok(None);
        }
        match &self.operator.untrusted {
            Untrusted::Allow(_) => return Ok(None),
            Untrusted::Unsaid if asking.is_empty() => return Ok(None),
            Untrusted::Unsaid => {}
            Untrusted::Refuse(place) => {
                let reason = format!(
                    "the agent has been given content from: {}; what it writes then changes nothing (`untrusted = \"refuse\"`, \
                     {place})",
                    trust.word()
                );
                return Err(Stopped::Refused { reason, rule: rule.to_owned() });
            }
            Untrusted::Ask(place) => asking.push(Asking {
                reason: format!("content from: {} changes a memory", trust.word()),
                id: MEMORY.to_owned(),
                origin: place.clone(),
            }),
        }
        let provenance = Provenance { run: self.run.clone(), call: "asked".to_owned(), trust };
        let effect = self.memories.effect(memory.act, &memory.name, question.given, &provenance);
        effect.map_err(|why| Stopped::Error(printable_text(&why)))
    }
}
