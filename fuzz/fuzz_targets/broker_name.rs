//! Any bytes as a resource's URI or a URL that a tool is given. `corpus/broker_name` holds the seeds; a test of `agentrc-broker` runs them on every toolchain.
#![no_main]

#[path = "../../runner/broker/tests/invariants/mod.rs"]
#[allow(dead_code)] // What the other targets call.
mod invariants;

libfuzzer_sys::fuzz_target!(|source: &[u8]| invariants::name(source));
