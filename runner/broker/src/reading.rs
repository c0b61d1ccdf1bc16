//! How the bytes of strangers are read, by themselves: for the property tests and the fuzzers (`fuzz/`).

use serde_json::Value;

pub use crate::facts::{canonical_url, resource};
pub use crate::server::Events;

/// A line of the agent's as the message that it is taken for, written again.
///
/// # Errors
/// What it is answered instead: one line of JSON.
pub fn message(line: &[u8]) -> Result<Value, Vec<u8>> {
    let message = crate::protocol::message(line)?;
    serde_json::to_value(message).map_err(|error| error.to_string().into_bytes())
}
