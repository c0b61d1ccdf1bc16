//! What a launch needs of the gateway: it gets the sockets that were opened inside, says when it serves them, and tells the
//! supervisor what it denies. What it is and how it decides is not the jail's business (`runner/egress`).

use std::os::fd::{BorrowedFd, OwnedFd};

use agentrc_audit::event::LayerEvidence;

use crate::{Recorder, Unopened};

/// The supervisor's side of a running gateway.
pub trait Gateway {
    /// Readable when it has something to say, and when it is gone.
    fn channel(&self) -> BorrowedFd<'_>;

    /// Hands over the sockets: the resolver's first, then a listener for each port. `filtered`: the kernel lets nothing
    /// through that no line declares, so that whatever arrives of that kind is a disagreement.
    ///
    /// # Errors
    /// It cannot be reached.
    fn hand_over(&mut self, sockets: Vec<OwnedFd>, filtered: bool) -> Result<(), Unopened>;

    /// Waits until it serves them.
    ///
    /// # Errors
    /// It cannot, or does not in time.
    fn ready(&mut self) -> Result<LayerEvidence, Unopened>;

    /// Hears what it says, and records it. `init` is the sandbox's first process, by which those inside are found.
    ///
    /// # Errors
    /// Why the run must be killed: it is gone, it says what it must not, or what it says cannot be recorded.
    fn heard(&mut self, init: i32, recorder: &mut dyn Recorder) -> Result<(), String>;

    /// The agent has ended: hears the rest, for at most a moment.
    ///
    /// # Errors
    /// What it said last cannot be recorded.
    fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String>;
}
