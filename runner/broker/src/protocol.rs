//! The Model Context Protocol on the socket inside: one JSON-RPC message a line, judged as bytes before it is read as a message.

mod handler;
mod splitter;
mod transport;

pub(crate) use handler::Handler;
pub(crate) use splitter::Splitter;
pub(crate) use transport::{Lines, Room};
