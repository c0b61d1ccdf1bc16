//! The `agentrc` binary. Everything is in the library, so that `agentrc-fault` is the same program.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    agentrc::main()
}
