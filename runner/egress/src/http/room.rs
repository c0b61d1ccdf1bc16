//! How much memory of the gateway's a connection may take: no limit of the agent's counts it. Little where many are open, so that
//! all of them together stay within some tens of MiB; who has a thousand connections gains nothing from large buffers in each.

use hyper::client::conn::{http1, http2};
use hyper_util::server::conn::auto;

use crate::gateway::Local;
use crate::places::Places;

/// Largest list of a message's fields in HTTP/2, in bytes as RFC 9113, section 6.5.2 counts them: what Node's servers and clients
/// take of a head. In HTTP/1 the whole head must fit into the buffer.
const FIELDS: u32 = 16 * 1024;

/// What one connection may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Most bytes of a head, of what was read and not yet passed on, and of what waits to be sent: in HTTP/1 on the connection,
    /// in HTTP/2 on each stream.
    buffer: usize,
    /// Most requests at a time on one connection of the agent's.
    streams: u32,
    /// Most bytes that the agent sends ahead, on one stream and on its whole connection. It is on this machine: more would not
    /// be faster.
    from_agent: (u32, u32),
    /// The same of a server: what is under way at a time. 1 MiB over a way of 100 ms is 10 MiB/s.
    from_server: (u32, u32),
}

/// While few are open: 64 KiB is what a socket gives at once.
const AMPLE: Room = Room {
    buffer: 64 * 1024,
    streams: 32,
    from_agent: (128 * 1024, 128 * 1024),
    from_server: (1024 * 1024, 1024 * 1024),
};

/// Where many are: a head as long as [`FIELDS`], and one frame of HTTP/2. A connection's window cannot be less than 65,535 (RFC
/// 9113, section 6.9.2).
const SCANT: Room =
    Room { buffer: 16 * 1024, streams: 8, from_agent: (16 * 1024, 65_535), from_server: (65_535, 65_535) };

impl Room {
    /// For a connection that is opened now, and counted already.
    pub(super) fn of(places: &Places) -> Self {
        if places.are_ample() { AMPLE } else { SCANT }
    }

    /// Limits the agent's side.
    pub(super) fn limit(self, server: &mut auto::Builder<Local>) {
        server.http1().max_buf_size(self.buffer);
        server
            .http2()
            .max_concurrent_streams(self.streams)
            .initial_stream_window_size(self.from_agent.0)
            .initial_connection_window_size(self.from_agent.1)
            .max_header_list_size(FIELDS)
            .max_send_buf_size(self.buffer);
    }

    /// A connection of HTTP/1 to a server.
    pub(super) fn one(self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(self.buffer);
        builder
    }

    /// A connection of HTTP/2 to a server.
    pub(super) fn two(self) -> http2::Builder<Local> {
        let mut builder = http2::Builder::new(Local);
        builder
            .initial_stream_window_size(self.from_server.0)
            .initial_connection_window_size(self.from_server.1)
            .max_header_list_size(FIELDS)
            .max_send_buf_size(self.buffer);
        builder
    }
}
