//! Stage 5: arms a plan layer by layer, proves from inside that each holds, and only then executes the command.
//!
//! ```text
//! supervisor:  resolve ─ prepare every layer ─ clone3 ─────────────── judge ─ record ─ go ─ supervise ─ reap
//! init (1):                                      └ apply every layer ─ fork ─ reap, forward signals
//! agent (2):                                                            └ probe ─ evidence ─ (go) ─ exec
//! ```
//!
//! No policy is made here: everything comes from the [`Plan`]. Between clone and exec nothing allocates or locks.
#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", target_endian = "little")))]
compile_error!("agentrc runs on little-endian Linux");

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use agentfile::plan::Plan;
use agentrc_audit::event::Event;

mod arming;
mod asking;
mod beside;
mod broker;
mod cgroup;
mod channel;
mod child;
mod command;
mod entrance;
mod environment;
mod fault;
mod filter;
mod gateway;
mod init;
mod launch;
mod layer;
mod placeholder;
pub mod probe;
mod prompt;
mod protect;
mod prove;
mod pty;
mod refusal;
mod resolve;
mod rising;
pub mod service;
mod signals;
mod sockets;
mod step;
mod streams;
mod supervise;
mod sys;

pub use broker::Broker;
pub use entrance::{Entered, Entrance, Work};
pub use filter::Filter;
pub use gateway::Gateway;
pub use launch::launch;
pub use prompt::Reply;
pub use refusal::Refusal;
pub use signals::{Signals, fail_beyond_file_size_limit};
pub use step::Step;

#[cfg(feature = "fault-injection")]
pub use child::Guarded;
#[cfg(feature = "fault-injection")]
pub use fault::{arm as arm_fault, disarm as disarm_fault, passed as passed_step};

/// One run, as the command line asks for it.
#[derive(Debug)]
pub struct Request<'a> {
    /// What will be enforced.
    pub plan: &'a Plan,
    /// Its digest, for the record.
    pub plan_sha256: &'a str,
    /// The Agentfile, for the record.
    pub agentfile: &'a Path,
    /// The folder that the plan's `./` paths are relative to.
    pub folder: &'a Path,
    /// Whether a `./` path may lead through a symbolic link that stays in that folder. Not where whoever can put a link there
    /// would gain by it.
    pub links: bool,
    /// What the plan's `~/` paths are relative to.
    pub home: Option<&'a Path>,
    /// agentrc's state directory, which no bind may show.
    pub state: &'a Path,
    /// This run's own folder in it, existing, for the layers of private copies; its name is the run's.
    pub run: &'a Path,
    /// Arguments after those of the plan's command.
    pub arguments: &'a [OsString],
    /// The place in the host's configuration that insists on a cgroup of the run's own.
    pub cgroup_required: Option<&'a str>,
    /// The certificate of the run's own authority, in PEM, for a plan with a trust bundle.
    pub trust: Option<&'a [u8]>,
    /// The program of ours that talks to the broker from inside, for a plan that shows it.
    pub client: Option<&'a [u8]>,
    /// Variables beside the plan's; none that the plan sets.
    pub environment: &'a [(OsString, OsString)],
    /// Version of agentrc, for the record.
    pub version: &'a str,
}

/// Where events go. Any error ends the run: before the command is executed it is a refusal, afterwards a kill.
pub trait Recorder {
    /// Opens the log: called once, after the clone, so that the sandbox never had the key that signs it.
    ///
    /// # Errors
    /// Why it cannot be opened, and what to do.
    fn open(&mut self) -> Result<(), Unopened>;

    /// Records one event; it is written when this returns.
    ///
    /// # Errors
    /// Why it could not be written.
    fn record(&mut self, event: &Event) -> Result<(), String>;

    /// Whether events can still be recorded; asked several times a second while the agent runs.
    ///
    /// # Errors
    /// Why not.
    fn check(&mut self) -> Result<(), String>;
}

/// Why the log could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unopened {
    /// As a clause in lower case.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What `agentrc run` returns: the program's own; 126, 127 when it could not be executed; 128 + a signal.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why the supervisor killed it, if it did.
    pub killed: Option<String>,
    /// Why the command could not be executed, if it could not.
    pub exec_failed: Option<String>,
    /// From the beginning of the launch to the end.
    pub wall: Duration,
    /// User and system time of everything in the agent's own sandbox that was waited for: of tools that entered, nothing.
    pub cpu: Duration,
    /// Peak resident set of the largest process, in KiB.
    pub peak_rss_kib: u64,
}
