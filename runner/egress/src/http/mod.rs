//! Requests, where they are seen: `http://` destinations, and `https://` ones whose TLS is terminated. Each request is read
//! whole by a library, judged, and written anew: nothing that two programs could read differently gets through.

mod body;
mod client;
mod front;
mod guarded;
mod headers;
mod idle;
mod room;
pub mod target;

pub(crate) use front::serve;
