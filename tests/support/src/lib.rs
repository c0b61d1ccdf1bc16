//! What the behaviour tests in `tests/*.rs` share. A test builds a [`Lab`] (a folder with an Agentfile's folder, things
//! outside of it, and a copy of the `agentrc` binary), runs `agentrc` in it as root and as an ordinary user, and takes
//! its verdict from outside: files, listeners, `/proc` of the sandbox's processes as the host sees them, the audit log.
//!
//! A test that cannot run on a machine fails there, and says what is missing; none is skipped.

pub mod attack;
pub mod attempt;
pub mod audit;
pub mod broker;
pub mod client;
pub mod faults;
pub mod flood;
pub mod frames;
pub mod helper;
pub mod identity;
pub mod lab;
pub mod leftovers;
pub mod listener;
pub mod outcome;
pub mod outside;
pub mod race;
pub mod repository;
pub mod sdk;
pub mod servers;
pub mod service;
pub mod session;
pub mod terminal;
pub mod world;

pub use attempt::{Attempt, Control, Sign, withstand};
pub use helper::Helper;
pub use identity::{Identity, as_each, as_each_and_without_filter, as_root_only};
pub use lab::Lab;
pub use outcome::{Child, Outcome};
pub use session::{Answer, Session};
pub use terminal::Terminal;
pub use world::World;
