//! The audit log: events, chain, signatures, verification.
#![forbid(unsafe_code)]

pub mod event;
