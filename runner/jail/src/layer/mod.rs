//! One enforcement mechanism a file, each behind the same small interface: *prepare* (its constructor, in the
//! supervisor, where allocation is allowed), *apply* (in the sandbox, where it is not), *probe* and *read back*.

use std::collections::BTreeMap;

use crate::prove::{Act, Readings};
use crate::refusal::Refusal;
use crate::step::Failure;

pub(crate) mod capabilities;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod seccomp;

/// A layer, prepared.
pub(crate) trait Layer {
    /// Its name, as in the evidence.
    fn name(&self) -> &'static str;

    /// Arms it, in init, between clone and exec: async-signal-safe, no allocation, no lock.
    fn apply(&self) -> Result<(), Failure>;

    /// Says, in the supervisor, what the operation `item` of a failed step was about: for refusals.
    fn blame(&self, failure: &Failure) -> Option<(String, agentfile::plan::Origin)> {
        let _ = failure;
        None
    }

    /// The forbidden acts that must fail once everything is armed, with the answers that prove it.
    fn probes(&self) -> &'static [Act];

    /// Compares what the kernel reports with what was armed; returns what is worth recording.
    fn read_back(&self, readings: &Readings) -> Result<BTreeMap<String, String>, Refusal>;
}

/// A pair for [`Layer::read_back`].
pub(crate) fn entry(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}
