//! What the gateway's process keeps in memory: before its first connection, after it, and with hundreds open.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use super::{Stage, clients, route};

/// Connections that are open at a time.
pub(super) const OPEN: usize = 500;

/// KiB (proc_pid_smaps(5)).
#[derive(Debug, Clone, Copy)]
pub(super) struct Resident {
    /// All pages, among them those of the program that the supervisor has, too.
    pub(super) rss: f64,
    /// Pages that others have as well counted in part.
    pub(super) pss: f64,
}

/// Of one kind of destination, in each round.
pub(super) struct Memory {
    pub(super) name: &'static str,
    /// Nothing has been connected yet.
    pub(super) idle: Vec<Resident>,
    /// One connection has come and gone.
    pub(super) used: Vec<Resident>,
    /// [`OPEN`] are open.
    pub(super) full: Vec<Resident>,
}

/// Each kind once, then the next round.
pub(super) fn measure(stage: &Stage, rounds: usize) -> Result<Vec<Memory>, String> {
    let mut all: Vec<Memory> = route::ROUTES
        .iter()
        .map(|route| Memory { name: route.name, idle: Vec::new(), used: Vec::new(), full: Vec::new() })
        .collect();
    for _ in 0..rounds {
        for (route, memory) in route::ROUTES.iter().zip(&mut all) {
            held(stage, route, memory).map_err(|error| format!("memory, {}: {error}", route.name))?;
        }
    }
    Ok(all)
}

fn held(stage: &Stage, route: &route::Route, memory: &mut Memory) -> Result<(), String> {
    let argv = clients::hold(Path::new("/work"), route, OPEN);
    let mut command = stage.inside(route.declared, &argv)?;
    command.stdin(Stdio::piped()).stderr(Stdio::inherit());
    let mut agentrc = command.spawn().map_err(|error| error.to_string())?;
    let result = watched(&mut agentrc, memory);
    if result.is_err() {
        // The sandbox goes with its supervisor.
        let _: std::io::Result<()> = agentrc.kill();
    }
    let status = agentrc.wait().map_err(|error| error.to_string())?;
    result?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

fn watched(agentrc: &mut Child, memory: &mut Memory) -> Result<(), String> {
    let (Some(mut stdin), Some(stdout)) = (agentrc.stdin.take(), agentrc.stdout.take()) else {
        return Err("no pipes".to_owned());
    };
    let mut lines = BufReader::new(stdout).lines();
    for samples in [&mut memory.idle, &mut memory.used, &mut memory.full] {
        lines.next().ok_or("the client ended early")?.map_err(|error| error.to_string())?;
        samples.push(resident(gateway(agentrc.id())?)?);
        stdin.write_all(b"\n").map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The supervisor's child that is in the network of the host: the sandbox's first process is not.
fn gateway(supervisor: u32) -> Result<u32, String> {
    let path = format!("/proc/{supervisor}/task/{supervisor}/children");
    let children = fs::read_to_string(&path).map_err(|error| format!("`{path}`: {error}"))?;
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let ours = network("self");
    let mut found = children.split_whitespace().filter(|child| network(child) == ours);
    match (found.next().map(str::parse), found.next()) {
        (Some(Ok(gateway)), None) => Ok(gateway),
        _ => Err(format!("which of the processes {children} is the gateway?")),
    }
}

/// PSS of the supervisor's largest child in its own network: the broker is that, and the process that tools come from is smaller.
///
/// # Errors
/// /proc does not say.
pub(super) fn of_broker(supervisor: u32) -> Result<f64, String> {
    let path = format!("/proc/{supervisor}/task/{supervisor}/children");
    let children = fs::read_to_string(&path).map_err(|error| format!("`{path}`: {error}"))?;
    let served = children.split_whitespace().filter_map(|child| child.parse().ok());
    let sizes = served.filter_map(|child| resident(child).ok()).map(|one| one.pss);
    sizes.max_by(f64::total_cmp).ok_or_else(|| "the supervisor has no children".to_owned())
}

fn resident(process: u32) -> Result<Resident, String> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("`{path}`: {error}"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
        number.ok_or_else(|| format!("`{path}` has no `{name}`"))
    };
    Ok(Resident { rss: field("Rss:")?, pss: field("Pss:")? })
}
