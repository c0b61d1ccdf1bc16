//! Why something is denied, in words that others recognise.

/// Stands before the `URL` lines of a host, when none of them permits what was asked: `URL [line], URL [line]`.
pub const PERMITTED: &str = "; its lines permit ";
/// A name that is asked for, and that no `URL` line declares.
pub const UNDECLARED_HOST: &str = "no line declares this host";
/// An address and port that are connected to, and that no `URL` line declares.
pub const UNDECLARED_ADDRESS: &str = "no line declares this address and port";
