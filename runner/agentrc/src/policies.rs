//! The plan's policies, as the gateway's and the broker's process ask them.

use agentfile::plan::Plan;
use agentrc_decide::{Act, Ceiling, Chain, Determining, Request};

/// The plan's policies.
pub struct Policies {
    chain: Chain,
    agent: String,
}

/// An answer.
pub struct Answer {
    /// Whether it may be done.
    pub permitted: bool,
    /// The policies that decided.
    pub determining: Vec<Determining>,
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
        let reason = match (&decision.denial, decision.approvals.first()) {
            (Some(denial), _) => denial.to_string(),
            // A plan that asks a person is refused before the start; this is the second lock on that.
            (None, Some(approval)) => {
                format!("a person must approve it first ({approval}), and cannot be asked yet")
            }
            (None, None) => String::new(),
        };
        let permitted = decision.allow && reason.is_empty();
        Answer { permitted, determining: decision.determining, reason }
    }
}
