//! Layer 2: the sandbox's network namespace (network_namespaces(7), ip-route(8)). Nothing is in it but `lo`. When the plan
//! declares destinations, addresses that stand for them are made local to `lo` (AnyIP: a whole network by one route of type
//! `local`), and sockets are opened that listen on the declared ports. They are handed to the gateway outside: that is the
//! only way out, and what is not declared has no route or no listener.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;

use agentfile::plan::{Egress, Origin, inside};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::{Layer, entry};
use crate::prove::{Act, Readings};
use crate::refusal::Refusal;
use crate::step::{Failure, Step, run};

/// Connections that wait to be accepted, for each port.
const BACKLOG: i32 = 1024;
/// DNS (RFC 1035, section 4.2).
const DNS: u16 = 53;
/// tcp(7): there is always one of this name, and everybody may choose it. The host's own may pace what it sends by timers (`bbr`),
/// which on loopback, where nothing is ever congested, is all loss (docs/decisions/0014-sockmap.md).
const CONGESTION: &[u8] = b"reno";
/// The one that sockets of this network namespace begin with (Documentation/networking/ip-sysctl.rst).
const CONGESTION_FILE: &CStr = c"/proc/sys/net/ipv4/tcp_congestion_control";

// linux/rtnetlink.h and linux/netlink.h.
const RTM_NEWLINK: u16 = 16;
const RTM_NEWROUTE: u16 = 24;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RT_TABLE_LOCAL: u8 = 255;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;
const IFF_UP: u32 = 1;
/// Of `lo`, the first interface of every network namespace.
const LOOPBACK: u32 = 1;

/// A message to the kernel's routing socket, and whose line it is for.
struct Order {
    step: Step,
    bytes: Vec<u8>,
    origin: Option<Origin>,
    /// An IPv6 network, which a kernel without IPv6 cannot have. Then the resolver gives no such address.
    six: bool,
}

/// What is made in the new namespace.
pub(crate) struct Network {
    orders: Vec<Order>,
    /// Ports to listen on, in the order of the sockets; with the line that declares each.
    ports: Vec<(u16, Option<Origin>)>,
    /// An address of IPv6 is itself a destination: without IPv6 it cannot be had.
    six_declared: bool,
    /// The resolver's datagram socket, then a listener for each port.
    sockets: Vec<Cell<Option<OwnedFd>>>,
}

impl Network {
    /// Of the agent's own destinations; the broker's are none of the sandbox's business.
    pub(crate) fn prepare(egress: &[Egress]) -> Self {
        let mut orders = Vec::new();
        let mut ports = BTreeMap::new();
        let mut six_declared = false;
        for egress in egress.iter().filter(|egress| egress.agent) {
            ports.entry(egress.port).or_insert_with(|| Some(egress.origin.clone()));
            if let Ok(address) = egress.host.parse::<IpAddr>() {
                six_declared |= address.is_ipv6();
                // What `lo` has of its own needs no route.
                if !address.is_loopback() {
                    let length = if address.is_ipv6() { 128 } else { 32 };
                    let bytes = route(address, length);
                    let origin = Some(egress.origin.clone());
                    orders.push(Order { step: Step::LocalRoute, bytes, origin, six: false });
                }
            }
        }
        if !ports.is_empty() {
            ports.entry(DNS).or_insert(None);
            let own = |step, bytes, six| Order { step, bytes, origin: None, six };
            let (four, four_length) = inside::NETWORK_V4;
            let (six, six_length) = inside::NETWORK_V6;
            orders.insert(0, own(Step::LoopbackUp, loopback_up(), false));
            orders.push(own(Step::LocalRoute, route(four.into(), four_length), false));
            orders.push(own(Step::LocalRoute, route(six.into(), six_length), true));
        }
        let number = if ports.is_empty() { 0 } else { ports.len() + 1 };
        let sockets = std::iter::repeat_with(|| Cell::new(None)).take(number).collect();
        Self { orders, ports: ports.into_iter().collect(), six_declared, sockets }
    }

    /// The sockets that were opened, for whoever serves them.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = OwnedFd> {
        self.sockets.iter().filter_map(Cell::take)
    }

    /// How many there are to be.
    pub(crate) fn expected(&self) -> usize {
        self.sockets.len()
    }

    /// A port that nobody declared, for the probes.
    pub(crate) fn undeclared_port(&self) -> u16 {
        (9..=u16::MAX).find(|port| self.ports.iter().all(|(declared, _)| declared != port)).unwrap_or(0)
    }

    /// One that somebody did.
    pub(crate) fn declared_port(&self) -> Option<u16> {
        self.ports.first().map(|(port, _)| *port)
    }

    /// Tells the kernel, and waits for its answer to each.
    fn route_all(&self) -> Result<bool, Failure> {
        let socket = run(Step::LoopbackUp, 1, || {
            let kind = SocketType::RAW; // of NETLINK_ROUTE, which is protocol 0
            rustix::net::socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, None)
        })?;
        let mut six = true;
        for (item, order) in self.orders.iter().enumerate() {
            let done = run(order.step, item, || {
                rustix::net::send(&socket, &order.bytes, SendFlags::empty())?;
                let mut answer = [0_u8; 512];
                let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
                acknowledged(answer.get(..length).unwrap_or_default())
            });
            match done {
                Err(failure) if order.six && !self.six_declared && without_six(failure.errno) => six = false,
                other => other?,
            }
        }
        Ok(six)
    }

    fn open(&self, six: bool) -> Result<(), Failure> {
        let mut sockets = self.sockets.iter();
        let keep = |socket: OwnedFd, sockets: &mut std::slice::Iter<'_, Cell<Option<OwnedFd>>>| {
            sockets.next().map(|cell| cell.set(Some(socket))).ok_or(Errno::INVAL)
        };
        run(Step::Listener, 0, || {
            let kind = (SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
            let socket = rustix::net::socket_with(AddressFamily::INET, kind.0, kind.1, None)?;
            rustix::net::bind(&socket, &SocketAddr::from((inside::RESOLVER, DNS)))?;
            keep(socket, &mut sockets)
        })?;
        for (item, (port, _)) in self.ports.iter().enumerate() {
            run(Step::Listener, item + 1, || {
                let family = if six { AddressFamily::INET6 } else { AddressFamily::INET };
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
                // Nobody else can bind here; but a listener of this port on one address would be in the way.
                sockopt::set_socket_reuseaddr(&socket, true)?;
                if six {
                    sockopt::set_ipv6_v6only(&socket, false)?;
                    let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, *port, 0, 0);
                    rustix::net::bind(&socket, &any)?;
                } else {
                    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port)))?;
                }
                rustix::net::listen(&socket, BACKLOG)?;
                keep(socket, &mut sockets)
            })?;
        }
        Ok(())
    }
}

/// For the agent's sockets, and for those that listen, of which the gateway's are copies. It is about speed alone: where the
/// host's /proc is read-only, nothing is lost but that.
fn without_pacing() {
    if let Ok(file) = rustix::fs::open(CONGESTION_FILE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::io::write(&file, CONGESTION);
    }
}

/// What kernels say that have no IPv6, or in which it is switched off.
fn without_six(errno: Errno) -> bool {
    matches!(errno, Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::ACCESS | Errno::NODEV | Errno::INVAL)
}

/// The kernel's answer: NLMSG_ERROR with errno, 0 when all is well (netlink(7)).
fn acknowledged(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).and_then(<[u8]>::first_chunk).copied().map(u16::from_ne_bytes);
    let error = answer.get(16..20).and_then(<[u8]>::first_chunk).copied().map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) if (-4095..0).contains(&error) => {
            Err(Errno::from_raw_os_error(-error))
        }
        _ => Err(Errno::BADMSG),
    }
}

/// `struct nlmsghdr` before `body`.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(1_u32.to_ne_bytes()); // sequence number
    bytes.extend(0_u32.to_ne_bytes()); // port: the kernel's
    bytes.extend(body);
    bytes
}

/// `ip link set lo up`: `struct ifinfomsg`.
fn loopback_up() -> Vec<u8> {
    let mut body = vec![0_u8; 4]; // family, padding, type
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes()); // which flags change
    message(RTM_NEWLINK, 0, &body)
}

/// `ip route add local NETWORK/LENGTH dev lo`: `struct rtmsg` and two attributes.
fn route(network: IpAddr, length: u8) -> Vec<u8> {
    let (family, address) = match network {
        IpAddr::V4(four) => (AddressFamily::INET, four.octets().to_vec()),
        IpAddr::V6(six) => (AddressFamily::INET6, six.octets().to_vec()),
    };
    let family = u8::try_from(family.as_raw()).unwrap_or_default();
    let mut body = vec![family, length, 0, 0, RT_TABLE_LOCAL, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL];
    body.extend(0_u32.to_ne_bytes()); // flags
    for (kind, value) in [(RTA_DST, address.as_slice()), (RTA_OIF, &LOOPBACK.to_ne_bytes())] {
        body.extend(u16::try_from(4 + value.len()).unwrap_or_default().to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value); // of 4 or 16 bytes: needs no padding
    }
    message(RTM_NEWROUTE, NLM_F_CREATE, &body)
}

impl Layer for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn apply(&self) -> Result<(), Failure> {
        if self.ports.is_empty() {
            return Ok(());
        }
        let six = self.route_all()?;
        without_pacing();
        self.open(six)
    }

    fn blame(&self, failure: &Failure) -> Option<(String, Origin)> {
        let item = usize::from(failure.item);
        match failure.step {
            Step::LocalRoute => {
                let origin = self.orders.get(item)?.origin.clone()?;
                Some(("the declared address".to_owned(), origin))
            }
            Step::Listener => {
                let (port, origin) = self.ports.get(item.checked_sub(1)?)?;
                Some((format!("port {port}"), origin.clone()?))
            }
            _ => None,
        }
    }

    fn probes(&self) -> &'static [Act] {
        &[Act::ConnectElsewhere, Act::SendElsewhere, Act::ConnectUndeclared]
    }

    fn read_back(&self, readings: &Readings) -> Result<BTreeMap<String, String>, Refusal> {
        // Where nothing is declared not even the loopback is up: a refused connection means that it is.
        if self.ports.is_empty() && readings.answered(Act::ConnectUndeclared, Errno::CONNREFUSED) {
            return Err(Refusal::new(Step::ReadBack, "the sandbox has a network, and no line declares one"));
        }
        let ports: Vec<_> = self.ports.iter().map(|(port, _)| port.to_string()).collect();
        Ok(BTreeMap::from([entry(
            "ports",
            if ports.is_empty() { "none".to_owned() } else { ports.join(" ") },
        )]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(host: &str, port: u16, agent: bool) -> Egress {
        Egress {
            scheme: "tcp".to_owned(),
            host: host.to_owned(),
            port,
            path: None,
            agent,
            terminate_tls: false,
            origin: Origin::builtin("test"),
        }
    }

    #[test]
    fn without_destinations_nothing_is_made() {
        for none in [vec![], vec![egress("tools.example.com", 443, false)]] {
            let network = Network::prepare(&none);
            assert!(network.orders.is_empty() && network.ports.is_empty());
            assert_eq!(network.expected(), 0);
            assert_eq!(network.declared_port(), None);
        }
    }

    #[test]
    fn a_port_is_listened_on_once_and_the_resolver_always() {
        let network = Network::prepare(&[egress("a.example", 443, true), egress("b.example", 443, true)]);
        let ports: Vec<_> = network.ports.iter().map(|(port, _)| *port).collect();
        assert_eq!(ports, [53, 443]);
        assert_eq!(network.expected(), 3);
        assert_eq!(network.orders.len(), 3, "lo, IPv4, IPv6");
    }

    #[test]
    fn an_address_is_made_local_itself_unless_it_is() {
        let number = |host: &str| Network::prepare(&[egress(host, 1, true)]).orders.len() - 3;
        assert_eq!([number("10.0.0.5"), number("fd00::1")], [1, 1]);
        assert_eq!([number("127.0.0.1"), number("127.0.0.2"), number("::1")], [0, 0, 0]);
    }

    #[test]
    fn the_probed_port_is_nobodys() {
        let network = Network::prepare(&[egress("a.example", 9, true), egress("a.example", 10, true)]);
        assert_eq!(network.undeclared_port(), 11);
    }

    #[test]
    fn only_a_clean_acknowledgement_is_one() {
        let mut answer = vec![0_u8; 36];
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert_eq!(acknowledged(&answer), Ok(()));
        answer[16..20].copy_from_slice(&(-17_i32).to_ne_bytes());
        assert_eq!(acknowledged(&answer), Err(Errno::EXIST));
        assert_eq!(acknowledged(&answer[..18]), Err(Errno::BADMSG));
        answer[4] = 24;
        assert_eq!(acknowledged(&answer), Err(Errno::BADMSG));
    }
}
