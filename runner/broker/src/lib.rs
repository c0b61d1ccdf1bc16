//! The one way to what a run does beyond computing in its sandbox: tools and memories, and where the values of credentials come
//! from. Two processes, both outside of the sandbox:
//!
//! [`credential::Resolver`] runs before the sandbox exists. It reads what the sources name, hands the values to the gateway, and ends.
//!
//! The broker ([`run`]) serves the unix socket that was opened inside, as long as the agent runs:
//!
//! ```text
//! line ─ message (protocol) ─ tool (tools) ─ arguments ─ facts ─ judge ─ a person (approval) ─ limits ─ record ─ program, server, memory or clock ─ result
//! ```
#![forbid(unsafe_code)]

mod approval;
mod arguments;
mod call;
mod clock;
mod counted;
pub mod credential;
mod ending;
pub mod facts;
pub mod judge;
mod limits;
mod memory;
mod outcome;
mod outward;
mod passed;
mod program;
mod protocol;
pub mod reading;
pub mod report;
mod reporter;
mod request;
mod schema;
mod search;
mod serve;
mod server;
mod tools;

pub use serve::{Config, run};
pub use server::{Pins, difference};
