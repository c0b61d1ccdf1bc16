//! The host's unix sockets that have a path, from `/proc/net/unix` (proc_pid_net(5)).

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use rustix::io::Errno;

/// Canonical paths of the sockets that are bound in this network namespace and still there, in order.
pub(crate) fn listed() -> Result<Vec<PathBuf>, Errno> {
    let table =
        std::fs::read("/proc/net/unix").map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let found: BTreeSet<PathBuf> = table
        .split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(path)
        // A path that is relative, or was bound in another root, or is gone, leads nowhere here.
        .filter_map(|path| path.canonicalize().ok())
        .filter(|path| std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()))
        .collect();
    Ok(found.into_iter().collect())
}

/// The path of one line: the eighth field, which may hold blanks. `None` for an abstract or unnamed socket.
fn path(line: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let slash = line.iter().position(|byte| *byte == b'/')?;
    let before = line.get(..slash)?;
    let fields = before.split(|byte| *byte == b' ').filter(|field| !field.is_empty()).count();
    (fields == 7 && before.ends_with(b" "))
        .then(|| std::ffi::OsStr::from_bytes(line.get(slash..).unwrap_or_default()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table() {
        let line = |text: &str| path(text.as_bytes());
        let named = "ffff8: 00000002 00000000 00010000 0001 01 12345 /run/my socket";
        assert_eq!(line(named), Some(PathBuf::from("/run/my socket")));
        assert_eq!(line("ffff8: 00000002 00000000 00010000 0001 01 12345 @/tmp/.X11-unix/X0"), None);
        assert_eq!(line("ffff8: 00000002 00000000 00010000 0001 01 12345"), None);
        assert_eq!(line(""), None);
    }

    #[test]
    fn a_listening_socket_is_listed_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().canonicalize().unwrap().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&at).unwrap();
        assert!(listed().unwrap().contains(&at));
        drop(listener);
        std::fs::remove_file(&at).unwrap();
        assert!(!listed().unwrap().contains(&at));
    }
}
