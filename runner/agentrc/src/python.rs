//! Whether functions of Python can be called: asked before the start, so that a sandbox without an interpreter is a refusal with the
//! line's place, and not an error of the first call.

use std::path::Path;

use agentfile::path::ancestors;
use agentfile::plan::{BrokerEntry, Calls, MountSource, Plan};

use crate::refusal::Refusal;
use crate::rewritable::on_host;

/// The step's name in refusals.
const STEP: &str = "python";
/// Where the program inside looks for it (`runner/inside/src/function.rs`).
const PYTHONS: [&str; 3] = ["/usr/local/bin/python3", "/usr/bin/python3", "/bin/python3"];

/// Refuses each permitted function of Python when nothing that is shown inside has an interpreter.
#[must_use]
pub fn missing(plan: &Plan, folder: &Path, home: Option<&Path>) -> Vec<Refusal> {
    if PYTHONS.iter().any(|python| is_shown(plan, python, folder, home)) {
        return Vec::new();
    }
    let needs = plan.broker.iter().filter_map(|entry| match entry {
        BrokerEntry::Function { path, symbol, permitted: true, definition: Some(definition), origin }
            if definition.runs == Calls::Python =>
        {
            Some((path.as_deref().unwrap_or_default(), symbol, origin))
        }
        _ => None,
    });
    needs
        .map(|(path, symbol, origin)| {
            Refusal::new(format!(
                "`FUNCTION ./{path}:{symbol}` is called by Python, and there is none inside: none of {}",
                PYTHONS.join(", ")
            ))
            .step(STEP)
            .at(origin)
            .help("install python3 on the host, or show one: `BIND /usr /usr ro`")
        })
        .collect()
}

/// Whether the mount that `path` is in has it.
fn is_shown(plan: &Plan, path: &str, folder: &Path, home: Option<&Path>) -> bool {
    let around = std::iter::once(path).chain(ancestors(path));
    let mut mounts = around.filter_map(|target| {
        plan.mounts.iter().find(|mount| mount.target == target).map(|mount| (target, mount))
    });
    let Some((target, mount)) = mounts.next() else { return false };
    let (MountSource::Bind { source, .. } | MountSource::Copy { source, .. }) = &mount.source else {
        return false;
    };
    let Some(source) = on_host(source, folder, home) else { return false };
    let below = path.get(target.len()..).unwrap_or_default().trim_start_matches('/');
    let found = if below.is_empty() { source } else { source.join(below) };
    // A link may lead to what is another file inside: it is there, and whether it can be executed the call says.
    found.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use agentfile::plan::HostPath;

    use super::*;
    use crate::sample;

    #[test]
    fn a_file_is_shown_by_the_nearest_mount_that_has_it() {
        let mut plan = sample::plan();
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(outer.path().join("tools/bin")).unwrap();
        std::fs::write(outer.path().join("tools/bin/python3"), "").unwrap();
        let shown = |plan: &Plan| is_shown(plan, "/opt/x/bin/python3", outer.path(), None);
        assert!(!shown(&plan));
        let mut mount = plan.mounts[0].clone();
        mount.target = "/opt/x".to_owned();
        mount.source =
            MountSource::Bind { source: HostPath::Project("tools".to_owned()), protected: Vec::new() };
        plan.mounts.push(mount.clone());
        assert!(shown(&plan));
        mount.target = "/opt/x/bin".to_owned();
        mount.source = MountSource::Mask;
        plan.mounts.push(mount);
        assert!(!shown(&plan));
    }
}
