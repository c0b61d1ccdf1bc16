//! Canonical form and digest of a plan: what a person consents to. Object keys are sorted, there is no white space, and
//! numbers are integers, so the same plan is the same bytes on every machine.

use super::Plan;

/// The plan as canonical JSON.
///
/// # Errors
/// Never for a plan that came from the compiler; serialisation is fallible in general.
pub fn canonical(plan: &Plan) -> Result<String, serde_json::Error> {
    // `serde_json::Value` keeps its objects in a sorted map.
    serde_json::to_string(&serde_json::to_value(plan)?)
}

/// SHA-256 (hex) of [`canonical`].
///
/// # Errors
/// As [`canonical`].
pub fn digest(plan: &Plan) -> Result<String, serde_json::Error> {
    Ok(sha256_hex(canonical(plan)?.as_bytes()))
}

/// SHA-256 of `bytes`, in hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
