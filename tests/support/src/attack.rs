//! Builds the attacker (`tests/attack/*.c`) with the system's C compiler, once per state of its sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

/// Path of the built attacker, linked statically where the system has a static C library, so that it also runs in a
/// sandbox made of nothing. `AGENTRC_TEST_ATTACKER` names one that was built elsewhere (`vm-tests`: a guest has no
/// compiler).
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("AGENTRC_TEST_ATTACKER").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../attack");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&sources)
        .expect("tests/attack")
        .map(|entry| entry.expect("tests/attack").path())
        .filter(|path| path.extension().is_some_and(|e| e == "c" || e == "h"))
        .collect();
    files.sort();
    let state: u128 =
        files.iter().map(|file| modified(file)).fold(0, |sum, time| sum.wrapping_mul(31) ^ time);
    let folder = target_folder();
    let built = folder.join(format!("attack-{state:x}"));
    if built.exists() {
        return built;
    }
    let fresh = folder.join(format!("attack-{state:x}.{}", std::process::id()));
    let made = Command::new(sources.join("build"))
        .arg(&fresh)
        .output()
        .expect("tests/attack/build: the behaviour tests need a C compiler");
    assert!(made.status.success(), "cc: {}", String::from_utf8_lossy(&made.stderr));
    std::fs::rename(&fresh, &built).expect("rename the built attacker");
    built
}

fn modified(file: &Path) -> u128 {
    let time = file.metadata().and_then(|m| m.modified()).expect("a time of change");
    time.duration_since(UNIX_EPOCH).expect("a time after 1970").as_nanos()
}

/// The folder of the running test program: always in the build's target folder, and writable by who builds.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("path of the test");
    test.parent().expect("folder of the test").to_owned()
}
