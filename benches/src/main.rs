//! `just bench`: what a sandbox costs, agentrc beside the tools that people use today, side by side in one run.
//!
//! ```text
//! peers (who, and the closest comparable sandbox) ─▶ measure (one run: wall, CPU, memory) ─▶ statistics ─▶ report
//!                                                 └▶ inside (loops that run in each sandbox) ─┘
//! ```
//!
//! `--network` measures the way through the gateway beside the direct one instead ([`network`]), `--broker` calls of tools
//! ([`broker`]).
//!
//! Runs are interleaved: one of each peer, then the next round, so that a slow moment of the machine hits all of them.

mod broker;
mod inside;
mod measure;
mod network;
mod options;
mod peers;
mod report;
mod rounds;
mod statistics;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == "inside" => inside::run(rest),
        Some((first, rest)) if first == "client" => network::client::run(rest),
        Some((first, [])) if first == "caller" => broker::caller::run(),
        Some((first, [])) if first == "server" => broker::server::run(),
        _ => options::Options::parse(&arguments).and_then(|options| match &options.network {
            Some(cost) => network::bench(&options, cost),
            None if options.broker => broker::bench(&options),
            None => bench(&options),
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything, for each caller in turn.
fn bench(options: &options::Options) -> Result<(), String> {
    let file_system = peers::file_system(&options.scratch);
    let mut tables = Vec::new();
    for caller in &options.callers {
        let stage = peers::Stage::prepare(options, caller)?;
        let startup = rounds::startup(&stage, options.rounds);
        let steady = rounds::steady(&stage, options.steady_rounds);
        let compile = rounds::compile(&stage, options.rounds.min(20));
        tables.push(report::Table { caller: caller.name.clone(), startup, steady, compile });
    }
    if options.json {
        report::json(&tables, &file_system);
    } else {
        report::markdown(&tables, &file_system);
    }
    match report::failures(&tables) {
        0 => Ok(()),
        count => Err(format!("{count} rows that the comparison rests on could not be measured")),
    }
}
