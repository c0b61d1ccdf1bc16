//! The binary whose steps can be made to fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Builds `agentrc-fault` beside the binary under test, the same way.
pub fn binary(agentrc: &str) -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(given) = std::env::var_os("AGENTRC_TEST_FAULT_BINARY") {
            return given.into();
        }
        let beside = Path::new(agentrc).parent().expect("a folder");
        let target = beside.parent().expect("the target folder");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args([
                "build",
                "--quiet",
                "-p",
                "agentrc",
                "--bin",
                "agentrc-fault",
                "--features",
                "fault-injection",
                "--target-dir",
            ])
            .arg(target);
        if beside.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        let status =
            cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).status().expect("cargo");
        assert!(status.success(), "`agentrc-fault` does not build");
        beside.join("agentrc-fault")
    })
}

/// The names of all steps, as that binary lists them.
pub fn steps(agentrc: &str) -> Vec<String> {
    let output = Command::new(binary(agentrc)).arg("fault-steps").output().expect("agentrc-fault");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}
