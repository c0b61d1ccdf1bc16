//! What the gateway and the supervisor say to each other: one JSON object in each message of a seqpacket socket. The gateway
//! reads bytes of strangers, so the supervisor takes from it only what is here, and bounds all of it.

use std::collections::BTreeMap;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::tally::{Counted, DISTINCT};

/// Longest message in bytes. A certificate and a list of ports fit.
pub const LONGEST: usize = 16 * 1024;
/// Longest text in a report, in characters: what the agent chose is cut.
pub const LONGEST_TEXT: usize = 400;
/// Most descriptors in one message.
const DESCRIPTORS: usize = 16;

/// From the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Report {
    /// The certificate (PEM) of the authority that it made for this run; its key never leaves the gateway.
    Authority {
        /// PEM.
        certificate: String,
    },
    /// It serves.
    Ready {
        /// For the evidence.
        read_back: BTreeMap<String, String>,
    },
    /// It denies something, and waits for [`Order::Recorded`] with this number, if there is one: as long as it waits, the
    /// process that asked is still there to be found.
    Denied {
        /// Number of the report.
        number: Option<u64>,
        /// What.
        denied: Denied,
        /// How often since the last report of it.
        count: u64,
        /// Who asked.
        client: Option<Client>,
    },
    /// It is about to permit something, and waits for [`Order::Recorded`] with this number.
    Intent {
        /// Number of the intent.
        number: u64,
        /// What.
        act: String,
        /// The rules that permit it.
        rule: String,
    },
    /// It must not go on, and the run must be killed.
    Failed {
        /// Why, as a clause in lower case.
        reason: String,
    },
}

/// Something that is denied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// What was tried: `resolve evil.example`, `connect api.example.com:443`, `GET https://…`.
    pub act: String,
    /// What the program got: `NXDOMAIN`, `reset`, `403`.
    pub verdict: String,
    /// Why, as a clause in lower case.
    pub reason: String,
    /// The rule that decided, or the line that set the limit; empty when there is none.
    pub rule: String,
    /// The limit that is reached, if that is the reason.
    pub limit: Option<String>,
}

impl Denied {
    /// The same with every text cut, whoever made it.
    #[must_use]
    pub fn cut(self) -> Self {
        Self {
            act: cut(&self.act),
            verdict: cut(&self.verdict),
            reason: cut(&self.reason),
            rule: cut(&self.rule),
            limit: self.limit.as_deref().map(cut),
        }
    }
}

/// What a denial is about, each with its own places in the tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Names that are asked for.
    Names,
    /// Connections.
    Connections,
    /// HTTP requests.
    Requests,
    /// Limits.
    Limits,
}

impl Counted for Denied {
    type Kind = Kind;

    /// By the answer: it is the gateway's, where the act is the agent's own words.
    fn kind(&self) -> Kind {
        match self.verdict.as_str() {
            _ if self.limit.is_some() => Kind::Limits,
            "NXDOMAIN" | "dropped" => Kind::Names,
            "reset" | "alert" | "closed" => Kind::Connections,
            _ => Kind::Requests,
        }
    }

    fn others(&self) -> Self {
        let (act, verdict) = match self.kind() {
            Kind::Names => ("resolve other names", "NXDOMAIN"),
            Kind::Connections => ("connect elsewhere", "reset"),
            Kind::Requests => ("other requests", "403"),
            // Which limit it is stays told: there are as many as the plan has.
            Kind::Limits => {
                return Self { act: "other acts".to_owned(), ..self.clone() };
            }
        };
        Self {
            act: act.to_owned(),
            verdict: verdict.to_owned(),
            reason: format!("more than {DISTINCT} different ones were denied"),
            rule: String::new(),
            limit: None,
        }
    }
}

/// The agent's end of what was denied, by which its process can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Whether it is TCP, or UDP.
    pub tcp: bool,
    /// The agent's own address.
    pub address: SocketAddr,
}

/// To the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Sockets to serve are attached.
    Sockets {
        /// Whether these are the last.
        last: bool,
        /// Whether the kernel's filter holds what arrives: then anything that it must have refused is a disagreement, and
        /// ends the run.
        filtered: bool,
    },
    /// An intent or a denial is on record.
    Recorded {
        /// Its number.
        number: u64,
    },
    /// The agent has ended: report what is still counted, and exit.
    Stop,
}

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
    // Nobody waits here: the gateway waits where it must, the supervisor never does.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = sendmsg(channel, &[IoSlice::new(&bytes)], &mut ancillary, flags)?;
    if sent == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

/// Sends all sockets, in order.
///
/// # Errors
/// As [`send`].
pub fn send_sockets(channel: BorrowedFd<'_>, sockets: &[OwnedFd], filtered: bool) -> Result<(), Errno> {
    let mut groups = sockets.chunks(DESCRIPTORS).peekable();
    while let Some(group) = groups.next() {
        let group: Vec<_> = group.iter().map(AsFd::as_fd).collect();
        send(channel, &Order::Sockets { last: groups.peek().is_none(), filtered }, &group)?;
    }
    Ok(())
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
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn what_is_sent_arrives_with_its_sockets() {
        let (ours, theirs) = pair();
        let sockets: Vec<OwnedFd> = (0..20).map(|_| pair().0).collect();
        send_sockets(ours.as_fd(), &sockets, true).unwrap();
        let (order, first) = receive::<Order>(theirs.as_fd(), false).unwrap().unwrap();
        assert_eq!((order, first.len()), (Order::Sockets { last: false, filtered: true }, DESCRIPTORS));
        let (order, rest) = receive::<Order>(theirs.as_fd(), false).unwrap().unwrap();
        assert_eq!((order, rest.len()), (Order::Sockets { last: true, filtered: true }, 4));
        drop(ours);
        assert!(receive::<Order>(theirs.as_fd(), true).unwrap().is_none());
    }

    #[test]
    fn what_is_no_report_is_an_error() {
        let (ours, theirs) = pair();
        for bytes in
            [&b"{"[..], b"{\"report\":\"permit\"}", b"{\"report\":\"failed\",\"reason\":\"\",\"x\":1}"]
        {
            rustix::net::send(&ours, bytes, SendFlags::empty()).unwrap();
            assert_eq!(receive::<Report>(theirs.as_fd(), false).unwrap_err(), Errno::BADMSG);
        }
        rustix::net::send(&ours, &vec![b' '; LONGEST + 1], SendFlags::empty()).unwrap();
        assert_eq!(receive::<Report>(theirs.as_fd(), false).unwrap_err(), Errno::BADMSG);
        assert_eq!(receive::<Report>(theirs.as_fd(), false).unwrap_err(), Errno::AGAIN);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "é".repeat(LONGEST_TEXT + 1);
        assert_eq!(cut(&text).chars().count(), LONGEST_TEXT + 1);
        assert_eq!(cut("short"), "short");
    }
}
