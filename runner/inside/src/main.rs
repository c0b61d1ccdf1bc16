//! The one program of ours that lies inside a sandbox, as `/agentrc/bin/mcp`; static, so that it runs on any root file system. It has no
//! right that the agent has not, and decides nothing.
//!
//! ```text
//! /agentrc/bin/mcp                    standard input and output ◀─▶ the broker's socket      (bridge)
//! /agentrc/tools/NAME, a link to it   one call of NAME                                       (call)
//! /agentrc/bin/mcp call NAME …        the same, for any name
//! /agentrc/bin/mcp --builtin NAME     carries out a built-in tool, in the sandbox of a call  (builtin)
//! ```
#![forbid(unsafe_code)]

mod bridge;
mod builtin;
mod call;
mod words;

use std::process::ExitCode;

/// The broker's socket inside.
const SOCKET: &str = "/agentrc/broker.sock";

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let rest: Vec<_> = words.collect();
    let done = match (call::tool_of(&called), rest.first().and_then(|word| word.to_str())) {
        (Some(tool), Some("--help")) if rest.len() == 1 => call::help(&called, &tool),
        (Some(tool), _) => return call::call(&tool, rest),
        (None, Some("call")) => match rest.split_first().and_then(|(_, rest)| rest.split_first()) {
            Some((name, words)) => return call::call(&name.to_string_lossy(), words.to_vec()),
            None => Err("write `call NAME`".to_owned()),
        },
        (None, Some("--builtin")) => match (rest.get(1).and_then(|name| name.to_str()), rest.len()) {
            (Some(name), 2) => return builtin::carry_out(name),
            _ => Err("write `--builtin NAME`".to_owned()),
        },
        (None, None) => bridge::serve(SOCKET),
        (None, Some(_)) => {
            Err("write `call NAME`, or no words: it speaks the Model Context Protocol on standard input and output"
                .to_owned())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("agentrc: {}", words::printable(&why));
            ExitCode::FAILURE
        }
    }
}

/// Connects to the broker.
fn connect(path: &str) -> Result<std::os::unix::net::UnixStream, String> {
    std::os::unix::net::UnixStream::connect(path)
        .map_err(|error| format!("there is no broker to be reached at `{path}`: {error}"))
}
