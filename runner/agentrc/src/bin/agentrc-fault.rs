//! `agentrc` with one step made to fail, chosen by `AGENTRC_FAULT`. Tests only: the release binary has none of this.
#![forbid(unsafe_code)]

/// Aborts on any allocation between clone and exec.
#[global_allocator]
static ALLOCATOR: agentrc_jail::Guarded = agentrc_jail::Guarded;

fn main() -> std::process::ExitCode {
    agentrc::fault::main()
}
