//! Paths as an Agentfile writes them, judged by their text alone: where they lie is the runner's to find out.

use crate::plan::HostPath;

/// Longest path, and longest part of one, that Linux takes (`PATH_MAX` less the terminator, `NAME_MAX`).
const PATH_MAX: usize = 4095;
const NAME_MAX: usize = 255;
/// Most parts of a path: work on a path grows with the square of its depth.
const DEPTH_MAX: usize = 100;

/// Why a path cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// A path inside the sandbox without its leading slash.
    #[error("is not absolute")]
    Relative,
    /// `.`, `..` or an empty part.
    #[error("is not normalised")]
    NotNormal,
    /// The root itself.
    #[error("is the root of the sandbox")]
    Root,
    /// More than `PATH_MAX` or `NAME_MAX` bytes.
    #[error("is longer than Linux takes")]
    TooLong,
    /// More than `DEPTH_MAX` parts.
    #[error("is nested too deeply")]
    TooDeep,
    /// A control character.
    #[error("holds a control character")]
    Control,
    /// A host path in none of its forms.
    #[error("is not a host path")]
    NotAHostPath,
    /// `~name`.
    #[error("names another user's home")]
    OtherHome,
}

fn plain(text: &str) -> Result<(), PathFault> {
    if text.len() > PATH_MAX || text.split('/').any(|part| part.len() > NAME_MAX) {
        Err(PathFault::TooLong)
    } else if text.split('/').count() > DEPTH_MAX {
        Err(PathFault::TooDeep)
    } else if text.chars().any(char::is_control) {
        Err(PathFault::Control)
    } else {
        Ok(())
    }
}

fn normal(text: &str) -> Result<(), PathFault> {
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Err(PathFault::NotNormal)
    } else {
        Ok(())
    }
}

/// A path inside the sandbox: absolute, normalised, not the root. One trailing slash is forgiven.
///
/// # Errors
/// The first fault found.
pub fn inside(text: &str) -> Result<String, PathFault> {
    plain(text)?;
    let rest = text.strip_prefix('/').ok_or(PathFault::Relative)?;
    if rest.is_empty() {
        return Err(PathFault::Root);
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    normal(rest)?;
    Ok(format!("/{rest}"))
}

/// A path on the host: `./x`, `../x`, `~/x`, `/x`, or one of `.`, `..`, `~`, `/`.
///
/// # Errors
/// The first fault found.
pub fn host(text: &str) -> Result<HostPath, PathFault> {
    plain(text)?;
    let trimmed = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
    let checked = |rest: &str| if rest.is_empty() { Ok(()) } else { normal(rest) };
    if trimmed == "." {
        return Ok(HostPath::Project(String::new()));
    }
    if trimmed == "~" {
        return Ok(HostPath::Home(String::new()));
    }
    if let Some(rest) = trimmed.strip_prefix("./") {
        // `./../x` is `../x` in disguise.
        normal(rest)?;
        return Ok(HostPath::Project(rest.to_owned()));
    }
    if let Some(rest) = trimmed.strip_prefix("~/") {
        normal(rest)?;
        return Ok(HostPath::Home(rest.to_owned()));
    }
    if let Some(rest) = trimmed.strip_prefix('/') {
        checked(rest)?;
        return Ok(HostPath::Absolute(trimmed.to_owned()));
    }
    let mut rest = trimmed;
    while let Some(up) = rest.strip_prefix("../") {
        rest = up;
    }
    if rest.len() < trimmed.len() || rest == ".." {
        if rest != ".." {
            normal(rest)?;
        }
        return Ok(HostPath::Outside(trimmed.to_owned()));
    }
    if trimmed.starts_with('~') { Err(PathFault::OtherHome) } else { Err(PathFault::NotAHostPath) }
}

/// A file beside the Agentfile, written with or without `./`; relative, normalised, without the `./`.
///
/// # Errors
/// The first fault found.
pub fn packaged(text: &str) -> Result<String, PathFault> {
    plain(text)?;
    let rest = text.strip_prefix("./").unwrap_or(text);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    normal(rest)?;
    Ok(rest.to_owned())
}

/// Whether `path` is `ancestor` or lies beneath it, part by part. Both are absolute and normalised.
#[must_use]
pub fn is_beneath(path: &str, ancestor: &str) -> bool {
    ancestor == "/"
        || path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The ancestors of an absolute, normalised path, nearest first, without the root and without the path itself.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |path| parent(path))
}

fn parent(path: &str) -> Option<&str> {
    path.rfind('/').filter(|at| *at > 0).and_then(|at| path.get(..at))
}

/// Joins with one slash; either side may be empty.
#[must_use]
pub fn join(base: &str, rest: &str) -> String {
    match (base, rest) {
        (base, "") => base.to_owned(),
        ("", rest) => rest.to_owned(),
        (base, rest) => format!("{}/{rest}", base.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inside_path_is_absolute_and_normalised() {
        assert_eq!(inside("/work/"), Ok("/work".to_owned()));
        for (text, fault) in [
            ("work", PathFault::Relative),
            ("", PathFault::Relative),
            ("/", PathFault::Root),
            ("/a/../b", PathFault::NotNormal),
            ("/a//b", PathFault::NotNormal),
            ("/./a", PathFault::NotNormal),
            ("//", PathFault::NotNormal),
            ("/a\u{1b}", PathFault::Control),
        ] {
            assert_eq!(inside(text), Err(fault), "{text}");
        }
        assert_eq!(inside(&format!("/{}", "a".repeat(256))), Err(PathFault::TooLong));
        assert_eq!(inside(&"/a".repeat(2048)), Err(PathFault::TooLong));
        assert_eq!(inside(&"/a".repeat(100)), Err(PathFault::TooDeep));
    }

    #[test]
    fn a_host_path_has_four_forms_and_cannot_leave_them() {
        assert_eq!(host("."), Ok(HostPath::Project(String::new())));
        assert_eq!(host("./"), Ok(HostPath::Project(String::new())));
        assert_eq!(host("./a/b/"), Ok(HostPath::Project("a/b".to_owned())));
        assert_eq!(host("~"), Ok(HostPath::Home(String::new())));
        assert_eq!(host("~/x"), Ok(HostPath::Home("x".to_owned())));
        assert_eq!(host("/"), Ok(HostPath::Absolute("/".to_owned())));
        assert_eq!(host("/etc"), Ok(HostPath::Absolute("/etc".to_owned())));
        assert_eq!(host(".."), Ok(HostPath::Outside("..".to_owned())));
        assert_eq!(host("../.."), Ok(HostPath::Outside("../..".to_owned())));
        assert_eq!(host("../../x"), Ok(HostPath::Outside("../../x".to_owned())));
        for text in ["./../x", "./a/../../x", "~/../x", "/a/../b", "../a/../b", "./a//b", "~//x"] {
            assert_eq!(host(text), Err(PathFault::NotNormal), "{text}");
        }
        assert_eq!(host("src"), Err(PathFault::NotAHostPath));
        assert_eq!(host("~root/x"), Err(PathFault::OtherHome));
    }

    #[test]
    fn beneath_goes_by_parts_not_by_letters() {
        assert!(is_beneath("/work/a", "/work"));
        assert!(is_beneath("/work", "/work"));
        assert!(!is_beneath("/work-evil", "/work"));
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a"]);
    }
}
