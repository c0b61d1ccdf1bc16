//! `agentrc skill run`: a skill's script with no agent. What it may do, what it returns, what is reported, and that nothing is
//! left of it.

// For clippy, which takes helpers for tests only where it is said.
#[cfg(test)]
mod reports;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod support;

/// The binary.
#[cfg(test)]
const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
