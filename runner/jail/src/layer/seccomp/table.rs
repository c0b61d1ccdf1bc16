//! The system call tables, as `build.rs` made them from `policies/seccomp.toml`, `policies/seccomp-gateway.toml` and `policies/seccomp-broker.toml`.

/// What a call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// It fails with this errno.
    Errno(u16),
    /// The process is killed (SIGSYS).
    Kill,
}

/// `argument & mask == value`, or its opposite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Index of the argument.
    pub(super) argument: u8,
    /// Whether all 64 bits are looked at, or the low 32.
    pub(super) wide: bool,
    /// Equal, or different.
    pub(super) equal: bool,
    /// What is looked at.
    pub(super) mask: u64,
    /// With what it is compared.
    pub(super) value: u64,
}

/// How a call is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Whatever its arguments.
    Always(Action),
    /// Allowed when all comparisons of any rule hold.
    Arguments {
        /// Any of these.
        rules: &'static [&'static [Comparison]],
        /// What it gets when none does.
        otherwise: Action,
    },
}

/// One call.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), allow(dead_code))]
pub(super) struct Call {
    /// Number on this architecture.
    pub(super) number: u32,
    /// Name.
    pub(super) name: &'static str,
    /// Group or filter of the table.
    pub(super) group: &'static str,
    /// What it gets.
    pub(super) decision: Decision,
}

include!(concat!(env!("OUT_DIR"), "/seccomp.rs"));

/// The gateway's, which is in no plan: it is outside of the sandbox.
pub(super) mod gateway {
    use super::{Action, Call, Comparison, Decision};

    include!(concat!(env!("OUT_DIR"), "/seccomp-gateway.rs"));
}

/// The broker's, likewise.
pub(super) mod broker {
    use super::{Action, Call, Comparison, Decision};

    include!(concat!(env!("OUT_DIR"), "/seccomp-broker.rs"));
}
