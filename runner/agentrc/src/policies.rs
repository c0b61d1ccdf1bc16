//! The plan's policies, as the gateway's and the broker's process ask them.

use agentfile::plan::Plan;
use agentrc_decide::{Act, Approval, Ceiling, Chain, Determining, Request};

/// The plan's policies.
pub struct Policies {
    chain: Chain,
    agent: String,
}

/// An answer.
pub struct Answer {
    /// Whether it may be done, once a person has approved what [`Answer::approvals`] names.
    pub permitted: bool,
    /// The policies that decided.
    pub determining: Vec<Determining>,
    /// The permits that a person has to approve first.
    pub approvals: Vec<Approval>,
    /// Why not, as a clause in lower case; empty when it may.
    pub reason: String,
}

impl Policies {
    /// Those of `plan`; when they cannot be read, nothing is permitted.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let ceiling = Ceiling::load_or_deny(&format!("the Agentfile of {}", plan.agent), &plan.cedar);
        Self { chain: Chain::new(vec![ceiling]), agent: plan.agent.clone() }
    }

    /// Whether the agent may do this.
    #[must_use]
    pub fn decide(&self, act: Act) -> Answer {
        let decision = self.chain.decide(&Request { agent: self.agent.clone(), act });
        let reason = decision.denial.map(|denial| denial.to_string()).unwrap_or_default();
        Answer {
            permitted: decision.allow,
            determining: decision.determining,
            approvals: decision.approvals,
            reason,
        }
    }
}
