//! Any bytes as a question to the gateway's resolver. `corpus/dns` holds the seeds; a test of `agentrc-egress` runs them on every toolchain.
#![no_main]

#[path = "../../runner/egress/tests/invariants/mod.rs"]
#[allow(dead_code)] // What the other targets call.
mod invariants;

libfuzzer_sys::fuzz_target!(|source: &[u8]| invariants::resolver(source));
