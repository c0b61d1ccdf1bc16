//! Tickets across all runs of the state directory, for who decides them.

use super::{Decision, Outcome, Scope, Ticket, Tickets, is_id};
use crate::error::Error;
use crate::runs::RunState;
use crate::state::StateDir;

/// A ticket and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The ticket.
    pub ticket: Ticket,
    /// How it stands.
    pub standing: Standing,
}

/// How a ticket stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It can be decided.
    Pending,
    /// Its time is over, and its supervisor has not closed it yet.
    Late,
    /// It was decided.
    Decided(Decision),
    /// Its run ended without a last word on it.
    Left,
}

impl Standing {
    /// In a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Late => Outcome::Expired.word(),
            Self::Decided(decision) => decision.outcome.word(),
            Self::Left => Outcome::Denied.word(),
        }
    }
}

impl StateDir {
    /// All tickets of all runs, oldest run first, and what could not be read.
    ///
    /// # Errors
    /// Listing the runs.
    pub fn tickets(&self) -> Result<(Vec<Found>, Vec<Error>), Error> {
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        for run in self.run_ids()? {
            match self.tickets_of(&run) {
                Ok(tickets) => {
                    for ticket in tickets {
                        match ticket {
                            Ok(ticket) => found.push(ticket),
                            Err(error) => wrong.push(error),
                        }
                    }
                }
                // Removed at this moment.
                Err(Error::NoRun(_)) => {}
                Err(error) => wrong.push(error),
            }
        }
        found.sort_by(|one, other| {
            (&one.ticket.run, &one.ticket.created).cmp(&(&other.ticket.run, &other.ticket.created))
        });
        Ok((found, wrong))
    }

    fn tickets_of(&self, run: &str) -> Result<Vec<Result<Found, Error>>, Error> {
        let opened = self.open_run(run)?;
        let Some(tickets) = Tickets::find(opened.folder())? else { return Ok(Vec::new()) };
        let runs = opened.state()? == RunState::Running;
        let ids = tickets.ids()?.into_iter();
        Ok(ids.filter_map(|id| found(&tickets, run, &id, runs).transpose()).collect())
    }

    /// The ticket of this name, with where it is.
    ///
    /// # Errors
    /// [`Error::NoTicket`]; it is damaged.
    pub fn ticket(&self, id: &str) -> Result<(Tickets, Found), Error> {
        // What is no name is never looked for.
        if !is_id(id) {
            return Err(Error::NoTicket(agentrc_audit::text::printable(id.as_bytes())));
        }
        for run in self.run_ids()?.into_iter().rev() {
            let opened = match self.open_run(&run) {
                Err(Error::NoRun(_)) => continue,
                opened => opened?,
            };
            let Some(tickets) = Tickets::find(opened.folder())? else { continue };
            let runs = opened.state()? == RunState::Running;
            if let Some(ticket) = found(&tickets, &run, id, runs)? {
                return Ok((tickets, ticket));
            }
        }
        Err(Error::NoTicket(id.to_owned()))
    }

    /// Decides the ticket `id` as the user who calls this.
    ///
    /// # Errors
    /// As [`StateDir::ticket`]; [`Error::Closed`]: it was decided, its time is over, or its run has ended.
    pub fn decide_ticket(&self, id: &str, outcome: Outcome, scope: Scope) -> Result<Ticket, Error> {
        let (tickets, Found { ticket, standing }) = self.ticket(id)?;
        let closed = |why: String| Err(Error::Closed { ticket: ticket.id.clone(), why });
        match standing {
            Standing::Pending => {}
            Standing::Late => return closed(format!("its time was over at {}", ticket.expires)),
            Standing::Decided(decision) => {
                return closed(format!("it was {} at {}", decision.outcome.word(), decision.decided));
            }
            Standing::Left => return closed(format!("its run `{}` has ended", ticket.run)),
        }
        let decision = Decision::by_this_user(&ticket, outcome, scope);
        if tickets.decide(&decision)? {
            Ok(ticket)
        } else {
            closed("somebody else has decided it at this moment".to_owned())
        }
    }
}

fn found(tickets: &Tickets, run: &str, id: &str, runs: bool) -> Result<Option<Found>, Error> {
    let Some(ticket) = tickets.ticket(id)? else { return Ok(None) };
    if ticket.run != run {
        return Err(tickets.damaged(&format!("{id}.json"), "it is another run's"));
    }
    let standing = match tickets.decision(id, &ticket.arguments_sha256)? {
        Some(decision) => Standing::Decided(decision),
        None if !runs => Standing::Left,
        None if ticket.is_over() => Standing::Late,
        None => Standing::Pending,
    };
    Ok(Some(Found { ticket, standing }))
}
