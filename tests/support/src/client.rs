//! Clients in Rust (`tests/support/programs`): one with the standard library alone, and one with what programs in Rust speak
//! HTTPS with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Path of the plain client. `AGENTRC_TEST_CLIENT` names one that was built elsewhere: a user may not start root's rustc.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("AGENTRC_TEST_CLIENT").map_or_else(build, PathBuf::from))
}

/// Path of the client of HTTPS, built beside the binary under test (`env!("CARGO_BIN_EXE_agentrc")`).
/// `AGENTRC_TEST_HTTPS_CLIENT` names one that was built elsewhere.
pub fn https(agentrc: &str) -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = std::env::var_os("AGENTRC_TEST_HTTPS_CLIENT") {
            return given.into();
        }
        let beside = Path::new(agentrc).parent().expect("a folder");
        let target = beside.parent().expect("the target folder");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([
            "build",
            "--quiet",
            "-p",
            "agentrc-test-support",
            "--example",
            "https-client",
            "--target-dir",
        ]);
        cargo.arg(target);
        if beside.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        let status =
            cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).status().expect("cargo");
        assert!(status.success(), "`https-client` does not build");
        beside.join("examples/https-client")
    })
}

/// Once per state of its source.
fn build() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/client.rs");
    let changed = source.metadata().and_then(|one| one.modified()).expect("the client's source");
    let state = changed.duration_since(std::time::UNIX_EPOCH).expect("a time after 1970").as_nanos();
    let test = std::env::current_exe().expect("path of the test");
    let built = test.with_file_name(format!("client-{state:x}"));
    if built.exists() {
        return built;
    }
    let fresh = test.with_file_name(format!("client-{state:x}.{}", std::process::id()));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let made =
        Command::new(rustc).args(["--edition=2024", "-o"]).args([&fresh, &source]).output().expect("rustc");
    assert!(made.status.success(), "rustc: {}", String::from_utf8_lossy(&made.stderr));
    std::fs::rename(&fresh, &built).expect("rename the built client");
    built
}
