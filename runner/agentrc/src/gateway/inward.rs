//! The way from the broker's name to the broker: for each connection of the agent's, a pair of connected sockets is made, one end of
//! it for the gateway and one for the broker, which is told whose the connection is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use agentrc_broker::report::Order;
use agentrc_egress::report::Client;
use agentrc_service::channel;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::socket;

/// The broker's channel, if there is one to be reached.
#[derive(Debug, Default)]
pub(super) struct Inward(Option<OwnedFd>);

impl Inward {
    /// To the broker behind `channel`.
    ///
    /// # Errors
    /// fcntl(2).
    pub(super) fn to(channel: BorrowedFd<'_>) -> Result<Self, rustix::io::Errno> {
        rustix::io::fcntl_dupfd_cloexec(channel, 0).map(|channel| Self(Some(channel)))
    }

    /// A connection of `client`, a process beneath `init`: the gateway's end. `None`: nobody inside could be found who asks, which the
    /// gateway says and counts.
    ///
    /// # Errors
    /// What makes no sense, or the broker cannot be told.
    pub(super) fn join(&self, client: &Client, init: i32) -> Result<Option<OwnedFd>, String> {
        let channel = self.0.as_ref().ok_or("the gateway asked for a broker that there is not")?;
        let Some(pid) = socket::who_asks(client, init) else { return Ok(None) };
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.map_err(|errno| format!("no way to the broker: {errno}"))?;
        channel::send(channel.as_fd(), &Order::Join { pid }, &[theirs.as_fd()])
            .map_err(|errno| format!("the broker cannot be told: {errno}"))?;
        Ok(Some(ours))
    }
}
