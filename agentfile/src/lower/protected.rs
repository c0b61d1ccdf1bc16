//! Which paths of a writable bind stay read-only because the host runs or trusts them (`policies/protected.toml`).

use crate::base::{PROTECTED, PROTECTED_FILE, ProtectedPath};
use crate::plan::{HostPath, Origin, Protected};

/// The protected paths below a bind of `source`, and of the Agentfile `file` when the bind is its folder.
pub(crate) fn below(source: &HostPath, file: &str) -> Vec<Protected> {
    let mut found = Vec::new();
    let mut add = |path: &str, content: &str| {
        let origin = Origin::builtin(PROTECTED_FILE);
        found.push(Protected {
            path: path.to_owned(),
            directory: false,
            content: content.to_owned(),
            origin,
        });
    };
    let own = text(source);
    let home = home_relative(source);
    for entry in PROTECTED {
        if entry.home {
            match home {
                Some("") => add(entry.path, entry.content),
                Some(at) => {
                    if let Some(rest) = entry.path.strip_prefix(at).and_then(|rest| rest.strip_prefix('/')) {
                        add(rest, entry.content);
                    }
                }
                None => {}
            }
            continue;
        }
        add(entry.path, entry.content);
        // A bind of `x/.git` holds `hooks`.
        for (at, _) in entry.path.match_indices('/') {
            if let (Some(head), Some(rest)) = (entry.path.get(..at), entry.path.get(at + 1..))
                && ends_with_parts(own, head)
            {
                add(rest, entry.content);
            }
        }
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    if *source == HostPath::Project(String::new()) && !PROTECTED.iter().any(|entry| entry.path == name) {
        add(name, "");
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found.dedup_by(|one, other| one.path == other.path);
    found
}

/// The protected path that `source` itself is, or lies in.
pub(crate) fn containing(source: &HostPath) -> Option<&'static ProtectedPath> {
    let own = text(source);
    let home = home_relative(source);
    PROTECTED.iter().find(|entry| {
        if entry.home {
            home.is_some_and(|at| !at.is_empty() && crate::path::is_beneath(at, entry.path))
        } else {
            // A name such as `Agentfile` is only itself; a folder is also everything in it.
            own.match_indices(entry.path).any(|(at, found)| {
                let (before, after) =
                    (own.get(..at).unwrap_or_default(), own.get(at + found.len()..).unwrap_or_default());
                let begins = before.is_empty() || before.ends_with('/');
                begins && (after.is_empty() || entry.directory && after.starts_with('/'))
            })
        }
    })
}

fn text(source: &HostPath) -> &str {
    match source {
        HostPath::Project(path)
        | HostPath::Home(path)
        | HostPath::Absolute(path)
        | HostPath::Outside(path) => path,
    }
}

fn ends_with_parts(path: &str, tail: &str) -> bool {
    path.strip_suffix(tail).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Where `source` lies in a home: empty for the home itself.
fn home_relative(source: &HostPath) -> Option<&str> {
    match source {
        HostPath::Home(rest) => Some(rest),
        HostPath::Absolute(path) => {
            let rest = match path.strip_prefix("/root") {
                Some(rest) => rest,
                None => {
                    let below = path.strip_prefix("/home/")?;
                    below.find('/').map_or("", |at| below.get(at..).unwrap_or_default())
                }
            };
            if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
        }
        HostPath::Project(_) | HostPath::Outside(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        let source = HostPath::try_from(source.to_owned()).unwrap();
        below(&source, "dir/my.agentfile").into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn a_bind_of_a_repository_keeps_its_hooks_and_of_the_folder_its_agentfile() {
        let project = paths(".");
        for path in [".git/hooks", ".git/config", ".envrc", "Agentfile", "my.agentfile"] {
            assert!(project.iter().any(|found| found == path), "{path}");
        }
        assert!(!project.iter().any(|found| found == ".bashrc"));
        assert!(!paths("./sub").iter().any(|found| found == "my.agentfile"));
    }

    #[test]
    fn a_bind_inside_a_protected_parent_keeps_the_rest_of_the_path() {
        assert!(paths("./repo/.git").iter().any(|found| found == "hooks"));
        assert!(paths("~/.config").iter().any(|found| found == "git"));
        assert!(paths("/home/me/.local").iter().any(|found| found == "bin"));
        assert!(!paths("./repo.git").iter().any(|found| found == "hooks"));
    }

    #[test]
    fn a_home_keeps_what_its_shell_runs() {
        for home in ["~", "/root", "/home/me"] {
            assert!(paths(home).iter().any(|found| found == ".bashrc"), "{home}");
            assert!(paths(home).iter().any(|found| found == ".ssh"), "{home}");
        }
        assert!(!paths("/srv").iter().any(|found| found == ".bashrc"));
    }

    #[test]
    fn a_source_that_is_itself_protected_is_found() {
        let of =
            |text: &str| containing(&HostPath::try_from(text.to_owned()).unwrap()).map(|entry| entry.path);
        assert_eq!(of("./.git/hooks"), Some(".git/hooks"));
        assert_eq!(of("./.vscode/sub"), Some(".vscode"));
        assert_eq!(of("~/.ssh"), Some(".ssh"));
        assert_eq!(of("/home/me/.ssh/keys"), Some(".ssh"));
        assert_eq!(of("./src"), None);
        assert_eq!(of("./hooks"), None);
    }
}
