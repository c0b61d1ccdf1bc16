//! The official Python SDK of the Model Context Protocol, from the package index: a client that we have not written.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What is installed.
const PACKAGE: &str = "mcp==2.3.0";

/// A folder with it, for `PYTHONPATH`, beside the binary under test (`env!("CARGO_BIN_EXE_agentrc")`): installed when it is not there.
/// `AGENTRC_TEST_MCP_SDK` names one that is there.
pub fn python(agentrc: &str) -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(given) = std::env::var_os("AGENTRC_TEST_MCP_SDK") {
            return given.into();
        }
        let target = Path::new(agentrc).ancestors().nth(2).expect("the target folder");
        let folder = target.join("tools").join(PACKAGE);
        if !folder.exists() {
            install(&folder);
        }
        folder
    })
}

/// For the Python that sandboxes have, whatever Python pip runs in.
fn install(folder: &Path) {
    let asked = Command::new("/usr/bin/python3")
        .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        .output()
        .expect("/usr/bin/python3");
    let version = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    let fresh = folder.with_extension(std::process::id().to_string());
    let made = Command::new("pip3")
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--no-warn-conflicts",
        ])
        .args(["--only-binary=:all:", "--python-version", &version, "--target"])
        .arg(&fresh)
        .arg(PACKAGE)
        .output()
        .expect("pip3");
    assert!(
        made.status.success(),
        "pip3 cannot install {PACKAGE}: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    // Another test may have been faster.
    if std::fs::rename(&fresh, folder).is_err() {
        std::fs::remove_dir_all(&fresh).expect("the second copy");
    }
}
