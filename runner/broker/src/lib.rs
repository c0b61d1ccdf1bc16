//! The one way to what a run uses of the host and of others. For now that is where the values of credentials come from;
//! tools, functions, skills, servers and memory come with the broker itself.
//!
//! [`credential::Resolver`] runs in a process of its own, before the sandbox exists. It reads what the sources name, hands
//! the values to the gateway, and ends. No host program is run.
#![forbid(unsafe_code)]

pub mod credential;
