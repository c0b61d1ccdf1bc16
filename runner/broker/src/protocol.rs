//! The Model Context Protocol on the socket inside: one JSON-RPC message a line, judged as bytes before it is read as a message.

mod handler;
mod message;
mod room;
mod splitter;
mod transport;

pub(crate) use handler::Handler;
pub(crate) use room::Room;
pub(crate) use splitter::Splitter;
pub(crate) use transport::Lines;
