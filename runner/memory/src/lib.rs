//! What an agent keeps from one run to the next: the stores that `MEMORY` lines declare.
//!
//! ```text
//! schema file ─Schema::planned─▶ Schema ┐
//! state directory, agent, name ─────────┴─Store::open─▶ Store ─read, list, search, history─▶ Version
//!                                                         └─write, delete─▶ a new version, or NeedsConfirmation(Effect)
//!                                                                Approver::confirm(Effect) ─▶ Confirmation ─┘
//! ```
//!
//! One SQLite database per agent and name, in the state directory, outside every sandbox. The broker alone opens it, after
//! policy has permitted the act. Nothing is ever overwritten: a write or a deletion is one more version, with the run, the
//! call and the trust that it came from. What came from a tool or the network changes nothing without a [`Confirmation`],
//! which holds for exactly one change of one state. Why SQLite, what it costs, and what is not promised:
//! docs/decisions/0015-memory.md.
#![forbid(unsafe_code)]

mod change;
mod database;
mod effect;
mod error;
mod limits;
mod place;
mod provenance;
mod read;
mod schema;
mod store;
mod version;
mod words;

pub use effect::{Approver, Change, Confirmation, Effect};
pub use error::Error;
pub use limits::{Limits, Mode, PAGE_BYTES, PAGE_ITEMS, VALUE_BYTES_MAX, VALUE_DEPTH};
pub use provenance::{Provenance, Trust};
pub use schema::Schema;
pub use store::{Name, Store};
pub use version::{Listed, Page, Version};
