//! What a launch needs of the broker: it gets the socket that was made inside, says when it serves it, and tells the supervisor
//! what is asked of it. What it is and how it decides is not the jail's business (`runner/broker`).

use std::os::fd::{BorrowedFd, OwnedFd};

use agentrc_audit::event::LayerEvidence;

use crate::{Entrance, Recorder, Reply, Unopened};

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

    /// Waits until it serves it. `go_on` is asked again and again meanwhile: a signal may have come.
    ///
    /// # Errors
    /// It cannot, or does not in time, or nobody is to wait any more.
    fn ready(&mut self, go_on: &dyn Fn() -> Result<(), Unopened>) -> Result<LayerEvidence, Unopened>;

    /// Whether all is there that the agent waits for, also of what needs a network and so is reached only when the run is on record.
    /// Asked again and again before the agent is started, while it is heard.
    ///
    /// # Errors
    /// It does not come.
    fn is_up(&mut self) -> Result<bool, Unopened> {
        Ok(true)
    }

    /// What a person can do about a reason of its own to end.
    fn help(&self, reason: &str) -> Option<String> {
        let _ = reason;
        None
    }

    /// Hears what it says, records it, and starts by the entrance what it asks for. All that entered is ended when the run ends.
    ///
    /// # Errors
    /// Why the run must be killed: it is gone, it says what it must not, or what it says cannot be recorded.
    fn heard(&mut self, entrance: &mut Entrance<'_>, recorder: &mut dyn Recorder) -> Result<(), String>;

    /// Does what is due by the clock, several times a second.
    ///
    /// # Errors
    /// Why the run must be killed.
    fn tick(&mut self, entrance: &mut Entrance<'_>, recorder: &mut dyn Recorder) -> Result<(), String>;

    /// The number of the question that a person is to be asked next, the same until it is answered. One that asks nobody has none.
    fn question(&self) -> Option<u64> {
        None
    }

    /// That question in words without control characters but line ends, and whether it can be approved where these are shown.
    fn words(&self, number: u64) -> Option<(String, bool)> {
        let _ = number;
        None
    }

    /// A person has answered it on the terminal. What came of it, in a few words.
    ///
    /// # Errors
    /// Why the run must be killed, as for [`Broker::heard`].
    fn reply(&mut self, number: u64, reply: Reply, recorder: &mut dyn Recorder) -> Result<String, String> {
        let _ = (number, reply, recorder);
        Err("a question that nobody asked was answered".to_owned())
    }

    /// The agent has ended: hears the rest, for at most a moment.
    ///
    /// # Errors
    /// What it said last cannot be recorded.
    fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String>;
}
