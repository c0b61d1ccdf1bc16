//! A tool that is a program: its pipes, what goes in, what comes out, how it ends. The supervisor starts it, in a sandbox of its own;
//! the broker holds the other ends of its pipes and never its process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};

/// Bytes of standard error that are kept for the message; the rest is read and dropped.
const COMPLAINT: usize = 8 * 1024;

/// The program's ends, for the supervisor: standard input, output and error, and where its wait(2) status is written.
#[derive(Debug)]
pub(crate) struct Theirs([OwnedFd; 4]);

impl Theirs {
    pub(crate) fn each(&self) -> [BorrowedFd<'_>; 4] {
        self.0.each_ref().map(AsFd::as_fd)
    }
}

/// The broker's ends.
#[derive(Debug)]
pub(crate) struct Ours {
    input: Sender,
    output: Receiver,
    complaint: Receiver,
    status: Receiver,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code.
    Exited { code: i32, output: Vec<u8>, complaint: String },
    /// By a signal.
    Signalled { signal: i32, complaint: String },
    /// It could not be executed, or its sandbox was ended: nobody said how.
    Unknown,
    /// It wrote more than it may.
    TooMuch,
    /// It took longer than it may.
    TooLong,
}

/// Makes the pipes of one program.
///
/// # Errors
/// pipe2(2): too many descriptors.
pub(crate) fn pipes() -> io::Result<(Ours, Theirs)> {
    let pair = || pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
    let ours = |end: OwnedFd| -> io::Result<OwnedFd> {
        rustix::io::ioctl_fionbio(&end, true)?;
        Ok(end)
    };
    let (their_input, input) = pair()?;
    let (output, their_output) = pair()?;
    let (complaint, their_complaint) = pair()?;
    let (status, their_status) = pair()?;
    let ours = Ours {
        input: Sender::from_owned_fd(ours(input)?)?,
        output: Receiver::from_owned_fd(ours(output)?)?,
        complaint: Receiver::from_owned_fd(ours(complaint)?)?,
        status: Receiver::from_owned_fd(ours(status)?)?,
    };
    Ok((ours, Theirs([their_input, their_output, their_complaint, their_status])))
}

impl Ours {
    /// Gives it `input`, and waits for its end. At most `most` bytes of its output are taken.
    pub(crate) async fn run(self, input: &[u8], most: usize, patience: Duration) -> Ended {
        let Self { input: mut to, output: mut from, complaint: mut aside, mut status } = self;
        let give = async move {
            // A program that does not read what it is given is not wrong.
            drop(to.write_all(input).await);
            drop(to);
        };
        let take = async {
            let mut output = Vec::new();
            let read = (&mut from).take(most as u64 + 1).read_to_end(&mut output).await;
            (read.is_ok() && output.len() <= most).then_some(output)
        };
        let listen = async {
            let mut kept = Vec::new();
            let mut buffer = vec![0; COMPLAINT];
            while let Ok(read @ 1..) = aside.read(&mut buffer).await {
                let room = COMPLAINT.saturating_sub(kept.len()).min(read);
                kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
            String::from_utf8_lossy(&kept).trim_end().to_owned()
        };
        let end = async {
            let mut bytes = [0; 4];
            status.read_exact(&mut bytes).await.ok().map(|_| i32::from_ne_bytes(bytes))
        };
        let whole = async {
            // Too much is known before its end.
            let output = async {
                match take.await {
                    Some(output) => Ok(output),
                    None => Err(Ended::TooMuch),
                }
            };
            let rest = async {
                let ((), complaint, end) = tokio::join!(give, listen, end);
                Ok::<_, Ended>((complaint, end))
            };
            tokio::try_join!(output, rest)
        };
        match tokio::time::timeout(patience, whole).await {
            Err(_) => Ended::TooLong,
            Ok(Err(ended)) => ended,
            Ok(Ok((_, (_, None)))) => Ended::Unknown,
            Ok(Ok((output, (complaint, Some(status))))) => {
                // wait(2): the low seven bits are the signal, 0 for an exit, whose code is above them.
                match status & 0x7f {
                    0 => Ended::Exited { code: (status >> 8) & 0xff, output, complaint },
                    signal => Ended::Signalled { signal, complaint },
                }
            }
        }
    }
}
