//! What came of a call: its result, or why there is none.

use rmcp::model::ContentBlock;
use serde_json::{Map, Value};

/// What a caller gets.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The result.
    Value(Value),
    /// A text that is no JSON.
    Text(String),
    /// What a server gave that is more than text, and the value beside it.
    Content(Vec<ContentBlock>, Option<Value>),
    /// It was tried, and failed.
    Error(String),
    /// It must not be done.
    Refused(String),
}

impl Outcome {
    /// The bytes of a result, as it is put on record.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Value(value) => Ok(value.to_string().into_bytes()),
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Content(content, value) => {
                serde_json::to_vec(&(content, value)).map_err(|error| error.to_string())
            }
            Self::Error(_) | Self::Refused(_) => Ok(Vec::new()),
        }
    }
}

/// What a caller is told of `outcome`: the text, and whether it is an error, and a refusal.
pub(crate) fn told(outcome: &Outcome) -> (String, bool, bool) {
    match outcome {
        Outcome::Value(value) => (value.to_string(), false, false),
        Outcome::Text(text) => (text.clone(), false, false),
        // Goes as it is, and not as a text.
        Outcome::Content(..) => (String::new(), false, false),
        Outcome::Error(why) => (why.clone(), true, false),
        Outcome::Refused(why) => (why.clone(), true, true),
    }
}

/// The result's `_meta` of a refusal.
pub(crate) fn refused_meta() -> Map<String, Value> {
    std::iter::once(("io.agentrc/refused".to_owned(), Value::Bool(true))).collect()
}
