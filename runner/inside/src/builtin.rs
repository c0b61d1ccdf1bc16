//! The built-in tools that are carried out inside, in the sandbox of one call: the broker has checked the arguments, and what may be
//! opened is the kernel's to say. The result is JSON on standard output; `{"error": …}` and exit code 1 when it failed.

mod base64;
mod list;
mod open;
mod read;
mod search;
mod shell;
mod walk;
mod write;

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::{json, words};

/// Most bytes of arguments: what a message of the agent's may have, and room for its escapes.
pub(crate) const ARGUMENTS: u64 = 4 << 20;

/// Reads the arguments, carries it out, prints the result.
pub(crate) fn carry_out(name: &str) -> ExitCode {
    let (value, code) = match arguments().and_then(|arguments| perform(name, &arguments)) {
        Ok(value) => (value, ExitCode::SUCCESS),
        Err(why) => (json!({ "error": why }), ExitCode::FAILURE),
    };
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{value}").and_then(|()| stdout.flush()) {
        Ok(()) => code,
        Err(error) => {
            words::complain(&format!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// From its arguments to its result.
type Tool = fn(&Arguments) -> Result<Value, String>;

fn perform(name: &str, arguments: &Arguments) -> Result<Value, String> {
    let (known, tool): (&[&str], Tool) = match name {
        "file_read" => (&["path", "offset", "limit", "encoding"], read::read),
        "file_write" => (&["path", "content", "encoding", "mode"], write::write),
        "file_list" => (&["path", "depth", "limit"], list::list),
        "file_search" => (&["path", "text", "names", "limit"], search::search),
        "shell" => (&["command", "directory", "timeout_seconds"], shell::shell),
        _ => return Err(format!("there is no built-in tool `{name}`")),
    };
    match arguments.0.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("there is no argument `{unknown}`")),
        None => tool(arguments),
    }
}

fn arguments() -> Result<Arguments, String> {
    let object = json::object(io::stdin().lock(), ARGUMENTS)?;
    object.map(Arguments).ok_or_else(|| "there are no arguments on standard input".to_owned())
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
    fn number(&self, name: &str, range: RangeInclusive<u64>, otherwise: u64) -> Result<u64, String> {
        match self.0.get(name) {
            None => Ok(otherwise),
            Some(value) => value
                .as_u64()
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("`{name}` is no number from {} to {}", range.start(), range.end())),
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
