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
        /// Where it is; empty when it is started here.
        url: &'a str,
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
    /// Whether it may, once a person has approved what [`Verdict::approvals`] names.
    pub permitted: bool,
    /// The policies that decided, with their lines; empty when there are none.
    pub rule: String,
    /// Why not, as a clause in lower case; empty when it may.
    pub reason: String,
    /// What a person has to approve first.
    pub approvals: Vec<Asking>,
}

impl Verdict {
    /// That it may not, by no policy.
    pub(crate) fn refused(reason: &str) -> Self {
        Self { permitted: false, rule: String::new(), reason: reason.to_owned(), approvals: Vec::new() }
    }
}

/// A policy, or a rule of the host's, for which a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// Why, in words.
    pub reason: String,
    /// Its id, or its name in the host's configuration.
    pub id: String,
    /// Its line.
    pub origin: String,
}

/// What the host's configuration says about approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// What a person is asked about, whatever the policies say.
    pub asks: Vec<Rule>,
    /// What content that is not trusted may do to memories.
    pub untrusted: Untrusted,
}

/// An action that a person is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `tool.invoke`, `memory.write`, …
    pub action: String,
    /// On what of exactly this name; `None` on all.
    pub name: Option<String>,
    /// Where it says so.
    pub origin: String,
}

/// What content that is not trusted may do to memories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untrusted {
    /// Nothing says so: it changes what a person has approved, since policies or the host asked.
    Unsaid,
    /// It changes nothing, by this place.
    Refuse(String),
    /// A person is asked, by this place.
    Ask(String),
    /// It may, by this place.
    Allow(String),
}
