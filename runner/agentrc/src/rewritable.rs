//! What MCP servers execute and the agent may write. The compiler holds it where both are written in the same way; what is one file by
//! two paths is only known on the host.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use agentfile::plan::servers::Reached;
use agentfile::plan::{Access, HostPath, MountSource, Plan};

use crate::refusal::Refusal;

/// The step's name in refusals.
const STEP: &str = "servers";

/// Most links on the way to a place (path_resolution(7)).
const LINKS: usize = 40;

/// Refuses each server of which the agent could rewrite what it executes, as `E097` does: that, or a link on the way to it, lies in a
/// writable bind of the agent's, where nothing holds it, or has one in it.
#[must_use]
pub(crate) fn executed(plan: &Plan, folder: &Path, home: Option<&Path>) -> Vec<Refusal> {
    let at = |written: &HostPath| on_host(written, folder, home);
    let started = plan.servers_asked().filter_map(|server| match server.reached {
        Reached::Started(own) => Some((server, own)),
        Reached::Remote { .. } => None,
    });
    let started: Vec<_> = started.collect();
    // Most runs have none, and look at nothing.
    if started.is_empty() {
        return Vec::new();
    }
    let writable = plan.mounts.iter().filter(|mount| mount.access == Access::ReadWrite);
    // What is not there is for those to refuse that need it.
    let writable: Vec<_> = writable
        .filter_map(|mount| match &mount.source {
            MountSource::Bind { source, protected } => {
                Some((mount, at(source)?.canonicalize().ok()?, protected))
            }
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    for (server, own) in started {
        for place in own.executed().filter_map(at).flat_map(|path| passed(&path)) {
            for (mount, source, protected) in &writable {
                let is_held = |rest: &Path| protected.iter().any(|held| rest.starts_with(&held.path));
                let open = beneath(&place, source)
                    .map_or_else(|| beneath(source, &place).is_some(), |rest| !is_held(rest));
                if !open {
                    continue;
                }
                let (name, target, origin) = (server.name, &mount.target, &mount.origin);
                let reason = format!(
                    "the agent could rewrite what `{name}` executes, `{}`: `{target}` ({origin}) is writable",
                    place.display()
                );
                let help = "bind it `ro` or `copy`, or bind a folder that does not hold it";
                found.push(Refusal::new(reason).step(STEP).at(server.origin).help(help));
            }
        }
    }
    found
}

/// Where `path` leads, and each link on the way: the places that say what is there.
fn passed(path: &Path) -> Vec<PathBuf> {
    let (mut passed, mut links) = (Vec::new(), LINKS);
    let (mut real, mut rest) = (PathBuf::from("/"), path.components().collect::<PathBuf>());
    loop {
        let mut parts = rest.components();
        let Some(part) = parts.next() else { break };
        let after = parts.as_path().to_owned();
        match part {
            Component::ParentDir => drop(real.pop()),
            Component::Normal(name) => {
                real.push(name);
                if let Ok(to) = real.read_link() {
                    if links == 0 {
                        break;
                    }
                    links -= 1;
                    passed.push(real.clone());
                    real.pop();
                    // An absolute one begins anew.
                    rest = to.join(&after);
                    if rest.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    continue;
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
        rest = after;
    }
    passed.push(real);
    passed
}

/// `path` from `folder` on, if it is in it or is it, by whichever of its paths: one place may be mounted at two.
fn beneath<'a>(path: &'a Path, folder: &Path) -> Option<&'a Path> {
    let identity = |path: &Path| path.symlink_metadata().ok().map(|found| (found.dev(), found.ino()));
    let folder = identity(folder)?;
    let at = path.ancestors().find(|at| identity(at) == Some(folder))?;
    path.strip_prefix(at).ok()
}

/// Where `written` is on this host.
pub(crate) fn on_host(written: &HostPath, folder: &Path, home: Option<&Path>) -> Option<PathBuf> {
    Some(match written {
        HostPath::Project(rest) | HostPath::Outside(rest) => folder.join(rest),
        HostPath::Home(rest) => home?.join(rest),
        HostPath::Absolute(path) => PathBuf::from(path),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_link_on_the_way_is_a_place_that_says_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/x"), "").unwrap();
        symlink("a", root.join("relative")).unwrap();
        symlink(root.join("relative/b"), root.join("absolute")).unwrap();
        symlink("../b", root.join("a/b/up")).unwrap();
        symlink("itself", root.join("itself")).unwrap();
        let of = |path: &str| {
            let passed = passed(&root.join(path));
            let shown = passed.iter().map(|place| place.strip_prefix(&root).unwrap().display().to_string());
            shown.collect::<Vec<_>>()
        };
        assert_eq!(of("a/b/x"), ["a/b/x"]);
        assert_eq!(of("a/./b/../b/x"), ["a/b/x"]);
        assert_eq!(of("relative/b/x"), ["relative", "a/b/x"]);
        assert_eq!(of("absolute/up/x"), ["absolute", "relative", "a/b/up", "a/b/x"]);
        assert_eq!(of("none/x"), ["none/x"]);
        assert_eq!(of("itself").len(), LINKS + 1);
    }

    #[test]
    fn what_is_beneath_is_told_by_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir(root.join("ab")).unwrap();
        let beneath = |path: &str, folder: &str| {
            super::beneath(&root.join(path), &root.join(folder)).map(|rest| rest.display().to_string())
        };
        assert_eq!(beneath("a/b", "a").as_deref(), Some("b"));
        assert_eq!(beneath("a", "a").as_deref(), Some(""));
        assert_eq!(beneath("ab", "a"), None);
        assert_eq!(beneath("a", "a/b"), None);
        assert_eq!(beneath("a", "none"), None);
    }
}
