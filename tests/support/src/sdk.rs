//! The official Python SDK of the Model Context Protocol, and servers of its reference implementation, from the package indexes: a
//! client and servers that we have not written.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What is installed from PyPI.
const PYTHON: [&str; 2] = ["mcp==2.3.0", "mcp-server-time==2026.10.19"];
/// What is installed from npm.
const NODE: [&str; 2] =
    ["@modelcontextprotocol/server-filesystem@2026.8.31", "@modelcontextprotocol/server-memory@2026.8.31"];

/// A client that asks the broker for `current_time` and `file_read`, which may read below `/work`, where `a` holds `content`; its argument is where the
/// broker is.
pub const CLIENT: &str = include_str!("../programs/sdk.py");

/// What it prints when all is well.
#[must_use]
pub fn client_says() -> String {
    let half = "['current_time', 'file_read']\nTrue ['path']\nFalse ['time', 'unix_seconds']\ncontent\n\nTrue {'io.agentrc/refused': True}\n40\n";
    format!("legacy {half}2026-07-28 {half}")
}

/// A folder with it, for `PYTHONPATH`, beside the binary under test (`env!("CARGO_BIN_EXE_agentrc")`): installed when it is not there.
/// `AGENTRC_TEST_MCP_SDK` names one that is there.
pub fn python(agentrc: &str) -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(given) = std::env::var_os("AGENTRC_TEST_MCP_SDK") {
            return given.into();
        }
        installed(agentrc, &PYTHON.join("+"), pip)
    })
}

/// A folder with the reference servers `filesystem` and `memory` in its `node_modules`; see [`python`].
/// `AGENTRC_TEST_MCP_SERVERS` names one that is there.
pub fn node(agentrc: &str) -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(given) = std::env::var_os("AGENTRC_TEST_MCP_SERVERS") {
            return given.into();
        }
        installed(agentrc, "mcp-servers-2026.8.31", npm)
    })
}

/// The folder of that name beside the binary under test, made by `install` when it is not there.
fn installed(agentrc: &str, name: &str, install: fn(&Path)) -> PathBuf {
    let target = Path::new(agentrc).ancestors().nth(2).expect("the target folder");
    let folder = target.join("tools").join(name);
    if !folder.exists() {
        let fresh = target.join("tools").join(format!("fresh-{}", std::process::id()));
        install(&fresh);
        // Another test may have been faster.
        if std::fs::rename(&fresh, &folder).is_err() {
            std::fs::remove_dir_all(&fresh).expect("the second copy");
        }
    }
    folder
}

fn npm(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let made = Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(folder)
        .args(NODE)
        .output()
        .expect("npm");
    assert!(made.status.success(), "npm cannot install: {}", String::from_utf8_lossy(&made.stderr));
}

/// For the Python that sandboxes have, whatever Python pip runs in.
fn pip(folder: &Path) {
    let asked = Command::new("/usr/bin/python3")
        .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        .output()
        .expect("/usr/bin/python3");
    let version = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    let made = Command::new("pip3")
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--no-warn-conflicts",
            "--timeout=120",
            "--retries=10",
        ])
        .args(["--only-binary=:all:", "--python-version", &version, "--target"])
        .arg(folder)
        .args(PYTHON)
        .output()
        .expect("pip3");
    assert!(made.status.success(), "pip3 cannot install: {}", String::from_utf8_lossy(&made.stderr));
}
