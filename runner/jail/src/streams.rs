//! The agent's standard streams. What is a pipe or a file goes in as it is. What is the user's terminal does not: the agent
//! gets one of its own, or could read what the user types elsewhere on it, and leave it in any state. What is one of the
//! host's harmless devices is opened again inside, where its mode cannot be changed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use rustix::termios::isatty;

use crate::sys::terminal::set_controlling;

/// What the agent gets as a standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// The caller's, as it is.
    Same,
    /// The sandbox's own terminal.
    Terminal,
    /// The caller's terminal, opened again for reading only: the caller's output goes elsewhere, and whatever shows it
    /// (`| less`) may want the terminal too.
    ReadOnly,
    /// A device, opened again inside.
    Device(&'static std::ffi::CStr),
}

/// Devices that are in every sandbox, by their number (devices.txt).
const DEVICES: &[(u32, u32, &std::ffi::CStr)] =
    &[(1, 3, c"/dev/null"), (1, 5, c"/dev/zero"), (1, 7, c"/dev/full"), (1, 9, c"/dev/urandom")];

/// dup2(2) onto one of the three.
type Put = fn(&OwnedFd) -> Result<(), Errno>;

/// The plan for descriptors 0, 1 and 2.
#[derive(Debug)]
pub(crate) struct Streams {
    plan: [Stream; 3],
    /// For [`Stream::ReadOnly`].
    reader: Option<OwnedFd>,
}

impl Streams {
    /// Looks at the caller's. A folder among them would be a way around the mounts.
    pub(crate) fn prepare() -> Result<Self, Errno> {
        let interactive = isatty(stdin()) && isatty(stdout());
        let mut reader = None;
        let mut plan = [Stream::Same; 3];
        for (index, (stream, stream_plan)) in
            [stdin(), stdout(), stderr()].into_iter().zip(&mut plan).enumerate()
        {
            let stat = rustix::fs::fstat(stream)?;
            let device = DEVICES.iter().find(|(major, minor, _)| {
                (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == (*major, *minor)
            });
            *stream_plan = match (FileType::from_raw_mode(stat.st_mode), device) {
                (FileType::Directory, _) => return Err(Errno::ISDIR),
                (FileType::CharacterDevice, Some((_, _, path))) => Stream::Device(path),
                (FileType::CharacterDevice, None) if isatty(stream) => {
                    if index == 0 && !interactive {
                        reader = Some(rustix::fs::open(
                            c"/proc/self/fd/0",
                            OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC,
                            Mode::empty(),
                        )?);
                        Stream::ReadOnly
                    } else {
                        Stream::Terminal
                    }
                }
                _ => Stream::Same,
            };
        }
        Ok(Self { plan, reader })
    }

    /// Whether the sandbox needs a terminal.
    pub(crate) fn pty(&self) -> bool {
        self.plan.contains(&Stream::Terminal)
    }

    /// Whether the user's terminal is the agent's to type at: both input and output are.
    pub(crate) fn interactive(&self) -> bool {
        let [input, output, _] = self.plan;
        input == Stream::Terminal && output == Stream::Terminal
    }

    /// Where the terminal's output goes: the caller's standard output when that is a terminal, else standard error.
    pub(crate) fn shown(&self) -> BorrowedFd<'static> {
        let [_, output, _] = self.plan;
        if output == Stream::Terminal { stdout() } else { stderr() }
    }

    /// Puts the streams in place, in the agent's process.
    pub(crate) fn give(&self, slave: Option<&OwnedFd>) -> Result<(), Errno> {
        if let Some(slave) = slave.filter(|_| self.interactive()) {
            set_controlling(slave.as_fd())?;
        }
        let put: [Put; 3] = [|fd| dup2_stdin(fd), |fd| dup2_stdout(fd), |fd| dup2_stderr(fd)];
        for (stream, put) in self.plan.iter().zip(put) {
            match stream {
                Stream::Same => {}
                Stream::Terminal => put(slave.ok_or(Errno::NOTTY)?)?,
                Stream::ReadOnly => put(self.reader.as_ref().ok_or(Errno::BADF)?)?,
                Stream::Device(path) => {
                    let how = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
                    put(&rustix::fs::openat(CWD, *path, how, Mode::empty())?)?;
                }
            }
        }
        Ok(())
    }
}
