//! The program of a health check, in a sandbox of its own: what is executed there is a path, and its first word may be a name that is
//! looked for in `PATH`, as that of `CMD` is.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::{program, words};

/// Exit codes as a shell has them: there is none, it cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Becomes `name`. Returns only when that failed.
pub(crate) fn become_program(name: &str, arguments: &[OsString]) -> ExitCode {
    let failed = |why: &str, code: u8| {
        words::complain(&format!("`{name}` cannot be executed: {why}"));
        ExitCode::from(code)
    };
    let Some(path) = program::find(name).filter(|path| path.exists()) else {
        return failed("there is no such program", NOT_FOUND);
    };
    if let Some(why) = program::fault(&path) {
        return failed(&why, NOT_EXECUTABLE);
    }
    let error = Command::new(&path).args(arguments).exec();
    failed(&error.to_string(), if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE })
}
