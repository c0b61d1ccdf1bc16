//! `agentrc skill run`: one script of a skill, with no agent. An Agentfile is made for it and goes the way of every other:
//! the same compiler, the same launch. Here is what comes before that and after it.
//!
//! ```text
//! folder ─▶ script (which one, the Agentfile) ─▶ commands::run::execute ─▶ log ─▶ report ─▶ JSON, JUnit
//!                 scratch (the state directory of one run) ──┘    └── capture (the script's output)
//! ```

pub mod capture;
pub mod destination;
pub mod junit;
pub mod report;
pub mod scratch;
pub mod script;
