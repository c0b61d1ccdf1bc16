//! Whose way to the network agentrc's is measured beside, and how each is asked to let a program reach the bench's server and
//! as little else as it can: that is what agentrc does, and few of them do.
//!
//! They are looked for on PATH, and none is needed: one that is not there is shown as such. Each runs in a process namespace
//! of its own and not for ever, so that neither it nor a daemon of it is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::Stage;
use super::clients::ORDINARY;
use super::route::{Route, Side};
use crate::measure;
use crate::peers::installed;

/// Folder of all that is theirs, in the Agentfile's.
const FOLDER: &str = "peers";
/// Folders in it: of what they write for themselves, and the one in which they are started.
const HOME: &str = "home";
const WORK: &str = "work";
/// Files in it.
const FILES: &[(&str, &str)] = &[
    ("srt.json", include_str!("peers/srt.json")),
    ("config.toml", include_str!("peers/codex.toml")),
    ("slirp4netns.sh", include_str!("peers/slirp4netns.sh")),
];
/// Before every command: what it leaves goes when it ends, and a run that takes a minute is one that hangs.
const GUARD: &[&str] =
    &["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "timeout", "--kill-after=5", "60"];

/// A tool, and how it is asked.
pub(super) struct Peer {
    /// As the tables show it.
    pub(super) name: &'static str,
    /// The programs that must be there; the first is asked for its version.
    programs: &'static [&'static str],
    /// Its command line before the client's. `{folder}` is that of [`FILES`], `{clients}` that of the client, `{work}` the
    /// one in which it is started.
    command: &'static [&'static str],
    /// Whether it lets TLS through as it is.
    tls: bool,
    /// Whether its way is a proxy, which the client is told of by variables.
    proxy: bool,
    /// How it is configured, and what it does otherwise than agentrc.
    note: &'static str,
}

/// In the order of the tables.
const PEERS: &[Peer] = &[
    Peer {
        name: "sandlock, host rule",
        programs: &["sandlock"],
        command: &[
            "sandlock",
            "run",
            "--net-allow",
            "api.example.com:80,443",
            "-r",
            "/usr",
            "-r",
            "/lib",
            "-r",
            "/lib64",
            "-r",
            "/bin",
            "-r",
            "/etc",
            "-r",
            "{clients}",
            "-w",
            "{work}",
            "--",
        ],
        tls: true,
        proxy: false,
        note: "`--net-allow api.example.com:80,443`: its supervisor is told of each connect(2) by seccomp \
               and makes the connection in the program's place; what goes over it is looked at by nobody",
    },
    Peer {
        name: "sandlock, HTTP rule",
        programs: &["sandlock"],
        command: &[
            "sandlock",
            "run",
            "--http-allow",
            "* api.example.com/*",
            "-r",
            "/usr",
            "-r",
            "/lib",
            "-r",
            "/lib64",
            "-r",
            "/bin",
            "-r",
            "/etc",
            "-r",
            "{clients}",
            "-w",
            "{work}",
            "--",
        ],
        tls: false,
        proxy: false,
        note: "`--http-allow '* api.example.com/*'`: connections to port 80 end in its proxy, which judges each request",
    },
    Peer {
        name: "pasta",
        programs: &["pasta", "setpriv"],
        // Nobody's, as it does not run as root; all its network is told, as here is no default route to learn it from.
        command: &[
            "setpriv",
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "pasta",
            "--config-net",
            "-4",
            "-i",
            "lo",
            "-I",
            "tap0",
            "-M",
            "9a:55:9a:55:9a:55",
            "-a",
            "10.0.2.15",
            "-n",
            "24",
            "-g",
            "10.0.2.2",
            "--no-map-gw",
            "-t",
            "none",
            "-u",
            "none",
            "-T",
            "none",
            "-U",
            "none",
            "--",
        ],
        tls: true,
        proxy: false,
        note: "a network namespace whose interface is a TCP stack in user space, as rootless podman 5 has it: no rule of any \
               kind, everything may be reached; as an ordinary user",
    },
    Peer {
        name: "slirp4netns",
        programs: &["slirp4netns", "bash"],
        command: &["{folder}/slirp4netns.sh"],
        tls: true,
        proxy: false,
        note: "the same of rootless podman before: a TCP stack in user space, no rule; packets of 65520 bytes, in its sandbox",
    },
    Peer {
        name: "srt",
        programs: &["srt", "bwrap", "socat", "rg"],
        command: &["srt", "--settings", "{folder}/srt.json", "--"],
        tls: true,
        proxy: true,
        note: "`allowedDomains` of the server's name, and of its address, which is one of the host's own here: an HTTP proxy in \
               Node.js behind two socat bridges; TLS through CONNECT",
    },
    Peer {
        name: "codex sandbox",
        programs: &["codex"],
        command: &["codex", "sandbox", "--"],
        tls: true,
        proxy: true,
        note: "a permission profile that allows the name, and its feature `network_proxy`, without which nothing would be \
               judged: an HTTP proxy; TLS through CONNECT",
    },
    Peer {
        name: "nono",
        programs: &["nono"],
        command: &[
            "nono",
            "run",
            "--silent",
            "--allow-domain",
            "api.example.com",
            "--read",
            "/usr",
            "--read",
            "/etc",
            "--read-file",
            "{clients}/client.py",
            "--read-file",
            "{clients}/roots.pem",
            "--allow",
            "{work}",
            "--",
        ],
        tls: true,
        proxy: true,
        note: "`--allow-domain api.example.com`: an HTTP proxy; TLS through CONNECT",
    },
];

/// A peer on this machine.
pub(super) struct Found {
    peer: &'static Peer,
    /// What it says of its version, or which of its programs is missing.
    state: Result<String, String>,
}

/// All peers; makes the folder of those that are there.
pub(super) fn find(stage: &Stage) -> Result<Vec<Found>, String> {
    let folder = folder(stage);
    let fill = || {
        for folder in [&folder, &folder.join(HOME), &folder.join(WORK)] {
            fs::create_dir(folder)?;
        }
        for (name, text) in FILES {
            let path = folder.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    };
    fill().map_err(|error: std::io::Error| format!("`{}`: {error}", folder.display()))?;
    let found = PEERS.iter().map(|peer| {
        let missing = peer.programs.iter().find(|program| !installed(program));
        let state =
            missing.map_or_else(|| version(stage, peer), |program| Err(format!("no `{program}` in PATH")));
        Found { peer, state }
    });
    Ok(found.collect())
}

impl Found {
    pub(super) fn name(&self) -> &'static str {
        self.peer.name
    }

    /// What a reader has to know to judge whether the comparison is fair.
    pub(super) fn legend(&self) -> String {
        match &self.state {
            Ok(version) => format!("{} ({version}): {}", self.peer.name, self.peer.note),
            Err(missing) => format!("{}: not measured, {missing}", self.peer.name),
        }
    }

    /// Its row on `route`, still empty, or why there is nothing to measure.
    pub(super) fn row(&self, route: &Route) -> Result<Side, String> {
        if route.tls && !self.peer.tls {
            return Err("passes no TLS through".to_owned());
        }
        self.state.as_ref().map(|_| Side::default()).map_err(Clone::clone)
    }

    /// One run of the ordinary client on `route`.
    pub(super) fn run(&self, stage: &Stage, route: &Route, side: &mut Side) -> Result<(), String> {
        let argv = ORDINARY.measure(&stage.folder, route) + if self.peer.proxy { " proxy" } else { "" };
        let sample = measure::finish(self.command(stage, &argv)?)?;
        side.add(&sample.output, ORDINARY.bulk)
    }

    fn command(&self, stage: &Stage, argv: &str) -> Result<Command, String> {
        let folder = folder(stage);
        let work = folder.join(WORK).display().to_string();
        let (clients, folder) = (stage.folder.display().to_string(), folder.display().to_string());
        let own = self.peer.command.iter().map(|word| {
            word.replace("{clients}", &clients).replace("{folder}", &folder).replace("{work}", &work)
        });
        started(stage, own.chain(argv.split(' ').map(str::to_owned)))
    }
}

/// `words` behind the guard, with a home of their own and the PATH of the bench, which is where the peers are.
fn started(stage: &Stage, words: impl Iterator<Item = String>) -> Result<Command, String> {
    let argv: Vec<String> = GUARD.iter().map(|&word| word.to_owned()).chain(words).collect();
    let mut command = stage.command(&argv)?;
    let folder = folder(stage);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(folder.join(WORK));
    command.env("CODEX_HOME", &folder);
    for variable in ["HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
        command.env(variable, folder.join(HOME));
    }
    Ok(command)
}

fn folder(stage: &Stage) -> PathBuf {
    stage.folder.join(FOLDER)
}

/// The first line of what it says to `--version`.
fn version(stage: &Stage, peer: &Peer) -> Result<String, String> {
    let program = peer.programs.first().copied().unwrap_or_default();
    let words = [program, "--version"].map(str::to_owned);
    let sample = measure::finish(started(stage, words.into_iter())?)
        .map_err(|error| format!("`{program} --version` failed: {error}"))?;
    Ok(sample.output.lines().next().unwrap_or_default().to_owned())
}
