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

/// What stands between the policies of a [`Verdict::rule`]; no id and no line has it.
pub const RULES: &str = ", ";

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may, once a person has approved what [`Verdict::approvals`] names.
    pub permitted: bool,
    /// The policies that decided, with their lines, [`RULES`] between them; empty when there are none.
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

    /// Both, of the same call: permitted by what permits each, and approved where one has to be. What is in both is said, and asked, once;
    /// the first that does not permit says why.
    pub(crate) fn and(mut self, other: Self) -> Self {
        if !self.permitted {
            return self;
        }
        if !other.permitted {
            return other;
        }
        for rule in other.rule.split(RULES).filter(|rule| !rule.is_empty()) {
            if !self.rule.split(RULES).any(|known| known == rule) {
                self.rule = if self.rule.is_empty() {
                    rule.to_owned()
                } else {
                    format!("{}{RULES}{rule}", self.rule)
                };
            }
        }
        for one in other.approvals {
            if !self.approvals.contains(&one) {
                self.approvals.push(one);
            }
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(permitted: bool, rule: &str, asks: &[&str]) -> Verdict {
        let asking =
            |id: &&str| Asking { reason: "why".to_owned(), id: (*id).to_owned(), origin: String::new() };
        Verdict {
            permitted,
            rule: rule.to_owned(),
            reason: String::new(),
            approvals: asks.iter().map(asking).collect(),
        }
    }

    #[test]
    fn what_is_in_both_is_said_and_asked_once_and_both_must_permit() {
        let both =
            verdict(true, "a [1], b [2]", &["a"]).and(verdict(true, "b [2], c [3], a [1]", &["a", "c"]));
        assert_eq!(both, verdict(true, "a [1], b [2], c [3]", &["a", "c"]));
        assert_eq!(verdict(true, "", &[]).and(verdict(true, "a", &[])), verdict(true, "a", &[]));
        let (yes, no) = (|| verdict(true, "a", &["a"]), || verdict(false, "x", &[]));
        assert_eq!(yes().and(no()), no());
        assert_eq!(no().and(yes()), no());
    }
}
