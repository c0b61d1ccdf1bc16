//! Builds the program that lies inside a sandbox (`runner/inside`) as a static one, and puts it beside what is compiled from this crate,
//! to be embedded. A cargo within cargo, since the program has another target than the rest: it must run on a root file system that
//! has no C library (docs/decisions/0016-inside.md).

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.ancestors().nth(2).ok_or("the workspace is two folders above")?;
    for watched in ["runner/inside/src", "runner/inside/Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(watched).display());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let target = env::var("TARGET")?;
    let built = build(workspace, &out, &target)?;
    std::fs::copy(&built, out.join("inside"))?;
    Ok(())
}

/// The static program's path.
fn build(workspace: &Path, out: &Path, target: &str) -> Result<PathBuf, Box<dyn Error>> {
    // One folder for all profiles of this build tree: OUT_DIR is TARGET/PROFILE/build/agentrc-HASH/out, or TARGET/TRIPLE/PROFILE/….
    let folder = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo has it")?.join("inside");
    let mut cargo = Command::new(env::var_os("CARGO").ok_or("cargo does not say what it is")?);
    cargo
        .current_dir(workspace)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "agentrc-inside",
            "--profile",
            "inside",
            "--target",
            target,
        ])
        .arg("--target-dir")
        .arg(&folder);
    // What the outer cargo means for its own crates: wrappers of clippy, flags, features, names of packages.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let outer = text.starts_with("CARGO_") && !matches!(&*text, "CARGO_HOME" | "CARGO_NET_OFFLINE");
        if outer
            || matches!(
                &*text,
                "RUSTFLAGS" | "RUSTC_WRAPPER" | "RUSTC_WORKSPACE_WRAPPER" | "RUSTDOCFLAGS" | "RUSTC"
            )
        {
            cargo.env_remove(&name);
        }
    }
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");
    if !cargo.status()?.success() {
        return Err("the static program for the sandbox cannot be built: a static C library is needed (`libc.a`: libc6-dev on Debian, glibc-static on Fedora)".into());
    }
    Ok(folder.join(target).join("inside").join("agentrc-inside"))
}
