//! Why something is denied, in words that others recognise.

/// A name that is asked for, and that no `URL` line declares.
pub const UNDECLARED_HOST: &str = "no line declares this host";
/// An address and port that are connected to, and that no `URL` line declares.
pub const UNDECLARED_ADDRESS: &str = "no line declares this address and port";
