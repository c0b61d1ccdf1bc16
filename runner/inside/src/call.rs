//! One call of a tool from a command line: arguments in, `tools/call`, and what came of it out.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::session::{Failure, Session};
use crate::{json, words};

/// Most bytes of arguments.
const ARGUMENTS: u64 = 1 << 20;
/// The member of a call's `_meta` with the words of the command line, which the broker puts into the arguments as the tool's
/// schema says.
const WORDS: &str = "io.agentrc/argv";
/// Where tools are, for a name that was found by other ways than its path.
const TOOLS: &str = "/agentrc/tools";

/// Calls `tool`, which was called as `link`, with the JSON of standard input and the words of the command line; or prints what
/// lies beside it as its help.
///
/// # Errors
/// It could not be asked for, or what it gave cannot be printed.
pub(crate) fn carry_out(
    socket: &str,
    link: &Path,
    tool: &str,
    words: &[OsString],
) -> Result<ExitCode, String> {
    if let [only] = words
        && only == "--help"
    {
        return help(link, tool).map(|()| ExitCode::SUCCESS);
    }
    let answer = call(socket, tool, words)?;
    if let Some(text) = answer.out {
        print(text)?;
    }
    if let Some(text) = answer.complaint {
        words::complain(&text);
    }
    Ok(ExitCode::from(answer.code))
}

fn help(link: &Path, tool: &str) -> Result<(), String> {
    let folder = link.parent().filter(|folder| folder.is_absolute());
    let name = link.file_name().unwrap_or_default();
    let mut path = folder.unwrap_or(Path::new(TOOLS)).join(name).into_os_string();
    path.push(".help");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("there is no tool `{tool}`: {}: {error}", Path::new(&path).display()))?;
    print(words::printable(&text))
}

fn call(socket: &str, tool: &str, words: &[OsString]) -> Result<Answer, String> {
    let words = words.iter().map(|word| {
        word.to_str().ok_or_else(|| format!("`{}` is not UTF-8: give it as JSON", word.to_string_lossy()))
    });
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let mut params = json!({ "name": tool, "arguments": arguments()? });
    if let Some(members) = params.as_object_mut().filter(|_| !words.is_empty()) {
        members.insert("_meta".to_owned(), json!({ WORDS: words }));
    }
    match Session::open(socket).and_then(|mut session| session.ask("tools/call", &params)) {
        Ok(result) => Ok(Answer::of(&result)),
        Err(Failure::Refused { message, by_policy }) => Ok(Answer::failure(message, by_policy)),
        Err(Failure::Broken(why)) => Err(why),
    }
}

/// Those of standard input; none from a terminal, and from what ends without a byte, as /dev/null does.
fn arguments() -> Result<Map<String, Value>, String> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Ok(Map::new());
    }
    Ok(json::object(stdin.lock(), ARGUMENTS)?.unwrap_or_default())
}

/// Prints `text`, which ends with a line's end then.
fn print(mut text: String) -> Result<(), String> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot write to standard output: {error}"))
}
