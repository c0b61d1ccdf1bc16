//! What a person is told at the end of a run, and its exit code.

use agentfile::plan::Plan;
use agentrc_host::StateDir;
use agentrc_host::review::Review;
use agentrc_jail::Ended;

use crate::recorder::Recorder;
use crate::{exit, terminal};

/// Closes the log, and says what a person has to know. Of a skill's call (`call`) an agent reads it: that learns nothing of the host.
pub(super) fn finish(plan: &Plan, program: &str, recorder: Recorder<'_>, ended: &Ended, call: bool) -> u8 {
    let mut code = exit::program(ended.exit_code);
    if ended.killed.is_some() && call {
        terminal::complain("agentrc: killed: the log of the call's run has why\n");
    } else if let Some(reason) = &ended.killed {
        terminal::complain(&format!("agentrc: killed: {}\n", terminal::escape(reason)));
    }
    if let Some(reason) = &ended.exec_failed {
        terminal::complain(&not_executed(plan, program, reason));
    }
    if let Err(error) = recorder.finish() {
        let why = if call { String::new() } else { format!(": {}", terminal::escape(&error.to_string())) };
        terminal::complain(&format!("agentrc: the audit log could not be closed{why}\n"));
        // A run whose log is not whole has not ended well, whatever its program says.
        code = exit::KILLED;
    }
    code
}

/// Why the program could not be executed, and what to look at.
fn not_executed(plan: &Plan, program: &str, reason: &str) -> String {
    let help = match reason.split(' ').next() {
        Some("ENOENT") => {
            "there is no such program inside, or the one that its first line (`#!`) names is not: `agentrc plan` says what is there"
        }
        Some("EACCES") => "it must be a file with execute permission, on a mount that may be executed from",
        Some("ENOEXEC") => "it is neither a program for this machine nor a script that begins with `#!`",
        _ => "`agentrc plan` says what is inside",
    };
    let origin = plan.command.as_ref().map(|command| format!(" [{}]", command.origin)).unwrap_or_default();
    let (program, reason, origin) =
        (terminal::escape(program), terminal::escape(reason), terminal::escape(&origin));
    format!("agentrc: `{program}` could not be executed inside: {reason}{origin}\n  help: {help}\n")
}

/// "3 files changed; review with …", or nothing when nothing did.
pub(super) fn review(state: &StateDir, run: &str) -> String {
    match Review::open(state, run).and_then(|review| review.changes()) {
        Ok(changes) if changes.is_empty() => String::new(),
        Ok(changes) => {
            let number = changes.len();
            let paths = if number == 1 { "1 path".to_owned() } else { format!("{number} paths") };
            format!("agentrc: {paths} changed; review with agentrc diff {run}\n")
        }
        Err(error) => {
            format!("agentrc: the copies cannot be read: {}\n", terminal::escape(&error.to_string()))
        }
    }
}
