//! agentrc
fn main() {}
