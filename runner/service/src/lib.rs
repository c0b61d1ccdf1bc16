//! What the processes beside the supervisor have in common, the gateway and the broker: the channel to it, what waits for its
//! answer, what is counted instead of being told each time, and limits.
#![forbid(unsafe_code)]

pub mod channel;
pub mod denied;
pub mod limit;
pub mod tally;
pub mod texts;
pub mod voice;
