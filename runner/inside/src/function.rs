//! A function of Python, called in the sandbox of one call: this program becomes the interpreter, with an adapter of ours as its
//! program. The arguments stay on standard input; what comes out is one line of JSON, `{"result": …}` or `{"error": …}`.

use std::io::{self, ErrorKind, Write};
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
        // Isolated (-I): no variable, no folder of a user's and no working directory says what it imports; it writes no byte
        // code (-B).
        let error = Command::new(python).args(["-I", "-B", "-c", ADAPTER, file, name]).exec();
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
