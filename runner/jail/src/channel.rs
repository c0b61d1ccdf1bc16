//! The channel between the supervisor and the sandbox during a launch: a seqpacket socket pair and fixed-size messages,
//! because the sending side may not allocate. Whatever does not decode, and an end of file, is a refusal.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::prove::{NAMESPACES, PROBES};
use crate::step::{Failure, Step};

/// Most descriptors in one message.
const DESCRIPTORS: usize = 3;
/// Kind, step, item, errno; then the numbers of the evidence.
const SIZE: usize = 16 + 8 * NAMESPACES + 4 * PROBES;

/// What the sandbox says.
#[derive(Debug)]
pub(crate) enum Message {
    /// A step failed; the sender exits next.
    Failed(Failure),
    /// The master side of the sandbox's terminal.
    Pty(OwnedFd),
    /// A socket that was opened inside for the gateway, in the order in which the network layer opened them.
    Socket(OwnedFd),
    /// The broker's socket, which listens.
    Listener(OwnedFd),
    /// What the entrance needs of the sandbox: its user namespace, its mount namespace, then each path of Landlock's rules.
    Door(OwnedFd),
    /// A tool's first process, by its pidfd.
    Entered(OwnedFd),
    /// A tool's process has proven itself, and waits for its go.
    Proven,
    /// Everything is armed: `/proc/self/{status,mountinfo,limits}` of the agent, the inode numbers of its
    /// namespaces, and what each probe was answered (0: it succeeded).
    Evidence {
        /// An open `/proc/self/status`.
        status: OwnedFd,
        /// An open `/proc/self/mountinfo`.
        mountinfo: OwnedFd,
        /// An open `/proc/self/limits`.
        limits: OwnedFd,
        /// Inode numbers, in the order of [`crate::prove::NAMESPACE_FILES`].
        namespaces: [u64; NAMESPACES],
        /// errno of each probe, in the order of [`crate::prove::Act`].
        answers: [i32; PROBES],
    },
    /// The command could not be executed.
    ExecFailed(Errno),
    /// The command ended with this wait(2) status.
    Exited(i32),
}

/// A connected pair: the supervisor's end, the sandbox's end.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends from inside. No allocation.
pub(crate) fn send(socket: BorrowedFd<'_>, message: &Message) -> Result<(), Errno> {
    let mut bytes = [0_u8; SIZE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let attached: [BorrowedFd<'_>; DESCRIPTORS];
    match message {
        Message::Failed(failure) => {
            put(&mut bytes, 1, failure.step as u16, failure.item, failure.errno.raw_os_error());
        }
        Message::Pty(one)
        | Message::Socket(one)
        | Message::Listener(one)
        | Message::Door(one)
        | Message::Entered(one) => {
            let kind = match message {
                Message::Pty(_) => 2,
                Message::Socket(_) => 6,
                Message::Door(_) => 8,
                Message::Entered(_) => 9,
                _ => 7,
            };
            put(&mut bytes, kind, 0, 0, 0);
            attached = [one.as_fd(), one.as_fd(), one.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(attached.get(..1).unwrap_or_default()));
        }
        Message::Evidence { status, mountinfo, limits, namespaces, answers } => {
            put(&mut bytes, 3, 0, 0, 0);
            let numbers = namespaces.iter().flat_map(|number| number.to_ne_bytes());
            let answers = answers.iter().flat_map(|answer| answer.to_ne_bytes());
            for (to, from) in bytes.iter_mut().skip(16).zip(numbers.chain(answers)) {
                *to = from;
            }
            attached = [status.as_fd(), mountinfo.as_fd(), limits.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(&attached));
        }
        Message::Proven => put(&mut bytes, 10, 0, 0, 0),
        Message::ExecFailed(errno) => put(&mut bytes, 4, 0, 0, errno.raw_os_error()),
        Message::Exited(status) => put(&mut bytes, 5, 0, 0, *status),
    }
    let sent = sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    if sent == SIZE { Ok(()) } else { Err(Errno::IO) }
}

fn put(bytes: &mut [u8; SIZE], kind: u16, step: u16, item: u16, number: i32) {
    let head = [kind.to_ne_bytes(), step.to_ne_bytes(), item.to_ne_bytes(), [0, 0]];
    let tail = number.to_ne_bytes();
    for (to, from) in bytes.iter_mut().zip(head.iter().flatten().chain(&tail)) {
        *to = *from;
    }
}

/// Receives in the supervisor. `None`: the other side is gone.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>, Errno> {
    let mut bytes = [0_u8; SIZE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut hear =
        || recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
    let received = match hear() {
        // The other side went with an answer unread. The kernel says that first, and once: its last words are still here.
        Err(Errno::CONNRESET) => hear()?,
        received => received?,
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut attached = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            attached.extend(descriptors);
        }
    }
    decode(&bytes, received.bytes, attached).map(Some).ok_or(Errno::BADMSG)
}

fn decode(bytes: &[u8; SIZE], length: usize, attached: Vec<OwnedFd>) -> Option<Message> {
    if length != SIZE {
        return None;
    }
    let short = |at: usize| bytes.get(at..at + 2)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk));
    let number = bytes.get(8..12)?.first_chunk().map(|chunk| i32::from_ne_bytes(*chunk))?;
    let errno = || (1..4096).contains(&number).then(|| Errno::from_raw_os_error(number));
    let mut attached = attached.into_iter();
    let message = match short(0)? {
        1 => {
            Message::Failed(Failure { step: Step::from_number(short(2)?)?, item: short(4)?, errno: errno()? })
        }
        2 => Message::Pty(attached.next()?),
        3 => {
            let mut namespaces = [0; NAMESPACES];
            let mut answers = [0; PROBES];
            let (first, second) = bytes.get(16..)?.split_at_checked(8 * NAMESPACES)?;
            for (to, from) in namespaces.iter_mut().zip(first.as_chunks::<8>().0) {
                *to = u64::from_ne_bytes(*from);
            }
            for (to, from) in answers.iter_mut().zip(second.as_chunks::<4>().0) {
                *to = i32::from_ne_bytes(*from);
            }
            Message::Evidence {
                status: attached.next()?,
                mountinfo: attached.next()?,
                limits: attached.next()?,
                namespaces,
                answers,
            }
        }
        4 => Message::ExecFailed(errno()?),
        5 => Message::Exited(number),
        6 => Message::Socket(attached.next()?),
        7 => Message::Listener(attached.next()?),
        8 => Message::Door(attached.next()?),
        9 => Message::Entered(attached.next()?),
        10 => Message::Proven,
        _ => return None,
    };
    attached.next().is_none().then_some(message)
}

/// What the supervisor says: one byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Everything that must be around the sandbox is: go on arming.
    Inside = b'i' as isize,
    /// The evidence is on record: execute the command.
    Go = b'g' as isize,
}

/// Says it.
pub(crate) fn answer(socket: BorrowedFd<'_>, answer: Answer) -> Result<(), Errno> {
    rustix::net::send(socket, &[answer as u8], SendFlags::NOSIGNAL).map(drop)
}

/// Waits inside for that answer. Anything else is a refusal.
pub(crate) fn await_answer(socket: BorrowedFd<'_>, answer: Answer) -> Result<(), Errno> {
    let mut bytes = [0_u8; 2];
    match rustix::net::recv(socket, &mut bytes, RecvFlags::empty())? {
        (_, 1) if bytes == [answer as u8, 0] => Ok(()),
        _ => Err(Errno::PIPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_heard_although_an_answer_was_left_unread() {
        let (ours, theirs) = pair().unwrap();
        answer(ours.as_fd(), Answer::Inside).unwrap();
        let failure = Failure { step: Step::Evidence, item: 7, errno: Errno::NOENT };
        send(theirs.as_fd(), &Message::Failed(failure)).unwrap();
        drop(theirs);
        let heard = receive(ours.as_fd()).unwrap();
        assert!(matches!(&heard, Some(Message::Failed(Failure { item: 7, .. }))), "{heard:?}");
        assert!(receive(ours.as_fd()).unwrap().is_none());
    }
}
