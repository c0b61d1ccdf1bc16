//! Stage 9, while the agent runs: the gateway, the one way from the sandbox's network namespace to the host's network. It
//! stands outside, in a process of its own, serves sockets that were opened inside, and lets nothing pass that does not
//! name, by address and in its first bytes, a destination that the plan declares.
//!
//! ```text
//! accept ─ destination (by address and port) ─ first bytes (hello, http) ─ judge ─ limits ─ record ─ upstream ─ pump
//! ```
#![forbid(unsafe_code)]

pub mod authority;
mod connection;
mod counted;
pub mod credential;
pub mod destination;
pub mod dns;
mod eager;
mod gateway;
pub mod hello;
pub mod http;
mod inward;
pub mod judge;
pub mod limits;
pub mod names;
mod places;
mod pump;
pub mod reason;
mod relay;
pub mod report;
pub mod reporter;
mod resolver;
#[cfg(test)]
mod sample;
mod search;
mod tls;
mod unmask;
pub mod upstream;

pub use gateway::{Config, run};
pub use tls::host_roots;
