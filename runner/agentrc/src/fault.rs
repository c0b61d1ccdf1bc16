//! Fault injection, for the steps of a run that are this crate's; those of the launch are the jail's. Compiled to
//! nothing unless the feature `fault-injection` is on, which only the test binary `agentrc-fault` needs.

/// The steps, in the order in which a run passes them: name, and what is done there.
pub const STEPS: &[(&str, &str)] = &[
    (CONFIGURATION, "read the host's configuration"),
    (STATE_DIRECTORY, "open the state directory"),
    (GRANTS, "read the grants"),
    (RUN_DIRECTORY, "make the run's folder"),
    (SERVER, "start an MCP server"),
    (AUDIT_APPEND, "append to the audit log"),
];

/// Reading the host's configuration.
pub const CONFIGURATION: &str = "configuration";
/// Opening the state directory.
pub const STATE_DIRECTORY: &str = "state-directory";
/// Reading the grants.
pub const GRANTS: &str = "grants";
/// Making the run's folder.
pub const RUN_DIRECTORY: &str = "run-directory";
/// Starting an MCP server.
pub const SERVER: &str = "server";
/// Appending to the audit log.
pub const AUDIT_APPEND: &str = "audit-append";

/// Fails when the step is the one that was armed.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn check(_: &str) -> Result<(), String> {
    Ok(())
}

/// A process of this program's own that is about to be started: the step that was armed is this one's alone.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn unarmed(_: &mut std::process::Command) {}

#[cfg(feature = "fault-injection")]
pub use enabled::main;
#[cfg(feature = "fault-injection")]
pub(crate) use enabled::{check, unarmed};

#[cfg(feature = "fault-injection")]
mod enabled {
    use std::process::ExitCode;
    use std::sync::OnceLock;

    use super::STEPS;
    use crate::{exit, terminal};

    /// Names the step that fails.
    const VARIABLE: &str = "AGENTRC_FAULT";
    static ARMED: OnceLock<String> = OnceLock::new();

    /// `agentrc` with the step that `AGENTRC_FAULT` names made to fail. `agentrc-fault fault-steps` lists all of them.
    #[must_use]
    pub fn main() -> ExitCode {
        if std::env::args_os().nth(1).is_some_and(|word| word == "fault-steps") {
            return exit::code(terminal::print(&steps()).map_or(exit::FAILURE, |()| exit::SUCCESS));
        }
        if let Some(name) = std::env::var_os(VARIABLE) {
            let name = name.to_string_lossy().into_owned();
            // A misspelt step would make a test pass that shows nothing.
            if !agentrc_jail::arm_fault(&name) && !STEPS.iter().any(|(step, _)| *step == name) {
                terminal::complain(&format!(
                    "error: `{VARIABLE}` names no step: `{}`\n",
                    terminal::escape(&name)
                ));
                return exit::code(exit::USAGE);
            }
            // Set once, here, before anything reads it.
            let _ = ARMED.set(name);
        }
        crate::main()
    }

    fn steps() -> String {
        let own = STEPS.iter().map(|(name, _)| *name);
        let jail = agentrc_jail::Step::ALL.iter().map(|step| step.name());
        own.chain(jail).map(|name| format!("{name}\n")).collect()
    }

    pub(crate) fn unarmed(command: &mut std::process::Command) {
        command.env_remove(VARIABLE);
    }

    pub(crate) fn check(step: &str) -> Result<(), String> {
        if ARMED.get().is_some_and(|armed| armed == step) {
            return Err(format!("fault injected at `{step}`"));
        }
        Ok(())
    }
}
