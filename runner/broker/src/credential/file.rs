//! Reads a file that holds a value: nobody else may have written it, and it is read into a buffer that is wiped.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// The most bytes of a file with values.
const LARGEST: usize = 64 * 1024;

/// Who else may touch it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trust {
    /// Others may read it, as the user has decided; they may not write it.
    NotWritable,
    /// It is nobody else's at all.
    Private,
}

/// Reads a regular file of the user's own, or of root's.
///
/// # Errors
/// What is wrong, as a clause behind the path.
pub(super) fn read(path: &Path, trust: Trust) -> Result<Zeroizing<Vec<u8>>, String> {
    // Not blocking: opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|why| format!("cannot be opened: {why}"))?;
    let mut file = File::from(file);
    let about = file.metadata().map_err(|why| format!("cannot be examined: {why}"))?;
    if !about.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if ![0, rustix::process::geteuid().as_raw()].contains(&about.uid()) {
        return Err("belongs to another user, who decides what is in it: copy it".to_owned());
    }
    let (forbidden, whose, mode) = match trust {
        Trust::NotWritable => (0o022, "written", "go-w"),
        Trust::Private => (0o077, "read or written", "go="),
    };
    if about.mode() & forbidden != 0 {
        return Err(format!("can be {whose} by others: run `chmod {mode}` on it"));
    }
    let mut text = Zeroizing::new(vec![0; LARGEST + 1]);
    let mut length = 0;
    loop {
        let rest = text.get_mut(length..).unwrap_or_default();
        if rest.is_empty() {
            return Err(format!("has more than {LARGEST} bytes, which no credential has"));
        }
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
            Err(why) => return Err(format!("cannot be read: {why}")),
        }
    }
    // The whole buffer is wiped in the end, and nothing of it moves.
    text.truncate(length);
    Ok(text)
}
