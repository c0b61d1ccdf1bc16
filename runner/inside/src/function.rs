//! A function of Python, called in the sandbox of one call: this program becomes the interpreter, with an adapter of ours as its
//! program. The arguments stay on standard input; what comes out is one line of JSON, `{"result": …}` or `{"error": …}`.

use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use serde_json::json;

use crate::words;

/// Imports the file and calls the function.
const ADAPTER: &str = include_str!("function/adapter.py");
/// Where Python may be. `PATH` is not asked: a line of the Agentfile may set it to what the agent can write. (`PYTHONS` in
/// `runner/agentrc/src/python.rs` are the same.)
const PYTHONS: [&str; 3] = ["/usr/local/bin/python3", "/usr/bin/python3", "/bin/python3"];

/// Becomes Python. Returns only when that failed.
pub(crate) fn carry_out(file: &str, name: &str) -> ExitCode {
    let mut reason = format!("there is no Python here: none of {}", PYTHONS.join(", "));
    for python in PYTHONS {
        let mut command = Command::new(python);
        // No variable and no folder of a user's (-s) says what it imports, and it writes no byte code (-B); the adapter
        // leaves the working directory out, and so does this variable from 3.11 on. Not -I, which would take the other one, too:
        // sets and hashes are the same in each call.
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"PYTHON")) {
            command.env_remove(variable);
        }
        command.env("PYTHONSAFEPATH", "1").env("PYTHONHASHSEED", "0");
        let error = command.args(["-s", "-B", "-c", ADAPTER, file, name]).exec();
        if error.kind() != ErrorKind::NotFound {
            reason = format!("`{python}` cannot be executed: {error}");
            break;
        }
    }
    let document = json!({ "error": { "type": "NoPython", "message": reason } });
    if let Err(error) = writeln!(io::stdout(), "{document}") {
        words::complain(&format!("cannot write to standard output: {error}"));
    }
    ExitCode::FAILURE
}
