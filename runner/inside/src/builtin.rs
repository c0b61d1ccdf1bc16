//! The built-in tools that are carried out inside, in the sandbox of one call: the broker has checked the arguments, and what may be
//! opened is the kernel's to say. The result is JSON on standard output; `{"error": …}` and exit code 1 when it failed.

mod base64;
mod list;
mod open;
mod read;
mod search;
mod shell;
mod write;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

/// Most bytes of arguments: what a message of the agent's may have.
const ARGUMENTS: u64 = 4 << 20;

/// Reads the arguments, carries it out, prints the result.
pub(crate) fn carry_out(name: &str) -> ExitCode {
    let (value, code) = match arguments().and_then(|arguments| perform(name, &Arguments(arguments))) {
        Ok(value) => (value, ExitCode::SUCCESS),
        Err(why) => (json!({ "error": why }), ExitCode::FAILURE),
    };
    let mut line = value.to_string();
    line.push('\n');
    match io::stdout().write_all(line.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn perform(name: &str, arguments: &Arguments) -> Result<Value, String> {
    match name {
        "file_read" => read::read(arguments),
        "file_write" => write::write(arguments),
        "file_list" => list::list(arguments),
        "file_search" => search::search(arguments),
        "shell" => shell::shell(arguments),
        _ => Err(format!("there is no built-in tool `{name}`")),
    }
}

fn arguments() -> Result<Map<String, Value>, String> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(ARGUMENTS + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read the arguments: {error}"))?;
    if bytes.len() as u64 > ARGUMENTS {
        return Err(format!("the arguments have more than {ARGUMENTS} bytes"));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("the arguments are no JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are no JSON: {error}")),
    }
}

/// Arguments by name; what has another type than it must have is an error, not another value.
struct Arguments(Map<String, Value>);

impl Arguments {
    fn text(&self, name: &str) -> Result<&str, String> {
        self.optional_text(name)?.ok_or_else(|| format!("`{name}` is missing"))
    }

    fn optional_text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| format!("`{name}` is no text")),
        }
    }

    /// A number of `range`, or `otherwise`.
    fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
        otherwise: u64,
    ) -> Result<u64, String> {
        match self.0.get(name) {
            None => Ok(otherwise),
            Some(value) => {
                let number = value.as_u64().filter(|number| range.contains(number));
                number
                    .ok_or_else(|| format!("`{name}` is no number from {} to {}", range.start(), range.end()))
            }
        }
    }

    /// One of `words`, the first when there is none.
    fn word<'a>(&self, name: &str, words: &[&'a str]) -> Result<&'a str, String> {
        let said = self.optional_text(name)?;
        let found = words.iter().find(|word| said.is_none_or(|said| said == **word));
        found.copied().ok_or_else(|| format!("`{name}` is none of: {}", words.join(", ")))
    }
}

/// As many of the first as fit: an index or a length.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
