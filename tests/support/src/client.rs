//! Builds the client in Rust (`tests/support/programs/client.rs`), once per state of its source.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Path of the built client. `AGENTRC_TEST_CLIENT` names one that was built elsewhere: a user may not start root's rustc.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("AGENTRC_TEST_CLIENT").map_or_else(build, PathBuf::from))
}

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
