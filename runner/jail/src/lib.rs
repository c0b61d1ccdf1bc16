//! agentrc
