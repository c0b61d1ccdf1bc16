//! What the gateway and the supervisor say to each other. The gateway reads bytes of strangers, so the supervisor takes from it
//! only what is here, and bounds all of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use agentrc_service::channel::{DESCRIPTORS, send};
use agentrc_service::denied::Denied;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

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
    /// The agent has connected to the broker's name, and waits for [`Order::Joined`], or [`Order::Recorded`] when it may not.
    Join {
        /// Number of the report.
        number: u64,
        /// Who asks.
        client: Client,
    },
    /// It must not go on, and the run must be killed.
    Failed {
        /// Why, as a clause in lower case.
        reason: String,
    },
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

impl Client {
    /// The broker, which no socket of the sandbox leads to: who called is in the call's own event.
    pub const BROKER: Self =
        Self { tcp: true, address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0) };
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
    /// A connection of the broker's is attached, on which it speaks HTTP in the clear, also where the destination's is over TLS.
    Brokered {
        /// `https` or `http`.
        scheme: String,
        /// Name in lower case, or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A connection of the broker's is attached, on which it has texts searched for values ([`agentrc_service::texts`]).
    Search,
    /// A connection to the broker is attached, for the agent's.
    Joined {
        /// Number of the report.
        number: u64,
    },
    /// An intent or a denial is on record.
    Recorded {
        /// Its number.
        number: u64,
    },
    /// The agent has ended: report what is still counted, and exit.
    Stop,
}

/// Sends all sockets, in order.
///
/// # Errors
/// As [`send`].
pub fn send_sockets(channel: BorrowedFd<'_>, sockets: &[OwnedFd], filtered: bool) -> Result<(), Errno> {
    if sockets.is_empty() {
        return send(channel, &Order::Sockets { last: true, filtered }, &[]);
    }
    let mut groups = sockets.chunks(DESCRIPTORS).peekable();
    while let Some(group) = groups.next() {
        let group: Vec<_> = group.iter().map(AsFd::as_fd).collect();
        send(channel, &Order::Sockets { last: groups.peek().is_none(), filtered }, &group)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use agentrc_service::channel::receive;
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
}
