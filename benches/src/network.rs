//! `just bench` of the network: the same clients against the same server, directly and from inside a sandbox, in turns.
//!
//! ```text
//! route (a destination of each kind) ─▶ client, outside ─────────────────────▶ server (threads of this process)
//!        clients (a lean one and an  ├▶ agentrc run: client inside ─▶ gateway ─┤
//!        ordinary one)               └▶ peers: client inside ─▶ what they have ┘
//! launch (/bin/true with a network and without) · memory (of the gateway's process) ─▶ report
//! ```
//!
//! benches/run has made a machine of its own for all that: namespaces with an address that looks like the internet's.

mod certificates;
pub(crate) mod client;
mod clients;
mod launch;
mod memory;
mod peers;
mod processor;
mod report;
mod route;
mod server;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure;
use crate::options::{Caller, Options};

/// What the processes that serve a run keep in memory together: the broker's, for a run without a network. KiB.
///
/// # Errors
/// /proc does not say.
pub(crate) fn broker_memory(supervisor: u32) -> Result<f64, String> {
    memory::of_broker(supervisor)
}

/// The server's name and address: benches/run gives the address to `lo`, and the name to `/etc/hosts`. The gateway reaches
/// neither private addresses nor those for documentation.
const HOST: &str = "api.example.com";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);

/// What all of it needs.
struct Stage {
    agentrc: PathBuf,
    caller: Caller,
    /// The Agentfile's, and the one in which everything is started.
    folder: PathBuf,
}

/// Everything about the network, as root.
///
/// # Errors
/// What could not be measured: here every row counts.
pub(crate) fn bench(options: &Options, cost: &Path) -> Result<(), String> {
    let caller = options.callers.iter().find(|caller| caller.id == 0);
    let caller = caller.ok_or("the network is measured as root")?.clone();
    let stage = Stage::prepare(options, caller)?;
    let before = load();
    let peers = peers::find(&stage)?;
    let routes = route::measure(&stage, &peers, options.rounds)?;
    let memory = memory::measure(&stage, options.rounds.min(5))?;
    let launches = launch::measure(&stage, options.rounds.saturating_mul(3))?;
    let connect = measure::run(&[cost.display().to_string()], &stage.caller, &stage.folder)?.output;
    let figures = report::Figures {
        routes,
        peers,
        memory,
        launches,
        connect,
        congestion: congestion(),
        load: (before, load()),
    };
    if options.json {
        report::json(&figures)
    } else {
        report::markdown(&figures)
    };
    Ok(())
}

impl Stage {
    /// Fills the folder, and starts the server.
    fn prepare(options: &Options, caller: Caller) -> Result<Self, String> {
        if !Path::new(clients::PYTHON).exists() {
            return Err(format!(
                "`{}` is not there: the ordinary client is a Python program, and inside a sandbox there are only the \
                 system's own folders; install the distribution's `python3`",
                clients::PYTHON
            ));
        }
        let folder = options.scratch.join("network");
        let stage = Self { agentrc: options.agentrc.clone(), caller, folder };
        let (roots, config) = certificates::make(HOST)?;
        let fill = || {
            fs::create_dir(&stage.folder)?;
            let program = stage.folder.join(clients::PROGRAM);
            fs::copy(std::env::current_exe()?, &program)?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
            fs::write(stage.folder.join(clients::SCRIPT), clients::SCRIPT_TEXT)?;
            fs::write(stage.folder.join(clients::ROOTS), &roots)
        };
        fill().map_err(|error| format!("`{}`: {error}", stage.folder.display()))?;
        for route in route::ROUTES {
            server::start(ADDRESS, route.port, route.tls.then(|| config.clone()))?;
        }
        Ok(stage)
    }

    /// Starts `argv` in a sandbox whose Agentfile has these `lines` besides.
    fn inside(&self, lines: &str, argv: &str) -> Result<Command, String> {
        let path = self.folder.join("Agentfile");
        fs::write(&path, format!("AGENT bench\nCMD {argv}\nBIND . /work ro\n{lines}"))
            .map_err(|error| format!("`{}`: {error}", path.display()))?;
        self.command(&[self.agentrc.display().to_string(), "run".to_owned(), path.display().to_string()])
    }

    /// Starts `argv` as it is.
    fn outside(&self, argv: &str) -> Result<Command, String> {
        self.command(&argv.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn command(&self, argv: &[String]) -> Result<Command, String> {
        let mut command = measure::command(argv, &self.caller, &self.folder)?;
        // Whom the gateway trusts, which is whom its host trusts.
        command.env("SSL_CERT_FILE", self.folder.join(clients::ROOTS));
        Ok(command)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("bench: `{}` could not be removed: {error}", self.folder.display());
        }
    }
}

/// benches/run chooses it for this namespace.
fn congestion() -> String {
    fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default().trim().to_owned()
}

/// Of the last minute: how busy the machine is otherwise (proc_loadavg(5)).
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
