//! Any bytes as an Agentfile. `corpus/compile` holds the seeds; a test of `agentfile` runs them on every toolchain.
#![no_main]

#[path = "../../agentfile/tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|source: &[u8]| invariants::holds(source));
