//! The program that lies inside a sandbox that has a broker (`runner/inside`).

/// It, as `build.rs` made it: static, for this machine.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inside"));
