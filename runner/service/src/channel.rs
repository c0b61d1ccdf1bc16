//! What goes through a service's channel: one JSON object in each message of a seqpacket socket, with descriptors beside it. A
//! service reads bytes of strangers, so the supervisor takes from it only what the type of its reports has, and bounds all of it.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message in bytes. A certificate and a list of ports fit.
pub const LONGEST: usize = 16 * 1024;
/// Longest text in a report, in characters: what the agent chose is cut.
pub const LONGEST_TEXT: usize = 400;
/// Most descriptors in one message.
pub const DESCRIPTORS: usize = 16;
/// How long the last reports of a service may take after the agent's end. It ends as soon as it has sent them.
pub const ENDING: Duration = Duration::from_secs(10);

/// Sends one message.
///
/// # Errors
/// sendmsg(2); [`Errno::MSGSIZE`] for a message that is too long or has too many descriptors.
pub fn send(
    channel: BorrowedFd<'_>,
    message: &impl Serialize,
    attached: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    if bytes.len() > LONGEST || attached.len() > DESCRIPTORS {
        return Err(Errno::MSGSIZE);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !attached.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(attached)) {
        return Err(Errno::MSGSIZE);
    }
    // Nobody waits here: a service waits where it must, the supervisor never does.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = sendmsg(channel, &[IoSlice::new(&bytes)], &mut ancillary, flags)?;
    if sent == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

/// Receives one message. `None`: the other side is gone. Without `wait`, [`Errno::AGAIN`] says that there is none.
///
/// # Errors
/// recvmsg(2); [`Errno::BADMSG`] for what is no such message.
pub fn receive<M: DeserializeOwned>(
    channel: BorrowedFd<'_>,
    wait: bool,
) -> Result<Option<(M, Vec<OwnedFd>)>, Errno> {
    let mut bytes = vec![0_u8; LONGEST + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    let received = recvmsg(channel, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut attached = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            attached.extend(descriptors);
        }
    }
    let bytes = bytes.get(..received.bytes).filter(|bytes| bytes.len() <= LONGEST).ok_or(Errno::BADMSG)?;
    serde_json::from_slice(bytes).map(|message| Some((message, attached))).map_err(|_| Errno::BADMSG)
}

/// Receives one message, and waits for it for at most so long: [`Errno::TIMEDOUT`].
///
/// # Errors
/// As [`receive`], and poll(2).
pub fn receive_within<M: DeserializeOwned>(
    channel: BorrowedFd<'_>,
    patience: Duration,
) -> Result<Option<M>, Errno> {
    let deadline = Instant::now() + patience;
    loop {
        match receive::<M>(channel, false) {
            Ok(received) => return Ok(received.map(|(message, _)| message)),
            // The last is told once by a socket whose other end is gone with something unread; what it said before is still
            // here.
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNRESET) => {}
            Err(errno) => return Err(errno),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::TIMEDOUT);
        }
        let wait = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut watched = [PollFd::from_borrowed_fd(channel, PollFlags::IN)];
        match poll(&mut watched, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Receives the next of what a service still reports that was told to stop. `None`: it has ended, or cannot be heard.
///
/// # Errors
/// The deadline is over and it has not ended: what it only counted is not in the log.
pub fn last<M: DeserializeOwned>(
    channel: BorrowedFd<'_>,
    service: &str,
    deadline: Instant,
) -> Result<Option<M>, String> {
    let left = deadline.saturating_duration_since(Instant::now());
    // One that reports for ever has a deadline, too.
    let received = if left.is_zero() { Err(Errno::TIMEDOUT) } else { receive_within(channel, left) };
    match received {
        Err(Errno::TIMEDOUT) => Err(format!(
            "the {service} did not end within {} s of the agent: what it had to report last is not in the log",
            ENDING.as_secs()
        )),
        received => Ok(received.ok().flatten()),
    }
}

/// `text`, cut to [`LONGEST_TEXT`] characters.
#[must_use]
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Message {
        #[expect(dead_code, reason = "only whether it is there")]
        reason: String,
    }

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let (ours, theirs) = pair();
        for bytes in [&b"{"[..], b"{\"report\":\"permit\"}", b"{\"reason\":\"\",\"x\":1}"] {
            rustix::net::send(&ours, bytes, SendFlags::empty()).unwrap();
            assert_eq!(receive::<Message>(theirs.as_fd(), false).unwrap_err(), Errno::BADMSG);
        }
        rustix::net::send(&ours, &vec![b' '; LONGEST + 1], SendFlags::empty()).unwrap();
        assert_eq!(receive::<Message>(theirs.as_fd(), false).unwrap_err(), Errno::BADMSG);
        assert_eq!(receive::<Message>(theirs.as_fd(), false).unwrap_err(), Errno::AGAIN);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "é".repeat(LONGEST_TEXT + 1);
        assert_eq!(cut(&text).chars().count(), LONGEST_TEXT + 1);
        assert_eq!(cut("short"), "short");
    }
}
