//! The supervisor's side of approvals: makes the tickets, watches for what a person decides, and answers the broker. Everything is on
//! record before it takes effect, and everything but a decision that is whole, in time and about just this denies.

mod events;
mod here;
mod insisted;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use agentfile::plan::Plan;
use agentrc_audit::folder::Folder;
use agentrc_audit::line::{Digest, now};
use agentrc_broker::judge::Operator;
use agentrc_broker::report::{Asked, Call, LONGEST_ASKED, Order};
use agentrc_host::approvals::{Decision, FORMAT, Outcome, Policy, Scope, Ticket, Tickets, time_after};
use agentrc_host::runs::Run;
use agentrc_jail::Recorder;
use agentrc_service::channel::cut;

use self::insisted::insisted;
use super::{no_sense, unrecorded};
use crate::refusal::Refusal;
use crate::socket::Process;

/// Most tickets that wait at a time. A call that waits holds room among the requests that the broker has read: most of it is left for
/// calls that ask nobody.
const PENDING: usize = 12;
/// Most tickets of a run: a person is not to be worn out, nor a disk filled.
const TICKETS: u32 = 1000;
/// The name of nobody's ticket, where `--approve-none` answers.
const NONE: &str = "none";

/// How a person is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// How long a ticket waits.
    pub expiry: Duration,
    /// `--approve-none`: nobody is; each question is denied at once.
    pub none: bool,
    /// Nothing is said of it on standard error: the user is asked on the terminal, or wants no words.
    pub quiet: bool,
}

/// What an approval for the whole run holds for.
type Effect = (Option<usize>, String, String, Option<String>, Vec<Policy>);

/// A ticket that waits.
struct Pending {
    ticket: Ticket,
    /// The entry of the plan's that is asked about.
    entry: Option<usize>,
    until: Instant,
}

/// An approval that holds for more calls.
struct Standing {
    ticket: String,
    by: Option<u32>,
    /// How many more; `None` as many as there are.
    left: Option<u32>,
}

/// The tickets of a run.
pub(super) struct Approvals {
    folder: Folder,
    tickets: Option<Tickets>,
    run: String,
    agent: String,
    asking: Asking,
    /// For every entry of the plan's broker, whether it is a program that the host's configuration asks about, whatever the broker says.
    insisted: Vec<bool>,
    /// What the broker has said of the next question.
    parts: String,
    /// By the number of the question.
    pending: BTreeMap<u64, Pending>,
    standing: BTreeMap<Effect, Standing>,
    /// Questions that were approved, and whose call is not on record yet.
    approved: HashMap<u64, (String, String, Option<usize>)>,
    made: u32,
    /// The run has ended: nobody is asked any more.
    ended: bool,
}

impl Approvals {
    /// None yet.
    pub(super) fn new(run: &Run, plan: &Plan, operator: &Operator, asking: Asking) -> Result<Self, Refusal> {
        let folder = rustix::io::fcntl_dupfd_cloexec(run.folder(), 3)
            .map(|descriptor| Folder::new(descriptor, run.folder().path()))
            .map_err(|errno| {
                let error = std::io::Error::from(errno);
                Refusal::new(format!("the run's folder cannot be kept open: {error}")).step(super::LAYER)
            })?;
        Ok(Self {
            folder,
            tickets: None,
            run: run.id().to_owned(),
            agent: plan.agent.clone(),
            asking,
            insisted: insisted(plan, operator),
            parts: String::new(),
            pending: BTreeMap::new(),
            standing: BTreeMap::new(),
            approved: HashMap::new(),
            made: 0,
            ended: false,
        })
    }

    /// Some of the next question.
    pub(super) fn part(&mut self, text: &str) -> Result<(), String> {
        self.parts.push_str(text);
        if self.parts.len() > LONGEST_ASKED {
            return Err(no_sense("more about a question than it has"));
        }
        Ok(())
    }

    /// A whole question. The order, when it is answered at once.
    pub(super) fn ask(
        &mut self,
        number: u64,
        process: Option<Process>,
        recorder: &mut dyn Recorder,
    ) -> Result<Option<Order>, String> {
        let text = std::mem::take(&mut self.parts);
        let asked: Asked = serde_json::from_str(&text).map_err(|_| no_sense("a question that is none"))?;
        if asked.asking.is_empty()
            || self.pending.contains_key(&number)
            || self.approved.contains_key(&number)
        {
            return Err(no_sense("a question that is none"));
        }
        let refused = |reason: String| Ok(Some(Order::Refused { number, reason: cut(&reason) }));
        let entry = asked.entry;
        let ticket = self.ticket(asked);
        if self.ended {
            return refused("a person must approve it, and the run ends".to_owned());
        }
        if let Some(order) = self.stands(number, &ticket, entry, recorder)? {
            return Ok(Some(order));
        }
        if self.pending.len() >= PENDING {
            return refused(format!("a person must approve it, and {PENDING} calls wait for one already"));
        }
        if self.made >= TICKETS {
            return refused(format!("a person must approve it, and this run has asked {TICKETS} times"));
        }
        let ticket = match self.named(ticket) {
            Ok(ticket) => ticket,
            Err(reason) => {
                return refused(format!("a person must approve it, and cannot be asked: {reason}"));
            }
        };
        self.made += 1;
        recorder.record(&events::asked(&ticket, process)).map_err(unrecorded)?;
        if self.asking.none {
            let reason = "nobody is asked in this run (`--approve-none`)";
            events::decided(&ticket, Outcome::Denied, None, Some(reason), None, recorder)?;
            return refused(format!("a person must approve it, and {reason}"));
        }
        let tickets = self.tickets.as_ref().ok_or_else(|| no_sense("a question without a place"))?;
        if let Err(error) = tickets.create(&ticket) {
            let reason = format!("the ticket cannot be written: {error}");
            events::decided(&ticket, Outcome::Denied, None, Some(&reason), None, recorder)?;
            return refused(format!("a person must approve it, and {reason}"));
        }
        if !self.asking.quiet {
            words::tell(&ticket);
        }
        // A time that no clock reaches is not one that is waited for.
        let until = Instant::now().checked_add(self.asking.expiry).unwrap_or_else(Instant::now);
        self.pending.insert(number, Pending { ticket, entry, until });
        Ok(None)
    }

    /// The question as a ticket, without a name yet.
    fn ticket(&self, asked: Asked) -> Ticket {
        let (mut reasons, mut policies) = (Vec::new(), Vec::new());
        for (reason, id, origin) in asked.asking {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
            policies.push(Policy { id, origin });
        }
        policies.sort();
        policies.dedup();
        Ticket {
            format: FORMAT,
            id: String::new(),
            run: self.run.clone(),
            agent: self.agent.clone(),
            act: asked.act,
            // What is shown is what is digested: not the broker's word for it.
            arguments_sha256: Digest::of(asked.arguments.as_bytes()).to_string(),
            arguments: asked.arguments,
            effect: asked.effect,
            reasons,
            policies,
            created: now(),
            expires: time_after(self.asking.expiry),
        }
    }

    fn named(&mut self, mut ticket: Ticket) -> Result<Ticket, String> {
        if self.asking.none {
            NONE.clone_into(&mut ticket.id);
            return Ok(ticket);
        }
        let tickets = match self.tickets.take() {
            Some(tickets) => tickets,
            None => Tickets::make(&self.folder).map_err(|error| error.to_string())?,
        };
        let tickets = self.tickets.insert(tickets);
        ticket.id = tickets.free_id().map_err(|error| error.to_string())?;
        Ok(ticket)
    }

    /// Whether an approval for the whole run holds for this, and is not used up.
    fn stands(
        &mut self,
        number: u64,
        ticket: &Ticket,
        entry: Option<usize>,
        recorder: &mut dyn Recorder,
    ) -> Result<Option<Order>, String> {
        let Some(standing) = self.standing.get_mut(&effect(entry, ticket)) else { return Ok(None) };
        match &mut standing.left {
            Some(0) => return Ok(None),
            Some(left) => *left -= 1,
            None => {}
        }
        let by = standing.by;
        let scope = Scope::Run { count: standing.left };
        let left = standing.left.map_or_else(String::new, |left| format!(", {left} more"));
        let ticket = Ticket { id: standing.ticket.clone(), ..ticket.clone() };
        let reason = format!("approved before, for this run{left}");
        events::decided(&ticket, Outcome::Approved, Some(scope), Some(&reason), by, recorder)?;
        Ok(Some(self.approve(number, ticket, entry)))
    }

    fn approve(&mut self, number: u64, ticket: Ticket, entry: Option<usize>) -> Order {
        self.approved.insert(number, (cut(&ticket.act), ticket.arguments_sha256, entry));
        Order::Approved { number, ticket: ticket.id }
    }

    /// A call is about to be put on record: one that says that it was approved was, and just it; one that the host asks about was.
    pub(super) fn used(&mut self, call: &Call) -> Result<(), String> {
        let insisted =
            call.entry.is_some_and(|entry| self.insisted.get(entry).is_none_or(|insisted| *insisted));
        match call.asked {
            None if !insisted => Ok(()),
            None => Err(no_sense("a call that nobody approved")),
            Some(number) => match self.approved.remove(&number) {
                Some((act, sha256, entry))
                    if act == call.act && sha256 == call.arguments_sha256 && entry == call.entry =>
                {
                    Ok(())
                }
                _ => Err(no_sense("a call that nobody approved")),
            },
        }
    }

    /// Nobody waits for the answer any more.
    pub(super) fn withdraw(
        &mut self,
        number: u64,
        recorder: &mut dyn Recorder,
    ) -> Result<Option<Order>, String> {
        self.approved.remove(&number);
        let Some(pending) = self.pending.remove(&number) else { return Ok(None) };
        self.close(number, pending, Outcome::Denied, "nobody waits for it any more", recorder).map(Some)
    }

    /// Answers what was decided, and what has waited too long.
    pub(super) fn look(&mut self, recorder: &mut dyn Recorder) -> Result<Vec<Order>, String> {
        let mut orders = Vec::new();
        let numbers: Vec<u64> = self.pending.keys().copied().collect();
        for number in numbers {
            let Some(pending) = self.pending.get(&number) else { continue };
            let decided = self.decided(&pending.ticket);
            let late = Instant::now() >= pending.until || pending.ticket.is_over();
            if matches!(decided, Ok(None)) && !late {
                continue;
            }
            let Some(pending) = self.pending.remove(&number) else { continue };
            orders.push(match decided {
                Ok(None) => {
                    let reason = format!("nobody decided within {} s", self.asking.expiry.as_secs());
                    self.close(number, pending, Outcome::Expired, &reason, recorder)?
                }
                Ok(Some(decision)) => self.take(number, pending, decision, recorder)?,
                Err(reason) => {
                    self.refuse(number, &pending.ticket, Outcome::Denied, &reason, None, recorder)?
                }
            });
        }
        Ok(orders)
    }

    fn decided(&self, ticket: &Ticket) -> Result<Option<Decision>, String> {
        let tickets = self.tickets.as_ref().ok_or_else(|| "there is no place for tickets".to_owned())?;
        let decision = tickets.decision(&ticket.id, &ticket.arguments_sha256);
        decision.map_err(|error| format!("what was decided cannot be read: {error}"))
    }

    /// A decision is there.
    fn take(
        &mut self,
        number: u64,
        Pending { ticket, entry, .. }: Pending,
        decision: Decision,
        recorder: &mut dyn Recorder,
    ) -> Result<Order, String> {
        let Decision { outcome, scope, by, reason, .. } = decision;
        if outcome != Outcome::Approved {
            let reason = reason.unwrap_or_else(|| "a person denied it".to_owned());
            return self.refuse(number, &ticket, outcome, &reason, by, recorder);
        }
        events::decided(&ticket, outcome, Some(scope), None, by, recorder)?;
        if let Scope::Run { count } = scope {
            let left = count.map(|count| count.saturating_sub(1));
            let standing = Standing { ticket: ticket.id.clone(), by, left };
            self.standing.insert(effect(entry, &ticket), standing);
        }
        Ok(self.approve(number, ticket, entry))
    }

    /// Closes a ticket that nobody decided. Whoever was faster is heard.
    fn close(
        &mut self,
        number: u64,
        pending: Pending,
        outcome: Outcome,
        reason: &str,
        recorder: &mut dyn Recorder,
    ) -> Result<Order, String> {
        let ticket = &pending.ticket;
        let decision = Decision {
            format: FORMAT,
            ticket: ticket.id.clone(),
            arguments_sha256: ticket.arguments_sha256.clone(),
            outcome,
            scope: Scope::Once,
            by: None,
            reason: Some(reason.to_owned()),
            decided: now(),
        };
        let closed = self.tickets.as_ref().map(|tickets| tickets.decide(&decision));
        match (closed, self.decided(ticket)) {
            // Somebody decided at this very moment, and still in time.
            (Some(Ok(false)), Ok(Some(decision))) if outcome == Outcome::Expired => {
                self.take(number, pending, decision, recorder)
            }
            // That it cannot be closed on the disk makes it no more approved than it was.
            _ => self.refuse(number, ticket, outcome, reason, None, recorder),
        }
    }

    fn refuse(
        &self,
        number: u64,
        ticket: &Ticket,
        outcome: Outcome,
        reason: &str,
        by: Option<u32>,
        recorder: &mut dyn Recorder,
    ) -> Result<Order, String> {
        events::decided(ticket, outcome, None, Some(reason), by, recorder)?;
        let reason = format!("a person must approve it, and {reason} (ticket {})", ticket.id);
        Ok(Order::Refused { number, reason: cut(&reason) })
    }

    /// The run has ended: so has what waits.
    pub(super) fn end(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        self.ended = true;
        for (number, pending) in std::mem::take(&mut self.pending) {
            self.close(number, pending, Outcome::Denied, "the run ended", recorder)?;
        }
        Ok(())
    }
}

fn effect(entry: Option<usize>, ticket: &Ticket) -> Effect {
    let Ticket { act, arguments_sha256, effect, policies, .. } = ticket;
    (entry, act.clone(), arguments_sha256.clone(), effect.clone(), policies.clone())
}

#[cfg(test)]
mod tests;
