//! Approvals by a person: a call waits, another process decides, and what was decided is decided again by policy. As root and as an
//! ordinary user.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod again;
mod decided;
mod hostile;
mod memory;
mod support;
mod terminal;
