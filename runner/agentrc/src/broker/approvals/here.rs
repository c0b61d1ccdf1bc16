//! A question on the terminal of whoever runs the agent, and the answer: a decision like any other process's.

use agentrc_host::approvals::{Decision, Outcome, Scope};
use agentrc_jail::Reply;

use super::{Approvals, words};
use crate::terminal::escape;

impl Approvals {
    /// The question that waits longest.
    pub(in crate::broker) fn question(&self) -> Option<u64> {
        self.pending.keys().next().copied()
    }

    /// It in words, escaped, and whether all of it is in them.
    pub(in crate::broker) fn words(&self, number: u64) -> Option<(String, bool)> {
        let ticket = &self.pending.get(&number)?.ticket;
        Some(words::of(ticket))
    }

    /// A person has answered it on the terminal; what came of that.
    pub(in crate::broker) fn reply(&self, number: u64, reply: Reply) -> String {
        let Some(pending) = self.pending.get(&number) else { return "too late".to_owned() };
        let ticket = &pending.ticket;
        if ticket.is_over() {
            return "too late".to_owned();
        }
        let (outcome, scope) = match reply {
            Reply::Once => (Outcome::Approved, Scope::Once),
            Reply::Run => (Outcome::Approved, Scope::Run { count: None }),
            Reply::No => (Outcome::Denied, Scope::Once),
        };
        let decision = Decision::by_this_user(ticket, outcome, scope);
        // As any other process decides: who is first has decided.
        match self.tickets.as_ref().map(|tickets| tickets.decide(&decision)) {
            Some(Ok(true)) => outcome.word().to_owned(),
            Some(Ok(false)) => "it was decided elsewhere".to_owned(),
            Some(Err(error)) => format!("it cannot be decided: {}", escape(&error.to_string())),
            None => "it cannot be decided".to_owned(),
        }
    }
}
