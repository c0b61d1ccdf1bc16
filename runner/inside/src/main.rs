//! The one program of ours that lies inside a sandbox, as `/agentrc/bin/mcp`; static, so that it runs on any root file system. It has no
//! right that the agent has not, and decides nothing.
//!
//! ```text
//! /agentrc/bin/mcp                    standard input and output ◀─▶ the broker's socket      (bridge)
//! /agentrc/tools/NAME, a link to it   one call of NAME                                       (called, call)
//! /agentrc/bin/mcp call NAME …        the same, for any name
//! /agentrc/bin/mcp --builtin NAME     carries out a built-in tool, in the sandbox of a call  (builtin)
//! /agentrc/bin/mcp --function FILE NAME    has Python call a function, likewise              (function)
//! /agentrc/bin/mcp --skill FOLDER SCRIPTS…  executes one of a skill's scripts, likewise        (skill)
//! /agentrc/bin/mcp --probe PROGRAM WORDS…  becomes a health check's program, likewise        (probe)
//! /agentrc/bin/mcp --command JSON     becomes the command of a manual, there                 (command)
//! ```
#![forbid(unsafe_code)]

mod answer;
mod bridge;
mod builtin;
mod call;
mod called;
mod command;
mod function;
mod json;
mod probe;
mod program;
mod session;
mod skill;
mod words;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The broker's socket inside.
const SOCKET: &str = "/agentrc/broker.sock";

const USAGE: &str = "without words it speaks the Model Context Protocol on standard input and output; \
                     `call NAME …` calls a tool; `--builtin NAME` carries out a built-in tool; `--command JSON` becomes a command of the plan; `--function FILE NAME` a function of Python; `--skill FOLDER SCRIPT…` one of a skill's scripts; `--probe PROGRAM …` executes it; \
                     `--socket PATH [--call LINK WORDS…]` asks the broker at PATH";

fn main() -> ExitCode {
    let mut words = env::args_os();
    let path = called::path(&words.next().unwrap_or_default());
    let words: Vec<OsString> = words.collect();
    let done = match called::tool(&path) {
        Ok(Some(tool)) => call::carry_out(SOCKET, &path, &tool, &words),
        Ok(None) => own(&words),
        Err(why) => Err(why),
    };
    done.unwrap_or_else(|why| {
        words::complain(&format!("agentrc: {why}"));
        ExitCode::FAILURE
    })
}

/// Called by its own name. The socket is named by a word, for tests; never by the environment, which others write.
fn own(words: &[OsString]) -> Result<ExitCode, String> {
    let said: Vec<_> = words.iter().map(|word| word.to_str()).collect();
    match said.as_slice() {
        [] => bridge::serve(SOCKET),
        [Some("--builtin"), Some(name)] => return Ok(builtin::carry_out(name)),
        [Some("--function"), Some(file), Some(name)] => return Ok(function::carry_out(file, name)),
        [Some("--skill"), Some(folder), ..] => {
            let scripts = said.get(2..).unwrap_or_default();
            return Ok(skill::carry_out(folder, scripts));
        }
        [Some("--probe"), Some(program), ..] => {
            return Ok(probe::become_program(program, words.get(2..).unwrap_or_default()));
        }
        [Some("--command"), Some(template)] => return command::execute(template).map(|never| match never {}),
        [Some("call"), Some(name), ..] => {
            return call::carry_out(SOCKET, Path::new(name), name, words.get(2..).unwrap_or_default());
        }
        [Some("--socket"), Some(socket)] => bridge::serve(socket),
        [Some("--socket"), Some(socket), Some("--call"), Some(link), ..] => {
            let link = Path::new(link);
            let tool = called::tool(link)?.ok_or("`--call` wants the path of a tool")?;
            return call::carry_out(socket, link, &tool, words.get(4..).unwrap_or_default());
        }
        _ => Err(USAGE.to_owned()),
    }
    .map(|()| ExitCode::SUCCESS)
}
