//! What goes on record of tickets.

use agentrc_audit::Event;
use agentrc_host::approvals::{Outcome, Scope, Ticket};
use agentrc_jail::Recorder;
use agentrc_service::channel::cut;

use super::unrecorded;
use crate::socket::Process;

/// That a person is asked.
pub(super) fn asked(ticket: &Ticket, process: Option<Process>) -> Event {
    let rules: Vec<_> = ticket.policies.iter().map(ToString::to_string).collect();
    Event::Asked {
        ticket: ticket.id.clone(),
        act: cut(&ticket.act),
        arguments: cut(&agentrc_audit::text::printable_text(&ticket.arguments)),
        arguments_sha256: ticket.arguments_sha256.clone(),
        reasons: ticket.reasons.iter().map(|reason| cut(reason)).collect(),
        rule: cut(&rules.join(", ")),
        expires: ticket.expires.clone(),
        pid: process.as_ref().map(|process| process.pid),
        program: process.map(|process| process.name),
    }
}

/// Puts on record how a ticket ended.
pub(super) fn decided(
    ticket: &Ticket,
    outcome: Outcome,
    scope: Option<Scope>,
    reason: Option<&str>,
    by: Option<u32>,
    recorder: &mut dyn Recorder,
) -> Result<(), String> {
    let event = Event::Decided {
        ticket: ticket.id.clone(),
        act: cut(&ticket.act),
        arguments_sha256: ticket.arguments_sha256.clone(),
        outcome: outcome.word().to_owned(),
        scope: scope.map(|scope| scope.to_string()).unwrap_or_default(),
        reason: reason.map(cut),
        by,
    };
    recorder.record(&event).map_err(unrecorded)
}
