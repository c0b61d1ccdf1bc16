//! What a call came to, of a program too: its exit code and output as a result, an error or a refusal. Of a function each error is
//! JSON, the same for the same fault.

use std::time::Duration;

use agentfile::json;
use agentrc_audit::text::printable_text;
use rmcp::model::ContentBlock;
use serde_json::{Map, Value};

use crate::program::Ended;
use crate::tools::{Kind, Tool};

/// What a program exits with when policy of its own refuses.
const REFUSED: i32 = 77;

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

/// What a program was held to.
pub(crate) struct Bounds {
    /// Most bytes of its output.
    pub(crate) output: usize,
    /// The time that it had.
    pub(crate) patience: Duration,
}

/// What `tool`, which is a program, came to.
pub(crate) fn of_program(tool: &Tool, ended: Ended, bounds: &Bounds) -> Outcome {
    let outcome = match ended {
        Ended::Exited { code: 0, output, .. } if tool.kind == Kind::Function => {
            return of_function(tool, &output);
        }
        Ended::Exited { code: 0, output, .. } => match json::read(&output) {
            Ok(value) => return Outcome::Value(value),
            Err(_) => return Outcome::Text(String::from_utf8_lossy(&output).into_owned()),
        },
        // A function of Python has no exit code of its own.
        Ended::Exited { code: REFUSED, complaint, .. } if !tool.adapted => {
            return Outcome::Refused(or(&complaint, "the tool refuses".to_owned()));
        }
        Ended::Exited { code, output, complaint } => {
            // The built-in ones, and our adapter, say it as JSON.
            let said = json::read(&output).ok();
            let said = said.as_ref().and_then(|value| value.get("error"));
            match said {
                Some(Value::String(said)) => ("Failed", said.clone()),
                Some(said @ Value::Object(_)) if tool.kind == Kind::Function => return fault_of(said),
                _ if tool.kind == Kind::Function => ("Failed", format!("it exited with {code}")),
                _ => ("Failed", or(&complaint, format!("the tool exited with {code}"))),
            }
        }
        Ended::Signalled { signal, complaint } => {
            let said = format!("the tool was ended by signal {signal}");
            ("Killed", if tool.kind == Kind::Function { said } else { or(&complaint, said) })
        }
        Ended::Unknown => ("Killed", "the tool's sandbox ended before the tool did".to_owned()),
        Ended::TooMuch => {
            ("TooMuch", format!("the tool wrote more than {} bytes, and was ended", bounds.output))
        }
        Ended::TooLong => {
            ("TooLong", format!("the tool took more than {} s, and was ended", bounds.patience.as_secs()))
        }
    };
    let (kind, message) = outcome;
    if tool.kind == Kind::Function { fault(kind, &message) } else { Outcome::Error(message) }
}

/// What a function that ended well said: our adapter `{"result": …}` or `{"error": …}`, a program its result.
fn of_function(tool: &Tool, output: &[u8]) -> Outcome {
    let Ok(said) = json::read(output) else {
        return fault("NoResult", "what it wrote is not one value of JSON");
    };
    let result = if tool.adapted {
        let Value::Object(mut members) = said else { return fault("NoResult", "it ended without a result") };
        match (members.len(), members.remove("result"), members.remove("error")) {
            (1, Some(result), None) => result,
            (1, None, Some(error)) => return fault_of(&error),
            _ => return fault("NoResult", "it ended without a result"),
        }
    } else {
        said
    };
    match tool.unfit_result(&result) {
        None => Outcome::Value(result),
        Some(why) => fault("WrongResult", &format!("its result is not of the type that it declares: {why}")),
    }
}

/// The error of a function that says so itself: its two texts, and nothing else of it.
fn fault_of(error: &Value) -> Outcome {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    match (text("type"), text("message")) {
        (Some(kind), Some(message)) => fault(kind, message),
        _ => fault("NoResult", "its error is not `{\"type\": …, \"message\": …}`"),
    }
}

fn fault(kind: &str, message: &str) -> Outcome {
    let members = [("message", message), ("type", kind)];
    let members = members.map(|(name, text)| (name.to_owned(), Value::String(printable_text(text))));
    let error = Value::Object(Map::from_iter(members));
    let document = Value::Object(Map::from_iter([("error".to_owned(), error)]));
    Outcome::Error(json::sorted(&document).to_string())
}

fn or(complaint: &str, otherwise: String) -> String {
    if complaint.is_empty() { otherwise } else { printable_text(complaint) }
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
