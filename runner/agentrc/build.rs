//! Builds the program that lies inside a sandbox (`runner/inside`), static, to be embedded by `src/inside.rs`. A cargo within cargo: it is
//! linked in another way than the rest, and optimised for size in every profile (docs/decisions/0016-inside.md).

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What decides about the program, from the workspace's root.
const SOURCES: [&str; 4] = ["runner/inside/src", "runner/inside/Cargo.toml", "Cargo.toml", "Cargo.lock"];
/// No C library is looked for at run time. A position-independent executable, so that its addresses are random.
const FLAGS: [&str; 2] = ["-Ctarget-feature=+crt-static", "-Crelocation-model=pic"];
const HELP: &str = "the static program for sandboxes (runner/inside) cannot be built, for the reason above. If the linker finds no `-lc` or \
                    no `rcrt1.o`, the static C library is missing: libc6-dev on Debian and Ubuntu, glibc-static on Fedora";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.ancestors().nth(2).ok_or("the workspace is two folders above")?;
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let program = build(workspace, &out, &env::var("TARGET")?)?;
    std::fs::copy(&program, out.join("inside")).map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(())
}

/// The program's path.
fn build(workspace: &Path, out: &Path, target: &str) -> Result<PathBuf> {
    // OUT_DIR is FOLDER/PROFILE/build/agentrc-HASH/out: so all profiles share one, and it is built once.
    let folder = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo has it")?.join("inside");
    let mut cargo = Command::new(env::var_os("CARGO").ok_or("cargo does not say what it is")?);
    for (name, _) in env::vars_os() {
        if is_the_outer_cargos(&name) {
            cargo.env_remove(name);
        }
    }
    cargo
        .current_dir(workspace)
        .args(["build", "--quiet", "--locked", "--package", "agentrc-inside", "--profile", "inside"])
        .args(["--target", target, "--target-dir"])
        .arg(&folder)
        // Above flags of any other kind: those of the environment and of any configuration.
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    let status = cargo.status().map_err(|error| format!("cargo cannot be executed: {error}"))?;
    if !status.success() {
        return Err(HELP.into());
    }
    Ok(folder.join(target).join("inside").join("agentrc-inside"))
}

/// Whether a variable says how the outer cargo builds its crates: flags, features, names, and wrappers such as clippy's. What says
/// where crates and programs are, and how many jobs there may be at a time, holds for both.
fn is_the_outer_cargos(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let kept = matches!(name, "CARGO_HOME" | "CARGO_MAKEFLAGS")
        || ["CARGO_NET_", "CARGO_HTTP_", "CARGO_SOURCE_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || (name.starts_with("CARGO_TARGET_") && name.ends_with("_LINKER"));
    let wrappers = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_LINKER"];
    let flags = ["RUSTFLAGS", "RUSTDOCFLAGS", "CLIPPY_ARGS", "CLIPPY_CONF_DIR"];
    let build = ["OUT_DIR", "TARGET", "HOST", "PROFILE", "OPT_LEVEL", "DEBUG", "NUM_JOBS"];
    !kept
        && (name.starts_with("CARGO_")
            || [&wrappers[..], &flags[..], &build[..]].iter().any(|list| list.contains(&name)))
}
