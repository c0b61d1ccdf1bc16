//! A run beside the agent's: a process of this program's that serves what the agent's plan has a plan of its own for.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fault;

/// This program, whatever became of its file.
const PROGRAM: &str = "/proc/self/exe";

/// The agent's run, which the other is a part of.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    agentfile: PathBuf,
    plan_sha256: String,
    run: String,
}

impl Agent {
    /// The run `run` of the plan with this digest (SHA-256, hex).
    pub(crate) fn new(agentfile: &Path, plan_sha256: &str, run: &str) -> Self {
        let (agentfile, plan_sha256) = (agentfile.to_owned(), plan_sha256.to_owned());
        Self { agentfile, plan_sha256, run: run.to_owned() }
    }

    /// The command `word` of this program's, for what is called `name`; whose streams it gets is the caller's to say.
    pub(crate) fn command(&self, word: &str, name: &str) -> Command {
        let supervisor = std::process::id().to_string();
        let mut command = Command::new(PROGRAM);
        command.arg(word).arg(&self.agentfile).args([name, &self.plan_sha256, &supervisor, &self.run]);
        // What a terminal tells the agent's run to do is not for it: it ends with the agent, or after it.
        command.process_group(0);
        fault::unarmed(&mut command);
        command
    }
}
