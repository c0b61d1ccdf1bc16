//! What the programs write into the ring buffer (`struct event` in `egress.bpf.c`), read.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::error::Error;

/// Bytes of a record.
pub(crate) const SIZE: usize = 64;

/// Where in the kernel a decision was taken. The order is the programs'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// connect(2), sendto(2) with `MSG_FASTOPEN`: `AF_INET`.
    Connect4,
    /// The same, `AF_INET6`; also for IPv6-mapped IPv4 addresses.
    Connect6,
    /// A datagram with an address: `AF_INET`.
    Sendmsg4,
    /// The same, `AF_INET6`.
    Sendmsg6,
    /// socket(2).
    SockCreate,
    /// A packet on its way out.
    Egress,
}

impl Hook {
    /// All that decide.
    pub const ALL: [Self; 6] =
        [Self::Connect4, Self::Connect6, Self::Sendmsg4, Self::Sendmsg6, Self::SockCreate, Self::Egress];

    /// As the program is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect4 => "connect4",
            Self::Connect6 => "connect6",
            Self::Sendmsg4 => "sendmsg4",
            Self::Sendmsg6 => "sendmsg6",
            Self::SockCreate => "sock_create",
            Self::Egress => "egress",
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Let out, by the rule at this place of the list given to [`crate::Filter::attach`].
    Allowed {
        /// The place, from 0.
        rule: usize,
    },
    /// No rule matches.
    NotListed,
    /// `0.0.0.0` or `::`: the kernel would choose the address later.
    Unspecified,
    /// Neither TCP nor UDP; or a packet with a source route, other options, or a fragment.
    Kind,
    /// A socket of another network namespace than [`crate::Filter::confine`] named.
    Elsewhere,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed { .. } => "allowed",
            Self::NotListed => "not on the list",
            Self::Unspecified => "the unspecified address",
            Self::Kind => "neither plain TCP nor plain UDP",
            Self::Elsewhere => "a socket of another network namespace",
        })
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `CLOCK_MONOTONIC`.
    pub time: Duration,
    /// The thread that asked (the host's number for it); `None` for packets, which are sent from anywhere.
    pub thread: Option<u32>,
    /// Its process.
    pub process: Option<u32>,
    /// The thread's name, at most 15 bytes, chosen by the program: never to be trusted, only shown.
    pub comm: String,
    /// The destination as it was asked for, an IPv6-mapped address as IPv4; `None` for socket(2), and for packets that
    /// are not IP.
    pub destination: Option<SocketAddr>,
    /// `IPPROTO_*`.
    pub protocol: u16,
    /// `SOCK_*` for socket(2), else 0.
    pub kind: u8,
    /// Where it was decided.
    pub hook: Hook,
    /// What was decided.
    pub verdict: Verdict,
}

/// The fields one after the other; out of bounds is an error, never a default.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) =
            self.0.split_first_chunk().ok_or_else(|| Error::Ring("a short record".to_owned()))?;
        self.0 = rest;
        Ok(*head)
    }
}

impl Event {
    pub(crate) fn decode(record: &[u8; SIZE]) -> Result<Self, Error> {
        let mut reader = Reader(record);
        let time = Duration::from_nanos(u64::from_ne_bytes(reader.take()?));
        let thread = u32::from_ne_bytes(reader.take()?);
        let process = u32::from_ne_bytes(reader.take()?);
        let address = Ipv6Addr::from(reader.take::<16>()?);
        let protocol = u16::from_ne_bytes(reader.take()?);
        let port = u16::from_be_bytes(reader.take()?);
        let [hook, verdict, kind, _unused] = reader.take()?;
        let rule = u32::from_ne_bytes(reader.take()?);
        let _unused: [u8; 4] = reader.take()?;
        let comm: [u8; 16] = reader.take()?;

        let strange = |what: &str, value: u8| Error::Ring(format!("{what} {value} in a record"));
        let hook = *Hook::ALL.get(usize::from(hook)).ok_or_else(|| strange("hook", hook))?;
        let verdict = match verdict {
            0 => Verdict::Allowed {
                rule: usize::try_from(rule).map_err(|_| Error::Ring(format!("rule {rule} in a record")))?,
            },
            1 => Verdict::NotListed,
            2 => Verdict::Unspecified,
            3 => Verdict::Kind,
            4 => Verdict::Elsewhere,
            other => return Err(strange("verdict", other)),
        };
        // `::` is what stands in a record without an address; connect(2) to it has a verdict of its own.
        let nowhere = hook == Hook::SockCreate || (hook == Hook::Egress && address.is_unspecified());
        let comm = comm.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Self {
            time,
            thread: (thread != 0).then_some(thread),
            process: (process != 0).then_some(process),
            comm: String::from_utf8_lossy(comm).into_owned(),
            destination: (!nowhere).then(|| SocketAddr::new(address.to_canonical(), port)),
            protocol,
            kind,
            hook,
            verdict,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> [u8; SIZE] {
        let mut record = [0; SIZE];
        record[8] = 7;
        record[12] = 6;
        record[26..32].copy_from_slice(&[255, 255, 127, 0, 0, 1]);
        record[32] = 6;
        record[35] = 80;
        record[40] = 3;
        record[48..52].copy_from_slice(b"curl");
        record
    }

    #[test]
    fn a_record_is_read_field_by_field() {
        let event = Event::decode(&record()).unwrap();
        assert_eq!(event.destination, Some("127.0.0.1:80".parse().unwrap()));
        assert_eq!((event.thread, event.process, event.comm.as_str()), (Some(7), Some(6), "curl"));
        assert_eq!((event.hook, event.verdict), (Hook::Connect4, Verdict::Allowed { rule: 3 }));
    }

    #[test]
    fn a_record_with_an_unknown_value_is_an_error() {
        for place in [36, 37] {
            let mut record = record();
            record[place] = 9;
            assert!(matches!(Event::decode(&record), Err(Error::Ring(_))), "{place}");
        }
    }
}
