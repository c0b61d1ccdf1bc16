//! The program of a health check, in a sandbox of its own: what is executed there is a path, and its first word may be a name that is
//! looked for in `PATH`, as that of `CMD` is.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::words;

/// Exit codes as a shell has them: there is none, it cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Becomes `program`. Returns only when that failed.
pub(crate) fn become_program(program: &str, arguments: &[OsString]) -> ExitCode {
    let error = Command::new(program).args(arguments).exec();
    words::complain(&format!("`{program}` cannot be executed: {error}"));
    ExitCode::from(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE })
}
