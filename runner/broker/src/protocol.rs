//! The Model Context Protocol, one JSON-RPC message a line on the socket inside, or one a request over HTTP: judged as bytes before it
//! is read as a message.

mod handler;
pub(crate) mod http;
mod message;
mod once;
mod room;
mod splitter;
mod transport;
mod underway;

pub(crate) use handler::Handler;
pub(crate) use message::read as message;
pub(crate) use room::Room;
pub(crate) use splitter::Splitter;
pub(crate) use transport::Lines;
pub(crate) use underway::Paused;
