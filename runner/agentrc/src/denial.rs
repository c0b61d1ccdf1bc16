//! What the gateway or the broker denied, as it goes on record.

use agentrc_audit::Event;
use agentrc_audit::event::Denial;
use agentrc_service::denied::Denied;

use crate::socket::Process;

/// The event of `count` such denials by `layer`; `process` is whoever tried it, if that is known.
#[must_use]
pub fn event(layer: &str, denied: Denied, count: u64, process: Option<Process>) -> Event {
    let Denied { act, verdict, reason, rule, limit } = denied.cut();
    if let Some(limit) = limit {
        return Event::Limit { limit, outcome: format!("denied ({act})"), count, origin: Some(rule) };
    }
    let (pid, program) = process.map(|process| (process.pid, process.name)).unzip();
    let (layer, reason) = (layer.to_owned(), Some(reason));
    Event::Denial(Denial { layer, act, pid, program, verdict, rule, reason, count })
}
