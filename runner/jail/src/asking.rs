//! What waits for a person is shown on the user's terminal, when the run has one, and the answer handed on.

use crate::pty::Relay;
use crate::{Broker, Recorder};

/// Shows the next question, and hands on an answer. What was decided elsewhere meanwhile is asked no more.
///
/// # Errors
/// Why the run must be killed.
pub(crate) fn converse(
    relay: Option<&mut Relay>,
    broker: &mut (dyn Broker + 'static),
    recorder: &mut dyn Recorder,
) -> Result<(), String> {
    let Some(relay) = relay.filter(|relay| relay.can_ask()) else { return Ok(()) };
    if let Some((number, reply)) = relay.reply() {
        relay.asked(&broker.reply(number, reply, recorder)?);
    }
    let next = broker.question();
    if relay.asks().is_some() && relay.asks() != next {
        relay.asked("no more to be decided here");
    }
    if let Some(number) = next.filter(|_| relay.asks().is_none())
        && let Some((text, approvable)) = broker.words(number)
    {
        relay.ask(number, &text, approvable);
    }
    Ok(())
}
