//! What a launch needs of the broker: it gets the socket that was made inside, says when it serves it, and tells the supervisor
//! what is asked of it. What it is and how it decides is not the jail's business (`runner/broker`).

use std::os::fd::{BorrowedFd, OwnedFd};

use agentrc_audit::event::LayerEvidence;

use crate::{Entrance, Recorder, Unopened};

/// The supervisor's side of a running broker.
pub trait Broker {
    /// Readable when it has something to say, and when it is gone.
    fn channel(&self) -> BorrowedFd<'_>;

    /// Hands over the socket inside, which listens. `init` is the sandbox's first process, by which those inside are told
    /// from others.
    ///
    /// # Errors
    /// It cannot be reached.
    fn hand_over(&mut self, listener: OwnedFd, init: i32) -> Result<(), Unopened>;

    /// Waits until it serves it.
    ///
    /// # Errors
    /// It cannot, or does not in time.
    fn ready(&mut self) -> Result<LayerEvidence, Unopened>;

    /// Hears what it says, records it, and starts by the entrance what it asks for. All that entered is ended when the run ends.
    ///
    /// # Errors
    /// Why the run must be killed: it is gone, it says what it must not, or what it says cannot be recorded.
    fn heard(&mut self, entrance: &mut Entrance<'_>, recorder: &mut dyn Recorder) -> Result<(), String>;

    /// Some time has passed: what waits for a person may be decided, or has waited too long. Called several times a second.
    ///
    /// # Errors
    /// Why the run must be killed, as for [`Broker::heard`].
    fn tick(&mut self, recorder: &mut dyn Recorder) -> Result<(), String>;

    /// The agent has ended: hears the rest, for at most a moment.
    ///
    /// # Errors
    /// What it said last cannot be recorded.
    fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String>;
}
