//! What a launch needs of the egress filter on the run's cgroup (`ebpf/`): attached before the agent's first connection,
//! proven by one that it refused, and listened to while the run lasts. Where a host cannot load it, it says why, and that is
//! part of the evidence.

use std::os::fd::BorrowedFd;

use agentrc_audit::event::LayerEvidence;

use crate::{Recorder, Unopened};

/// The supervisor's side of an egress filter.
pub trait Filter {
    /// Whether there must be a cgroup for it to be attached to, if the host has any.
    fn wants_cgroup(&self) -> bool;

    /// Attaches it. Returns whether it is attached: a host that cannot load it does without, unless its operator insists.
    ///
    /// # Errors
    /// It could be loaded here, and was not.
    fn attach(&mut self, cgroup: Option<BorrowedFd<'_>>) -> Result<bool, Unopened>;

    /// Binds it to the network namespace of `socket`.
    ///
    /// # Errors
    /// It cannot be bound.
    fn confine(&mut self, socket: BorrowedFd<'_>) -> Result<(), Unopened>;

    /// Reads back what the kernel says of it, and that it refused what was tried from inside.
    ///
    /// # Errors
    /// It is not as it was attached, or did not see the attempts.
    fn proven(&mut self) -> Result<LayerEvidence, Unopened>;

    /// Readable when it has refused something; `None` when it is not attached.
    fn ring(&self) -> Option<BorrowedFd<'_>>;

    /// Records what it has decided since the last time. Asked when the ring is readable, several times a second, and at the
    /// end. `init` is the sandbox's first process.
    ///
    /// # Errors
    /// Why the run must be killed: somebody detached it, it disagrees with the gateway, or nothing can be recorded.
    fn heard(&mut self, init: i32, recorder: &mut dyn Recorder) -> Result<(), String>;

    /// The same once the agent has ended, with all that was only counted.
    ///
    /// # Errors
    /// As [`Filter::heard`].
    fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String>;
}
