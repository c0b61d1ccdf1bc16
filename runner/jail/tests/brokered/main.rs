//! Runs with a broker, on this machine's kernel: the socket inside, and what its process has given up. What launches is
//! `examples/brokered.rs`.

mod confined;
mod entrance;
mod program;
mod socket;
