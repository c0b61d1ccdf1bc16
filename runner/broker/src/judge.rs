//! What the broker asks about a call. Who decides is not its business: the policies are the run's.

use crate::facts::Seen;

/// Decides.
pub trait Judge {
    /// Whether a call may be made.
    fn judge(&self, asked: &Asked<'_>) -> Verdict;
}

/// A question.
#[derive(Debug)]
pub enum Asked<'a> {
    /// `tool.invoke`, `function.invoke`
    Call {
        /// Which.
        kind: Called,
        /// Its name.
        name: &'a str,
        /// `utcp`, `local`, `function`, …
        namespace: &'a str,
        /// Its arguments as canonical JSON.
        arguments: &'a str,
        /// What they name.
        seen: &'a Seen,
        /// Calls of it in this run, this one included.
        call_count: u64,
        /// The least trusted of what the agent was given: `trusted`, `tool`, `network`.
        trust: &'a str,
        /// The MCP server that it is one of.
        server: Option<&'a str>,
    },
    /// `mcp.request`
    Server {
        /// Its name.
        name: &'a str,
        /// The protocol's: `tools/call`.
        method: &'a str,
        /// The tool that is asked for, as the server calls it.
        tool: &'a str,
    },
    /// `skill.invoke`
    Skill {
        /// Its name.
        name: &'a str,
    },
    /// `memory.read`, `memory.write`
    Memory {
        /// Its name.
        name: &'a str,
        /// The type of its values.
        schema: &'a str,
        /// Whether it is changed.
        write: bool,
        /// As for a tool.
        trust: &'a str,
    },
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// A tool.
    Tool,
    /// A function.
    Function,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may.
    pub permitted: bool,
    /// The policies that decided, with their lines; empty when there are none.
    pub rule: String,
    /// Why not, as a clause in lower case; empty when it may.
    pub reason: String,
}
