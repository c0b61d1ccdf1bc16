//! The words of the programs that the supervisor starts for the broker: those of the plan, and of nobody else.

use std::ffi::CString;

use agentfile::plan::{BrokerEntry, CLIENT, Runs};

use super::LAYER;
use crate::refusal::Refusal;

/// The words of the program of an entry, if it has one.
pub(super) fn words(entry: &BrokerEntry) -> Result<Option<Vec<CString>>, Refusal> {
    let BrokerEntry::Tool { entity, definition: Some(definition), .. } = entry else { return Ok(None) };
    let words = match &definition.runs {
        Runs::Broker | Runs::Server => return Ok(None),
        Runs::Inside => vec![c_string(CLIENT)?, c_string("--builtin")?, c_string(entity)?],
        Runs::Program(path) => vec![c_string(path)?],
    };
    Ok(Some(words))
}

/// As exec(2) takes it.
pub(super) fn c_string(text: &str) -> Result<CString, Refusal> {
    CString::new(text).map_err(|_| Refusal::new(format!("`{text}` has a NUL byte")).step(LAYER))
}
