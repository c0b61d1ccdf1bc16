//! The value of a credential, the placeholder that the agent holds instead of it, and the form in which both travel from
//! the resolver, which alone reads sources, to the gateway, which alone puts values into requests.
//!
//! A value is in one type, [`Secret`], which nothing can format and which is wiped when it is dropped. No error here
//! repeats a value or a part of it.
#![forbid(unsafe_code)]

mod placeholder;
mod shape;
mod value;
pub mod wire;

pub use placeholder::{LONGEST_PLACEHOLDER, Placeholder};
pub use value::{LONGEST, SHORTEST, Secret};

/// What is wrong with a value, or with what came over the socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of fewer than [`SHORTEST`] bytes.
    #[error(
        "the value has fewer than {SHORTEST} bytes, so that it could neither be told from other text in an answer nor be hard to guess: use a longer one"
    )]
    Short,
    /// Of more than [`LONGEST`] bytes.
    #[error("the value has more than {LONGEST} bytes, which no server takes in a header: use a shorter one")]
    Long,
    /// A byte that would end a header, or that no header may hold (RFC 9110 §5.5).
    #[error(
        "the value holds a line end or another control character, which cannot go into a request: if it is a file of several lines, it is no credential for a header"
    )]
    Unprintable,
    /// The system gave no random bytes, or a value leaves no room for a placeholder that shares nothing with it.
    #[error("no placeholder could be made: {0}")]
    Placeholder(&'static str),
    /// Not what [`wire::send`] writes.
    #[error("what came over the resolver's socket is not a list of credentials: {0}")]
    Wire(&'static str),
    /// The socket to or from the resolver.
    #[error("the resolver's socket: {0}")]
    Socket(#[from] std::io::Error),
}
