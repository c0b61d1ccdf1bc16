//! The way out for text: colour only on a terminal, nothing that could drive the terminal, one write per command.

use std::io::{self, IsTerminal, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A kind of emphasis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Headings and the subject of a message.
    Strong,
    /// Something that is refused, missing, removed or wrong.
    Bad,
    /// Something that holds or was added.
    Good,
    /// Something to look at.
    Warn,
    /// Places and other secondary words.
    Faint,
}

/// How one output stream is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// For text that goes to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// For text that goes to standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    /// Without any colour, for files and tests.
    #[must_use]
    pub fn plain() -> Self {
        Self { colour: false }
    }

    fn of(terminal: bool) -> Self {
        // https://no-color.org: present and not empty, whatever its value.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { colour: terminal && !refused && !dumb }
    }

    /// Whether colour is used.
    #[must_use]
    pub fn colour(self) -> bool {
        self.colour
    }

    /// `text` in a tone. The text must already be free of control characters ([`escape`]).
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Bad => "1;31",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// `text` from an Agentfile, a file name, a log or the agent, fit for one line of a terminal.
#[must_use]
pub fn escape(text: &str) -> String {
    agentrc_audit::text::printable(text.as_bytes())
}

/// A path likewise; bytes that are not UTF-8 are shown as `\xff`.
#[must_use]
pub fn path(path: &std::path::Path) -> String {
    agentrc_audit::text::printable(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}

/// Writes to standard output at once. A reader that has gone (`| head`) is no error.
///
/// # Errors
/// What the kernel says, such as ENOSPC.
pub fn print(text: &str) -> io::Result<()> {
    forgive_closed(io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().lock().flush()))
}

/// Writes to standard error. There is nowhere to report that this failed.
pub fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// As [`complain`], for one short line, unless that would have to wait: while a run goes on, nothing may hold its supervisor up.
pub fn complain_now(text: &str) {
    let stderr = rustix::stdio::stderr();
    let mut watched = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A pipe is writable when it has room for a page, which is more than a line.
    if poll(&mut watched, Some(&nothing)).is_ok_and(|ready| ready > 0) {
        complain(text);
    }
}

/// As [`complain`], when standard error is a terminal: for what only a person wants to know.
pub fn complain_if_terminal(text: &str) {
    if io::stderr().is_terminal() {
        complain(text);
    }
}

fn forgive_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_only_for_terminals() {
        assert_eq!(Style::plain().paint(Tone::Bad, "x"), "x");
        assert_eq!(Style { colour: true }.paint(Tone::Bad, "x"), "\u{1b}[1;31mx\u{1b}[0m");
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        let shown = escape("a\u{1b}]0;owned\u{7}\r\nb\u{202e}");
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        assert!(forgive_closed(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(forgive_closed(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
