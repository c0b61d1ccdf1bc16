//! The broker's ways to the gateway: to what the plan declares on the network, and to the search of outputs for values of credentials. It
//! has no socket of its own; the supervisor makes a pair of connected ones, and gives one end to each.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use agentfile::plan::{Egress, Plan, words};
use agentrc_egress::destination::brokered;
use agentrc_egress::report::Order;
use agentrc_service::channel;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::refusal::Refusal;

/// The gateway's channel, and the destinations.
pub(super) struct Connections {
    gateway: Option<OwnedFd>,
    egress: Vec<Egress>,
    searches: bool,
}

impl Connections {
    /// Those of `plan`, through the gateway behind `channel`, if there is one.
    ///
    /// # Errors
    /// fcntl(2).
    pub(super) fn of(plan: &Plan, channel: Option<BorrowedFd<'_>>) -> Result<Self, Refusal> {
        let searches = plan.output_is_searched();
        let dup = |channel| rustix::io::fcntl_dupfd_cloexec(channel, 0);
        let gateway = channel.filter(|_| plan.broker_connects() || searches).map(dup).transpose();
        let gateway = gateway.map_err(|errno| Refusal::new(errno.to_string()).step(super::LAYER))?;
        Ok(Self { gateway, egress: plan.egress.clone(), searches })
    }

    /// Where what the agent is given is searched for values of credentials: the broker's end. `None`: the plan has none. The gateway must
    /// serve by now.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn search(&self) -> Result<Option<OwnedFd>, String> {
        self.searches.then(|| self.connect(&Order::Search)).transpose()
    }

    /// One to a destination of the plan's: the broker's end.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub(super) fn open(&self, scheme: &str, host: &str, port: u16) -> Result<OwnedFd, String> {
        // The question that the gateway asks again: it ends if the answer is another.
        if brokered(&self.egress, scheme, host, port).is_none() {
            let url = words::url(scheme, host, port);
            return Err(format!(
                "no line declares {url}: add `URL {url}` (for the agent and its tools), or `SERVER NAME {url}` (for tools alone)"
            ));
        }
        self.connect(&Order::Brokered { scheme: scheme.to_owned(), host: host.to_owned(), port })
    }

    /// A pair of sockets, of which the gateway gets one with `order`.
    fn connect(&self, order: &Order) -> Result<OwnedFd, String> {
        let gateway = self.gateway.as_ref().ok_or("no gateway serves the broker")?;
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.map_err(|errno| errno.to_string())?;
        channel::send(gateway.as_fd(), order, &[theirs.as_fd()])
            .map_err(|errno| format!("the gateway cannot be told: {errno}"))?;
        Ok(ours)
    }
}
