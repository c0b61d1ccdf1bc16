//! One of a skill's scripts, in the sandbox of one call. The words of the command line are the plan's; which of the scripts it is, its
//! arguments and its input are the agent's, and come as JSON on standard input. It is executed directly: nothing but the script makes
//! anything of its arguments.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;

use serde_json::{Map, Value};

use crate::{json, program, words};

/// Most bytes of the JSON: what a message of the agent's may have, and room for its escapes.
const ARGUMENTS: u64 = 4 << 20;
/// What a shell adds to the number of a signal.
const SIGNALLED: i32 = 128;

/// What is asked for.
struct Asked<'a> {
    script: &'a str,
    arguments: Vec<&'a str>,
    input: &'a str,
}

/// Executes what is asked for, of `scripts` in `folder`; its exit code is the script's.
pub(crate) fn carry_out(folder: &str, scripts: &[Option<&str>]) -> ExitCode {
    let ended = json::object(io::stdin().lock(), ARGUMENTS).and_then(|given| {
        let given = given.unwrap_or_default();
        asked(&given, scripts).and_then(|asked| execute(Path::new(folder), &asked))
    });
    match ended {
        Ok(status) => ExitCode::from(code(status)),
        Err(why) => {
            words::complain(&why);
            ExitCode::FAILURE
        }
    }
}

/// The broker has checked it by the schema; this is what holds whatever the broker does.
fn asked<'a>(given: &'a Map<String, Value>, scripts: &[Option<&str>]) -> Result<Asked<'a>, String> {
    if let Some(unknown) =
        given.keys().find(|name| !["script", "arguments", "input"].contains(&name.as_str()))
    {
        return Err(format!("there is no argument `{unknown}`"));
    }
    let script = given.get("script").and_then(Value::as_str).ok_or("`script` is missing, or no text")?;
    if !scripts.contains(&Some(script)) {
        return Err(format!("`{script}` is none of the skill's scripts"));
    }
    let input = match given.get("input") {
        None => "",
        Some(input) => input.as_str().ok_or("`input` is no text")?,
    };
    let arguments = match given.get("arguments") {
        None => Vec::new(),
        Some(arguments) => {
            let texts =
                arguments.as_array().and_then(|all| all.iter().map(Value::as_str).collect::<Option<_>>());
            texts.ok_or("`arguments` is no list of texts")?
        }
    };
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return Err("an argument has a NUL in it".to_owned());
    }
    Ok(Asked { script, arguments, input })
}

fn execute(folder: &Path, asked: &Asked<'_>) -> Result<ExitStatus, String> {
    let path = folder.join(asked.script);
    let failed = |why: &str| format!("`{}` cannot be executed: {why}", asked.script);
    if let Some(why) = program::fault(&path) {
        return Err(failed(&why));
    }
    let mut script = Command::new(&path);
    script.args(&asked.arguments).current_dir(folder).stdin(Stdio::piped());
    let mut child = script.spawn().map_err(|error| failed(&error.to_string()))?;
    let to = child.stdin.take();
    let ended = thread::scope(|scope| {
        scope.spawn(move || {
            // A script that does not read what it is given is not wrong.
            let _ = to.map(|mut to| to.write_all(asked.input.as_bytes()));
        });
        child.wait()
    });
    ended.map_err(|error| format!("`{}` cannot be waited for: {error}", asked.script))
}

/// As a shell says it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| {
        let signal = status.signal()?;
        words::complain(&format!("signal {signal} ended the script"));
        Some(SIGNALLED + signal)
    });
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCRIPTS: [Option<&str>; 2] = [Some("scripts/a"), Some("scripts/b.sh")];

    #[track_caller]
    fn refused(given: Value) {
        let given = given.as_object().unwrap().clone();
        assert!(asked(&given, &SCRIPTS).is_err(), "{given:?}");
    }

    #[test]
    fn only_a_script_of_the_plan_is_asked_for() {
        let given = json!({ "script": "scripts/b.sh", "arguments": ["-c", ";", ""], "input": "x" });
        let found = asked(given.as_object().unwrap(), &SCRIPTS).unwrap();
        assert_eq!((found.script, found.arguments, found.input), ("scripts/b.sh", vec!["-c", ";", ""], "x"));
        for script in ["scripts/c", "scripts/../scripts/a", "/bin/sh", "", "scripts/A", "./scripts/a"] {
            refused(json!({ "script": script }));
        }
        refused(json!({}));
        refused(json!({ "script": 1 }));
        refused(json!({ "script": "scripts/a", "arguments": "x" }));
        refused(json!({ "script": "scripts/a", "arguments": [1] }));
        refused(json!({ "script": "scripts/a", "arguments": ["a\0b"] }));
        refused(json!({ "script": "scripts/a", "input": null }));
        refused(json!({ "script": "scripts/a", "directory": "/" }));
    }
}
