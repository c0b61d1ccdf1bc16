//! The script's output: passed on as it comes, and its beginning kept for the reports.
//!
//! The supervisor has one thread and waits for the sandbox, so other processes copy, one for each stream: the script writes to
//! a pipe, which the process reads. It is confined like the gateway, and holds nothing but the pipe, the caller's stream and its
//! channel. When the caller's reader is gone, so is the process, and the script has the broken pipe that it would have had.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use agentrc_jail::service::{Role, Service, confine};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::pipe::PipeFlags;
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};

use crate::refusal::Refusal;
use crate::{exit, terminal};

/// The step's name in refusals.
const STEP: &str = "capture";
/// Most bytes of each stream that a report holds.
pub const KEPT: usize = 64 << 10;
/// How long a copying process may take to begin, and to pass on the last of the output once the sandbox is gone. A pipe holds
/// 64 KiB; whoever reads ours may be slow, but not stand still.
const PATIENCE: Duration = Duration::from_secs(30);
/// Says that the copying process is confined.
const READY: &[u8] = b"ready";
/// Bytes before the output in a message: how many there were in all.
const HEAD: usize = 8;

/// What a script wrote to one of its streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its first [`KEPT`] bytes.
    pub beginning: Vec<u8>,
    /// How many bytes it wrote in all.
    pub bytes: u64,
}

/// Both streams on their way.
#[derive(Debug)]
pub struct Capture {
    out: Copying,
    err: Copying,
    /// The caller's streams, while the pipes are in their places.
    saved: Option<[OwnedFd; 2]>,
}

/// A process that copies, and the other end of its pipe.
#[derive(Debug)]
struct Copying {
    service: Service,
    /// Until the script has it.
    pipe: Option<OwnedFd>,
}

impl Capture {
    /// Starts the processes. `report_on_stdout`: standard output belongs to a report, so that all of the script's output goes to
    /// standard error.
    ///
    /// # Errors
    /// pipe2(2), fork, or a process cannot be confined.
    pub fn start(report_on_stdout: bool) -> Result<Self, Refusal> {
        let out = Copying::start(if report_on_stdout { stderr() } else { stdout() })?;
        Ok(Self { out, err: Copying::start(stderr())?, saved: None })
    }

    /// As [`Capture::start`], for standard output that is kept and passed on to nobody.
    ///
    /// # Errors
    /// As there, and `/dev/null` cannot be opened.
    pub fn kept() -> Result<Self, Refusal> {
        let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null");
        let nowhere = nowhere.map_err(|error| refused(&format!("/dev/null cannot be opened: {error}")))?;
        let out = Copying::start(nowhere.as_fd())?;
        Ok(Self { out, err: Copying::start(stderr())?, saved: None })
    }

    /// Puts the pipes in the place of standard output and standard error.
    ///
    /// # Errors
    /// dup(2).
    pub fn redirect(&mut self) -> Result<(), Refusal> {
        let (Some(out), Some(err)) = (self.out.pipe.take(), self.err.pipe.take()) else {
            return Err(refused("it is redirected already"));
        };
        self.saved = Some([beyond(stdout()).map_err(failed)?, beyond(stderr()).map_err(failed)?]);
        dup2_stdout(&out).map_err(failed)?;
        dup2_stderr(&err).map_err(failed)
    }

    /// Puts the caller's streams back, if they are not there: all of the pipes' write ends are gone then.
    pub fn restore(&mut self) {
        self.out.pipe = None;
        self.err.pipe = None;
        if let Some([out, err]) = self.saved.take() {
            // Both descriptors are open, and so are both places: dup2(2) has nothing to fail at.
            let _ = dup2_stdout(&out);
            let _ = dup2_stderr(&err);
        }
    }

    /// What the script wrote, once all of it was passed on: standard output, standard error.
    ///
    /// # Errors
    /// Whoever reads it stands still, or a process has died.
    pub fn finish(mut self) -> Result<[Output; 2], String> {
        self.restore();
        let deadline = Instant::now() + PATIENCE;
        Ok([self.out.output(deadline)?, self.err.output(deadline)?])
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.restore();
    }
}

impl Copying {
    /// Starts copying to `to`.
    fn start(to: BorrowedFd<'_>) -> Result<Self, Refusal> {
        let (from, pipe) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        let to = beyond(to).map_err(failed)?;
        // What fails in the process shows as the end of its channel.
        let work = |channel: OwnedFd| {
            copy(from.as_fd(), to.as_fd(), &channel).map_or(exit::REFUSED, |()| exit::SUCCESS)
        };
        let service = Service::start(Role::Copier, &[from.as_fd(), to.as_fd()], work)
            .map_err(|refusal| Refusal::from(&refusal))?;
        let copying = Self { service, pipe: Some(pipe) };
        match copying.hear(Instant::now() + PATIENCE) {
            Ok(message) if message == READY => Ok(copying),
            Ok(_) => Err(refused("the process that copies it did not come up")),
            Err(reason) => Err(refused(&reason)),
        }
    }

    /// Its last message.
    fn output(&self, deadline: Instant) -> Result<Output, String> {
        let message = self.hear(deadline)?;
        let (head, beginning) =
            message.split_first_chunk::<HEAD>().ok_or("the last message of the process is too short")?;
        Ok(Output { beginning: beginning.to_vec(), bytes: u64::from_le_bytes(*head) })
    }

    /// The next message.
    fn hear(&self, deadline: Instant) -> Result<Vec<u8>, String> {
        let channel = self.service.channel();
        let say = |errno: Errno| std::io::Error::from(errno).to_string();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(&mut [PollFd::from_borrowed_fd(channel, PollFlags::IN)], Some(&wait)) {
                Ok(0) => return Err("whoever reads it stands still".to_owned()),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(say(errno)),
            }
        }
        let mut message = vec![0; HEAD + KEPT];
        let (length, _) =
            rustix::net::recv(channel, message.as_mut_slice(), RecvFlags::empty()).map_err(say)?;
        message.truncate(length);
        if length == 0 { Err("the process that copies it has ended".to_owned()) } else { Ok(message) }
    }
}

/// A duplicate of a standard stream, beyond the standard places.
fn beyond(stream: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(stream, 3)
}

fn failed(errno: Errno) -> Refusal {
    refused(&std::io::Error::from(errno).to_string())
}

fn refused(reason: &str) -> Refusal {
    Refusal::new(format!("the script's output cannot be passed on: {}", terminal::escape(reason))).step(STEP)
}

/// The copying process: to the end of the pipe, or until nobody takes the bytes.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, channel: &OwnedFd) -> Result<(), ()> {
    let mut buffer = vec![0; KEPT];
    let mut output = Output::default();
    confine().map_err(drop)?;
    send(channel, READY)?;
    loop {
        let length = match rustix::io::read(from, &mut buffer) {
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(_) => return Err(()),
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        let room = KEPT.saturating_sub(output.beginning.len());
        output.beginning.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        output.bytes += bytes.len() as u64;
        if bytes.is_empty() || write_all(to, bytes).is_err() {
            break;
        }
    }
    let mut message = output.bytes.to_le_bytes().to_vec();
    message.extend(output.beginning);
    send(channel, &message)
}

fn send(channel: &OwnedFd, message: &[u8]) -> Result<(), ()> {
    loop {
        match rustix::net::send(channel, message, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(_) => return Err(()),
        }
    }
}

/// Writes everything. The stream may be one that does not wait (`O_NONBLOCK`): whoever opened it may have asked for that.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
