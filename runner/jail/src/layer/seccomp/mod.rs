//! Layer 7: the system call filter: `policies/seccomp.toml` as a table (`table.rs`), as BPF (`bpf.rs`), on init and all
//! that comes from it.

mod bpf;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use agentfile::plan::Seccomp as Planned;
use rustix::io::Errno;

use super::{Layer, entry};
use crate::prove::{Act, Readings};
use crate::refusal::Refusal;
use crate::step::{Failure, Step, run};
use crate::sys::kernel::{self, Instruction};

/// The filter, assembled.
pub(crate) struct Seccomp {
    program: Vec<Instruction>,
}

impl Seccomp {
    /// Assembles the filter of the plan's profile.
    pub(crate) fn prepare(planned: &Planned) -> Result<Self, Refusal> {
        let refuse = |reason: String| Refusal::new(Step::PrepareSeccomp, reason).at(&planned.origin);
        run(Step::PrepareSeccomp, 0, || Ok(()))?;
        if planned.profile != table::PROFILE {
            return Err(refuse(format!(
                "the plan asks for the system call table `{}`, and this agentrc has `{}`",
                planned.profile,
                table::PROFILE
            )));
        }
        let program = program().ok_or_else(|| refuse("the system call table is too large".to_owned()))?;
        Ok(Self { program })
    }
}

fn program() -> Option<Vec<Instruction>> {
    assembled(table::CALLS, table::DEFAULT, table::FOREIGN_ABI)
}

fn assembled(
    calls: &[table::Call],
    default: table::Action,
    foreign: table::Action,
) -> Option<Vec<Instruction>> {
    let calls: BTreeMap<_, _> = calls.iter().map(|call| (call.number, call.decision)).collect();
    bpf::assemble(&calls, default, foreign)
}

/// Name of the gateway's table, for the evidence.
pub(crate) const GATEWAY: &str = table::gateway::PROFILE;

/// Puts the gateway's filter on this process, which has one thread and `no_new_privs`.
///
/// # Errors
/// seccomp(2).
pub(crate) fn gateway() -> Result<(), Errno> {
    let table = (table::gateway::CALLS, table::gateway::DEFAULT, table::gateway::FOREIGN_ABI);
    let program = assembled(table.0, table.1, table.2).ok_or(Errno::TOOBIG)?;
    kernel::seccomp(&program)
}

/// Name of the broker's table, for the evidence.
pub(crate) const BROKER: &str = table::broker::PROFILE;

/// Puts the broker's filter on this process, which has one thread and `no_new_privs`.
///
/// # Errors
/// seccomp(2).
pub(crate) fn broker() -> Result<(), Errno> {
    let table = (table::broker::CALLS, table::broker::DEFAULT, table::broker::FOREIGN_ABI);
    let program = assembled(table.0, table.1, table.2).ok_or(Errno::TOOBIG)?;
    kernel::seccomp(&program)
}

impl Layer for Seccomp {
    fn name(&self) -> &'static str {
        "seccomp"
    }

    fn apply(&self) -> Result<(), Failure> {
        run(Step::Seccomp, 0, || kernel::seccomp(&self.program))
    }

    fn probes(&self) -> &'static [Act] {
        &[
            Act::Mount,
            Act::NewNamespace,
            Act::PacketSocket,
            Act::VsockSocket,
            Act::Trace,
            Act::LoadBpf,
            Act::Keyring,
            Act::IoUring,
        ]
    }

    fn read_back(&self, readings: &Readings) -> Result<BTreeMap<String, String>, Refusal> {
        // 2 is SECCOMP_MODE_FILTER (proc_pid_status(5)).
        match readings.status("Seccomp")? {
            "2" => Ok(BTreeMap::from([entry("Seccomp", 2), entry("instructions", self.program.len())])),
            other => Err(Refusal::new(
                Step::ReadBack,
                format!("no system call filter is on the agent: Seccomp {other}"),
            )),
        }
    }
}
