//! `just bench` of the broker: calls of a warm broker from inside a sandbox, and what a program's own sandbox adds to it.
//!
//! ```text
//! agentrc run ─▶ this program inside (caller) ─▶ /agentrc/broker.sock ─▶ numbers on one line ─▶ Markdown
//! ```

pub(crate) mod caller;
pub(crate) mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::options::{Caller, Options};

/// As many tools as the figure of memory is about: the built-in one, and copies of one program.
const PROGRAMS: usize = 19;

/// What one run measured; microseconds, but for the last two.
struct Figures {
    call: [f64; 2],
    program: [f64; 2],
    direct: [f64; 2],
    command: [f64; 2],
    server: [f64; 2],
    alone: [f64; 2],
    per_second: f64,
    memory_kib: f64,
}

/// Everything about the broker, for each caller in turn.
///
/// # Errors
/// What could not be measured: here every row counts.
pub(crate) fn bench(options: &Options) -> Result<(), String> {
    println!(
        "| | call p50 | p99 | calls/s | program p50 | p99 | the same without | command p50 | server's tool p50 | p99 | the same without | memory (PSS) |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for caller in &options.callers {
        let folder = prepare(options, caller)?;
        let mut best: Option<Figures> = None;
        for _ in 0..options.steady_rounds {
            let one = measure(options, caller, &folder)?;
            if best.as_ref().is_none_or(|best| one.call[0] < best.call[0]) {
                best = Some(one);
            }
        }
        let figures = best.ok_or("no round was asked for")?;
        println!(
            "| {} | {:.0} µs | {:.0} µs | {:.0} | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms | {:.0} µs | {:.0} µs | {:.0} µs | {:.1} MiB |",
            caller.name,
            figures.call[0],
            figures.call[1],
            figures.per_second,
            figures.program[0] / 1e3,
            figures.program[1] / 1e3,
            figures.direct[0] / 1e3,
            figures.command[0] / 1e3,
            figures.server[0],
            figures.server[1],
            figures.alone[0],
            figures.memory_kib / 1024.0,
        );
    }
    Ok(())
}

/// An Agentfile's folder with the tools.
fn prepare(options: &Options, caller: &Caller) -> Result<std::path::PathBuf, String> {
    let folder = options.scratch.join(format!("broker-{}", caller.name));
    let failed = |error: std::io::Error| format!("`{}`: {error}", folder.display());
    fs::create_dir_all(folder.join("tools")).map_err(failed)?;
    let own = std::env::current_exe().map_err(failed)?;
    fs::copy(own, folder.join("bench")).map_err(failed)?;
    let mut lines = String::from(
        "AGENT bench\nCMD ./bench caller\nTOOL utcp:current_time\nALLOW invoke utcp:current_time\nMCP own\nTOOL mcp:own.act\nALLOW invoke mcp:own.act\n",
    );
    for number in 0..PROGRAMS {
        let name = format!("true{number}");
        fs::copy("/bin/true", folder.join("tools").join(&name)).map_err(failed)?;
        let schema = "{\"description\": \"Does nothing.\", \"inputSchema\": {\"type\": \"object\"}}";
        fs::write(folder.join("tools").join(format!("{name}.schema.json")), schema).map_err(failed)?;
        lines.push_str(&format!("TOOL local:./tools/{name}\nALLOW invoke local:./tools/{name}\n"));
    }
    let servers = "{\"mcpServers\": {\"own\": {\"command\": \"./bench\", \"args\": [\"server\"]}}}";
    fs::write(folder.join("mcp.json"), servers).map_err(failed)?;
    fs::write(folder.join("Agentfile"), lines).map_err(failed)?;
    let everybody = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
    [folder.clone(), folder.join("tools"), folder.join("bench")]
        .iter()
        .try_for_each(|path| everybody(path))
        .map_err(failed)?;
    Ok(folder)
}

fn measure(options: &Options, caller: &Caller, folder: &Path) -> Result<Figures, String> {
    use std::os::unix::process::CommandExt;
    let home = folder.join("home");
    fs::create_dir_all(&home).map_err(|error| error.to_string())?;
    std::os::unix::fs::chown(&home, Some(caller.id), Some(caller.id)).map_err(|error| error.to_string())?;
    let mut command = Command::new(&options.agentrc);
    command.arg("run").arg(folder).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &home);
    command.env("XDG_STATE_HOME", &home).stdin(Stdio::piped()).stdout(Stdio::piped());
    if caller.id != rustix::process::getuid().as_raw() {
        command.uid(caller.id).gid(caller.id);
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let figures = heard(&mut child);
    if figures.is_err() {
        // The sandbox goes with its supervisor.
        let _: std::io::Result<()> = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let figures = figures?;
    if status.success() { Ok(figures) } else { Err(format!("agentrc run: {status}")) }
}

fn heard(child: &mut std::process::Child) -> Result<Figures, String> {
    use std::io::{BufRead, BufReader, Write};
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("no pipes".to_owned());
    };
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [
        call,
        call99,
        program,
        program99,
        direct,
        direct99,
        command,
        command99,
        server,
        server99,
        alone,
        alone99,
        per_second,
    ] = numbers.as_slice()
    else {
        return Err(format!("`{}` are not the thirteen numbers", line.trim_end()));
    };
    let memory_kib = crate::network::broker_memory(child.id())?;
    stdin.write_all(b"\n").map_err(|error| error.to_string())?;
    Ok(Figures {
        call: [*call, *call99],
        program: [*program, *program99],
        direct: [*direct, *direct99],
        command: [*command, *command99],
        server: [*server, *server99],
        alone: [*alone, *alone99],
        per_second: *per_second,
        memory_kib,
    })
}
