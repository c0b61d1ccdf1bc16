//! The eBPF egress filter: seven programs on the run's own cgroup (`ebpf/egress.bpf.c`), made before the command is
//! executed, gone with the [`Filter`] or with the process that holds it. It knows addresses, not plans: the binary
//! translates. Works with `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_PERFMON` only; without them the network namespace and
//! the gateway hold alone, and [`support`] says why.
//!
//! Nothing is pinned and nothing is shared between runs: each has its own maps and programs, reachable through this
//! process's descriptors alone (close-on-exec). A child that was forked without exec must close them, or the filter
//! outlives its parent for as long as that child lives.
//!
//! A socket belongs to the cgroup in which it was made, for good, and the filter judges by that, not by who uses it. So
//! the gateway's own sockets in the sandbox's network namespace (listeners, what they accept, the resolver's) must be made
//! before their maker comes into the cgroup: else answers to the resolver's clients are judged, and all bytes counted twice.
//!
//! Not held here, because the kernel does not ask these hooks: sockets that were made outside of the cgroup, whoever
//! uses them; `AF_UNIX`, `AF_NETLINK`, `AF_PACKET`, `AF_VSOCK`, `AF_ALG`. seccomp holds the families.
#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("`ebpf/egress.bpf.o` is built for little-endian machines");

mod error;
mod event;
mod filter;
mod object;
mod rule;
mod support;
mod sys;

pub use error::Error;
pub use event::{Event, Hook, Verdict};
pub use filter::{Counters, Filter};
pub use rule::{Allowed, Protocol};
pub use support::{Support, support};
