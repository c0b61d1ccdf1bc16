//! The supervisor's side of the eBPF egress filter (`ebpf/`): which addresses it lets through, what it refused as events, and
//! whether it and the gateway say the same. Required where this process can load it; where it cannot, the evidence says why.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use agentfile::plan::inside::{self, Reachable, reachable};
use agentfile::plan::{AuditLevel, Plan};
use agentrc_audit::Event;
use agentrc_audit::event::{Denial, LayerEvidence, Probe};
use agentrc_ebpf::{Allowed, Hook, Protocol, Support, Verdict};
use agentrc_egress::reason::UNDECLARED_ADDRESS;
use agentrc_host::config::Place;
use agentrc_jail::{Recorder, Unopened};
use agentrc_service::tally::{Counted, DISTINCT, Tally};

use crate::refusal::Refusal;
use crate::socket;

/// The layer's name in the log.
pub const LAYER: &str = "ebpf";
/// Port of the resolver.
const DNS: u16 = 53;
/// Where the sandbox's probe sends a datagram (`runner/jail/src/prove.rs`).
const PROBED: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// The egress filter of a run.
pub struct Filter {
    allowed: Vec<Allowed>,
    reachable: Vec<Reachable>,
    /// Where the host's operator insists on it.
    required: Option<String>,
    /// Whether what it permits is recorded, too, and nothing may be lost.
    strict: bool,
    attached: Option<agentrc_ebpf::Filter>,
    /// Why it is not attached.
    missing: String,
    tally: Tally<Refused>,
}

/// What was refused, as far as it is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Refused {
    kind: &'static str,
    act: String,
    reason: String,
    pid: Option<i32>,
    program: Option<String>,
}

impl Counted for Refused {
    type Kind = &'static str;

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn others(&self) -> Self {
        Self {
            kind: self.kind,
            act: self.kind.to_owned(),
            reason: format!("more than {DISTINCT} different ones were denied"),
            pid: None,
            program: None,
        }
    }
}

/// What stands for acts that are no longer told apart, by what was tried.
fn kind(hook: Hook) -> &'static str {
    match hook {
        Hook::SockCreate => "other kinds of socket",
        Hook::Connect4 | Hook::Connect6 => "connect elsewhere",
        Hook::Sendmsg4 | Hook::Sendmsg6 => "send a datagram elsewhere",
        Hook::Egress => "send a packet elsewhere",
    }
}

impl Filter {
    /// Of a plan's own destinations. `required`: where the operator's configuration insists.
    ///
    /// # Errors
    /// More hosts than addresses.
    pub fn new(plan: &Plan, required: Option<&Place>) -> Result<Self, Refusal> {
        // Said before a cgroup is made for it, which is not to be had either.
        if let (Some(place), Support::Unavailable { reason }) = (required, required_support(required)) {
            return Err(Refusal::new(format!("`{place}` requires the eBPF egress filter, and {reason}"))
                .step(LAYER)
                .help("run it as root, or take `ebpf` out of that list"));
        }
        let reachable =
            reachable(&plan.egress).map_err(|error| Refusal::new(error.to_string()).step(LAYER))?;
        Ok(Self {
            allowed: allowed(&reachable),
            reachable,
            required: required.map(ToString::to_string),
            strict: matches!(plan.audit.level, AuditLevel::All | AuditLevel::Compliance),
            attached: None,
            missing: String::new(),
            tally: Tally::default(),
        })
    }

    fn denial(refused: Refused, count: u64) -> Event {
        Event::Denial(Denial {
            layer: LAYER.to_owned(),
            act: refused.act,
            pid: refused.pid,
            program: refused.program,
            verdict: "EPERM".to_owned(),
            rule: String::new(),
            reason: Some(refused.reason),
            count,
        })
    }
}

/// Asked only when it matters: it costs a third of a millisecond.
fn required_support(required: Option<&Place>) -> Support {
    required.map_or(Support::Available, |_| agentrc_ebpf::support())
}

/// What the filter lets through: the plan's connections, the resolver, and datagrams within the sandbox's own addresses. The
/// last lead to nobody: the C library sends none, but connects to each address of a name to learn how it would be reached
/// (RFC 6724), and a client that tries QUIC gets its refusal at once.
fn allowed(reachable: &[Reachable]) -> Vec<Allowed> {
    if reachable.is_empty() {
        return Vec::new();
    }
    let mut allowed = Vec::new();
    let mut let_through = |protocol, address, prefix, port| {
        let one = Allowed { protocol, address, prefix, port };
        if !allowed.contains(&one) {
            allowed.push(one);
        }
    };
    let_through(Protocol::Tcp, inside::RESOLVER.into(), 32, Some(DNS));
    for (network, prefix) in [
        (IpAddr::from(inside::NETWORK_V4.0), inside::NETWORK_V4.1),
        (IpAddr::from(inside::NETWORK_V6.0), inside::NETWORK_V6.1),
    ] {
        let_through(Protocol::Udp, network, prefix, None);
    }
    for Reachable { network, prefix, port } in reachable {
        let_through(Protocol::Tcp, *network, *prefix, Some(*port));
        if inside::number(*network).is_none() {
            let_through(Protocol::Udp, *network, *prefix, None);
        }
    }
    allowed
}

/// What a process did, in words.
fn act(event: &agentrc_ebpf::Event) -> String {
    let what = match (event.hook, event.protocol) {
        (Hook::SockCreate, protocol) => return format!("socket of kind {}, protocol {protocol}", event.kind),
        (Hook::Connect4 | Hook::Connect6, 17) => "connect (UDP)",
        (Hook::Connect4 | Hook::Connect6, _) => "connect",
        (Hook::Sendmsg4 | Hook::Sendmsg6, _) => "send a datagram to",
        (Hook::Egress, _) => "send a packet to",
    };
    match event.destination {
        Some(destination) => format!("{what} {destination}"),
        None => format!("{what} what is no address"),
    }
}

impl agentrc_jail::Filter for Filter {
    fn wants_cgroup(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn attach(&mut self, cgroup: Option<BorrowedFd<'_>>) -> Result<bool, Unopened> {
        let failed = match cgroup {
            Some(cgroup) => match agentrc_ebpf::Filter::attach(cgroup, &self.allowed, self.strict) {
                Ok(filter) => {
                    self.attached = Some(filter);
                    return Ok(true);
                }
                Err(error) => Some(error),
            },
            None => None,
        };
        let reason = match (agentrc_ebpf::support(), failed) {
            (Support::Unavailable { reason }, _) => reason,
            (Support::Available, Some(error)) => {
                return Err(unopened(format!("the eBPF egress filter cannot be attached: {error}")));
            }
            (Support::Available, None) => "there is no cgroup for it".to_owned(),
        };
        if let Some(place) = &self.required {
            return Err(unopened(format!("`{place}` requires the eBPF egress filter, and {reason}")));
        }
        self.missing = reason;
        Ok(false)
    }

    fn confine(&mut self, socket: BorrowedFd<'_>) -> Result<(), Unopened> {
        let Some(filter) = &mut self.attached else { return Ok(()) };
        filter.confine(socket).map_err(|error| {
            unopened(format!("the eBPF egress filter cannot be bound to the sandbox's network: {error}"))
        })
    }

    fn proven(&mut self) -> Result<LayerEvidence, Unopened> {
        let Some(filter) = &mut self.attached else {
            let read_back = BTreeMap::from([("attached".to_owned(), format!("no: {}", self.missing))]);
            return Ok(LayerEvidence { layer: LAYER.to_owned(), read_back, probes: Vec::new() });
        };
        let mut seen = false;
        let wrong = |error: agentrc_ebpf::Error| unopened(format!("the eBPF egress filter: {error}"));
        filter
            .events(|event| {
                let destination = event.destination.map(|destination| destination.ip());
                let refused = !matches!(event.verdict, Verdict::Allowed { .. });
                seen |= refused && event.protocol == 17 && destination == Some(PROBED);
            })
            .map_err(wrong)?;
        if !seen {
            return Err(unopened(
                "the eBPF egress filter did not see the datagram that was sent from inside to prove it"
                    .to_owned(),
            ));
        }
        let mut read_back = filter.read_back().map_err(wrong)?;
        read_back.insert("attached".to_owned(), "yes".to_owned());
        let probes = vec![Probe {
            act: "send a datagram to an address of the internet".to_owned(),
            answer: "EPERM, and its event".to_owned(),
        }];
        Ok(LayerEvidence { layer: LAYER.to_owned(), read_back, probes })
    }

    fn ring(&self) -> Option<BorrowedFd<'_>> {
        self.attached.as_ref().map(agentrc_ebpf::Filter::ring)
    }

    fn heard(&mut self, init: i32, recorder: &mut dyn Recorder) -> Result<(), String> {
        let Some(filter) = &mut self.attached else { return Ok(()) };
        filter.verify().map_err(|error| format!("the eBPF egress filter is not what it was: {error}"))?;
        if self.strict {
            let counters = filter.counters().map_err(|error| error.to_string())?;
            if counters.lost > 0 {
                return Err(format!(
                    "{} denials of the eBPF egress filter were lost, which this AUDIT level does not allow",
                    counters.lost
                ));
            }
        }
        let mut events = Vec::new();
        filter.events(|event| events.push(event)).map_err(|error| error.to_string())?;
        let unrecorded = |reason: String| format!("the audit log cannot be written: {reason}");
        for event in events {
            let process = event.process.and_then(|pid| i32::try_from(pid).ok());
            let pid = process.and_then(|pid| socket::pid_inside(pid, init));
            let act = act(&event);
            match event.verdict {
                Verdict::Allowed { .. } => {
                    let act = format!("{act} by {}", event.comm);
                    let permitted = Event::Permitted { act, rule: "the list of the eBPF filter".to_owned() };
                    recorder.record(&permitted).map_err(unrecorded)?;
                }
                verdict => {
                    if let Some(destination) = event.destination.filter(|to| self.expected(&event, *to)) {
                        return Err(format!(
                            "the eBPF filter refused a connection to {destination}, which the gateway serves"
                        ));
                    }
                    let undeclared = verdict == Verdict::NotListed && event.destination.is_some();
                    let reason = if undeclared { UNDECLARED_ADDRESS.to_owned() } else { verdict.to_string() };
                    let refused = Refused {
                        kind: kind(event.hook),
                        act,
                        reason,
                        pid,
                        program: Some(event.comm.clone()),
                    };
                    if let Some((refused, count)) = self.tally.count(refused, Instant::now()) {
                        recorder.record(&Self::denial(refused, count)).map_err(unrecorded)?;
                    }
                }
            }
        }
        for (refused, count) in self.tally.due(false, usize::MAX, Instant::now()) {
            recorder.record(&Self::denial(refused, count)).map_err(unrecorded)?;
        }
        Ok(())
    }

    fn finish(&mut self, recorder: &mut dyn Recorder) -> Result<(), String> {
        self.heard(0, recorder)?;
        for (refused, count) in self.tally.due(true, usize::MAX, Instant::now()) {
            let recorded = recorder.record(&Self::denial(refused, count));
            recorded.map_err(|reason| format!("the audit log cannot be written: {reason}"))?;
        }
        Ok(())
    }
}

impl Filter {
    /// Whether a connection that was refused is one that the gateway serves, from the sandbox's own network.
    fn expected(&self, event: &agentrc_ebpf::Event, to: SocketAddr) -> bool {
        event.verdict == Verdict::NotListed
            && matches!(event.hook, Hook::Connect4 | Hook::Connect6)
            && event.protocol == 6
            && self.reachable.iter().any(|one| one.takes_in(to))
    }
}

fn unopened(reason: String) -> Unopened {
    Unopened { reason, help: Some("`agentrc doctor` says what this machine lacks".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_plan_reaches_is_let_through() {
        assert!(allowed(&[]).is_empty(), "without a line, nothing");
        let one = Reachable { network: "198.18.0.16".parse().unwrap(), prefix: 32, port: 443 };
        let private = Reachable { network: "10.0.0.5".parse().unwrap(), prefix: 32, port: 5432 };
        let list = allowed(&[one, private]);
        let tcp: Vec<_> = list
            .iter()
            .filter(|one| one.protocol == Protocol::Tcp)
            .map(|one| format!("{}/{}:{:?}", one.address, one.prefix, one.port))
            .collect();
        assert_eq!(tcp, ["198.18.0.1/32:Some(53)", "198.18.0.16/32:Some(443)", "10.0.0.5/32:Some(5432)"]);
        let udp: Vec<_> = list
            .iter()
            .filter(|one| one.protocol == Protocol::Udp)
            .map(|one| format!("{}/{}", one.address, one.prefix))
            .collect();
        assert_eq!(udp, ["198.18.0.0/15", "fd61:6765:6e74::/64", "10.0.0.5/32"]);
    }
}
