//! Canonical form and digest of a plan: what a person consents to. Object keys are sorted, there is no white space, and
//! numbers are integers, so the same plan is the same bytes on every machine.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Plan;

/// The plan as canonical JSON.
///
/// # Errors
/// Never for a plan that came from the compiler; serialisation is fallible in general.
pub fn canonical(plan: &Plan) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    write(&serde_json::to_value(plan)?, &mut text)?;
    Ok(text)
}

/// Sorts for itself: whether `serde_json` keeps objects sorted depends on features that any other crate may turn on.
fn write(value: &Value, text: &mut String) -> Result<(), serde_json::Error> {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let mut separator = '{';
            for (name, member) in &sorted {
                text.push(std::mem::replace(&mut separator, ','));
                text.push_str(&serde_json::to_string(name)?);
                text.push(':');
                write(member, text)?;
            }
            text.push_str(if sorted.is_empty() { "{}" } else { "}" });
        }
        Value::Array(items) => {
            let mut separator = '[';
            for item in items {
                text.push(std::mem::replace(&mut separator, ','));
                write(item, text)?;
            }
            text.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&serde_json::to_string(value)?);
        }
    }
    Ok(())
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
