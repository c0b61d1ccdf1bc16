//! The built-in tool `current_time`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The time in UTC (RFC 3339), and in seconds since 1970.
///
/// # Errors
/// A clock that is out of any calendar.
pub(crate) fn now() -> Result<Value, String> {
    let since =
        SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| "the clock is before 1970".to_owned())?;
    Ok(json!({ "time": agentrc_audit::line::now(), "unix_seconds": since.as_secs() }))
}
