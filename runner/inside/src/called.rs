//! What the program was called as: a path below `/agentrc` stands for a tool of the broker's.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Where the projection is: `/mnt` is what newer packages expect.
const ROOTS: [&str; 2] = ["/agentrc/", "/mnt/"];

/// The tool that a path stands for; `None` for the program itself.
///
/// # Errors
/// A path of the projection that stands for nothing, or a name that is not UTF-8.
pub(crate) fn tool(path: &Path) -> Result<Option<String>, String> {
    let text = path
        .to_str()
        .ok_or_else(|| format!("`{}` is not UTF-8, and no tool's name", path.to_string_lossy()))?;
    let below = ROOTS.iter().find_map(|root| text.strip_prefix(root));
    let parts: Vec<_> = below.unwrap_or(text).split('/').collect();
    match (below, parts.as_slice()) {
        (Some(_), ["tools", name]) => Ok(Some((*name).to_owned())),
        (Some(_), ["functions", name]) => Ok(Some(format!("function.{name}"))),
        (Some(_), ["mcp", server, name]) => Ok(Some(format!("{server}.{name}"))),
        (Some(_), ["memory", act]) => Ok(Some(format!("memory.{act}"))),
        (Some(_), ["bin", "mcp"]) => Ok(None),
        (None, [.., "mcp"]) => Ok(None),
        (None, [.., name]) if !name.is_empty() => Ok(Some((*name).to_owned())),
        _ => Err(format!("`{text}` stands for no tool")),
    }
}

/// The path that it was called by, as absolute as it can be told: a shell that found it in `PATH` gives the name alone, and the
/// kernel still knows the file.
pub(crate) fn path(called: &OsStr) -> PathBuf {
    let executed = Path::new(OsStr::from_bytes(rustix::param::linux_execfn().to_bytes()));
    let called = Path::new(called);
    let bare = called.components().count() == 1 && !called.is_absolute();
    let called = if bare && executed.file_name() == called.file_name() { executed } else { called };
    if !called.as_os_str().as_bytes().contains(&b'/') {
        return called.to_owned();
    }
    // Without a working directory the last part has to do.
    normal(&env::current_dir().unwrap_or_default().join(called))
}

/// Without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            _ => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_for_a_tool() {
        for (path, wanted) in [
            ("/agentrc/tools/file_read", Some("file_read")),
            ("/mnt/tools/file_read", Some("file_read")),
            ("/agentrc/tools/memory.read", Some("memory.read")),
            ("/agentrc/tools/mcp", Some("mcp")),
            ("/agentrc/functions/add", Some("function.add")),
            ("/agentrc/mcp/github/search", Some("github.search")),
            ("/agentrc/mcp/a/mcp", Some("a.mcp")),
            ("/agentrc/memory/read", Some("memory.read")),
            ("file_read", Some("file_read")),
            ("/elsewhere/File_Read", Some("File_Read")),
            ("/agentrc/bin/mcp", None),
            ("/elsewhere/mcp", None),
            ("mcp", None),
        ] {
            assert_eq!(tool(Path::new(path)).unwrap().as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_no_tool() {
        for path in [
            "",
            "/",
            "/agentrc/tools",
            "/agentrc/tools/a/b",
            "/agentrc/mcp/github",
            "/agentrc/mcp/a/b/c",
            "/agentrc/other/a",
            "/agentrc/bin/other",
        ] {
            assert!(tool(Path::new(path)).is_err(), "{path}");
        }
        assert!(tool(Path::new(OsStr::from_bytes(b"/agentrc/tools/\xff"))).is_err());
    }

    #[test]
    fn a_path_is_made_absolute() {
        let here = env::current_dir().unwrap();
        assert_eq!(path(OsStr::new("./x/../y")), here.join("y"));
        assert_eq!(path(OsStr::new("/agentrc/mcp/./a/../b/c")), Path::new("/agentrc/mcp/b/c"));
        assert_eq!(path(OsStr::new("y")), Path::new("y"));
    }
}
