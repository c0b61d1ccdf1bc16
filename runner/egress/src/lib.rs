//! The gateway: the one way from the sandbox's network namespace to the host's network. It stands outside, serves sockets
//! that were opened inside, and lets nothing pass that does not name, by address and in its first bytes, a destination that
//! the plan declares.
#![forbid(unsafe_code)]

pub mod credential;
pub mod dns;
pub mod hello;
pub mod names;
pub mod reach;
