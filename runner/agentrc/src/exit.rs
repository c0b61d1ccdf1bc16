//! Exit codes. `run` answers as `docker run` does, so that scripts written for one read the other.

use std::process::ExitCode;

/// Everything went well.
pub const SUCCESS: u8 = 0;
/// The command found what it looks for (errors, differences, tampering, a missing feature), or it failed.
pub const FAILURE: u8 = 1;
/// The command line itself is wrong. (`run` says [`REFUSED`], because a program's own exit code may be 2.)
pub const USAGE: u8 = 2;
/// `run`: refused; the agent's command was not executed.
pub const REFUSED: u8 = 125;
/// `run`: the agent's command exists and cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// `run`: the agent's command does not exist inside the sandbox.
pub const NOT_FOUND: u8 = 127;
/// `run`: the supervisor killed the program (128 + SIGKILL), or its log could not be closed.
pub const KILLED: u8 = 137;

/// The exit code of a program as the one of this process: its low eight bits, as a shell sees it.
#[must_use]
pub fn program(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(FAILURE)
}

/// As the process's own exit code.
#[must_use]
pub fn code(number: u8) -> ExitCode {
    ExitCode::from(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_keeps_its_exit_code() {
        assert_eq!(program(0), 0);
        assert_eq!(program(77), 77);
        assert_eq!(program(128 + 15), 143);
        assert_eq!(program(-1), 255);
    }
}
