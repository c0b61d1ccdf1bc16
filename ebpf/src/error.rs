//! Why a filter could not be made, or is not what it was: each of these ends the run.

use rustix::io::Errno;

use crate::rule::Allowed;

/// A variant is the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The built-in object does not have the shape that this crate gives it.
    #[error("the built-in `egress.bpf.o` is malformed: {0}; rebuild it with `ebpf/build`")]
    Object(String),
    /// A rule that can match nothing, or that matches more than it says.
    #[error("the rule `{rule}` {reason}")]
    Rule {
        /// The rule.
        rule: Allowed,
        /// What is wrong with it, and what to write instead.
        reason: &'static str,
    },
    /// More rules than the map has room for.
    #[error("{0} egress rules are more than the filter's {max}: declare fewer destinations", max = crate::rule::MOST)]
    TooManyRules(usize),
    /// `BPF_MAP_CREATE` (bpf(2)).
    #[error("could not make the eBPF map `{name}`: {errno}{}", advice(*.errno))]
    Map {
        /// Its name in the object.
        name: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// `BPF_MAP_UPDATE_ELEM`, `BPF_MAP_FREEZE`, `BPF_MAP_LOOKUP_ELEM`, `BPF_MAP_GET_NEXT_KEY` or mmap(2) of the ring buffer.
    #[error("could not {action} the eBPF map `{name}`: {errno}")]
    MapAccess {
        /// What was tried.
        action: &'static str,
        /// Its name in the object.
        name: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// `BPF_PROG_LOAD`.
    #[error("the kernel did not accept the eBPF program `{program}`: {errno}{}{log}", advice(*.errno))]
    Load {
        /// The hook's name.
        program: &'static str,
        /// The kernel's answer.
        errno: Errno,
        /// The end of the verifier's log, if it wrote one.
        log: String,
    },
    /// `BPF_LINK_CREATE`.
    #[error(
        "could not attach the eBPF program `{program}` to the run's cgroup: {errno}; a program that was attached \
        further up without `BPF_F_ALLOW_MULTI` is one reason (`bpftool cgroup tree` shows it)"
    )]
    Attach {
        /// The hook's name.
        program: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// `BPF_PROG_QUERY` or `BPF_OBJ_GET_INFO_BY_FD`.
    #[error("could not ask the kernel which program is attached as `{program}`: {errno}")]
    Query {
        /// The hook's name.
        program: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The kernel's answer is not what was attached: somebody else has changed it.
    #[error("the run's cgroup has `{program}` programs {found:?}, and not exactly the filter's own, {own}")]
    NotOurs {
        /// The hook's name.
        program: &'static str,
        /// Ids of the programs attached there.
        found: Vec<u32>,
        /// Id of ours.
        own: u32,
    },
    /// The list in the kernel is not the list that was given.
    #[error("the filter's list in the kernel is not the one that was written: {0}")]
    ListDiffers(String),
    /// `SO_NETNS_COOKIE` (socket(7), 5.14).
    #[error("could not learn the network namespace of a socket: {0}")]
    Namespace(Errno),
    /// The ring buffer holds something that the programs do not write.
    #[error("the filter's ring buffer is malformed: {0}")]
    Ring(String),
}

fn advice(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM | Errno::ACCESS => {
            "; it takes `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_PERFMON` outside of any user namespace"
        }
        _ => "",
    }
}
