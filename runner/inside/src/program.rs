//! Programs that are executed directly: what the kernel does not take for one is not handed to a shell instead, as execvp(3) would.

use std::env;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How an ELF file and a script begin (execve(2)).
const ELF: &[u8] = b"\x7fELF";
const SCRIPT: &[u8] = b"#!";

/// Why the file at `path` is none, if it is none. One that cannot be read may still be one.
pub(crate) fn fault(path: &Path) -> Option<String> {
    let mut first = Vec::new();
    match File::open(path).and_then(|file| file.take(ELF.len() as u64).read_to_end(&mut first)) {
        Ok(_) if first.starts_with(SCRIPT) || first == ELF => None,
        Ok(_) => {
            Some("it is neither a program for this machine nor a script that begins with `#!`".to_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Some(error.to_string()),
        Err(_) => None,
    }
}

/// The path of `name`, which is looked for in `PATH` unless it is one.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let path = env::var_os("PATH")?;
    let mut folders = path.as_bytes().split(|byte| *byte == b':').filter(|folder| !folder.is_empty());
    folders.find_map(|folder| {
        let path = Path::new(std::ffi::OsStr::from_bytes(folder)).join(name);
        path.metadata().is_ok_and(|found| found.is_file()).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_executes_is_a_program() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes, is) in [
            ("a", &b"#!/bin/sh\n"[..], true),
            ("b", b"\x7fELF\x02", true),
            ("c", b"echo\n", false),
            ("d", b"", false),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(fault(&path).is_none(), is, "{name}");
        }
        assert!(fault(&folder.path().join("none")).is_some());
    }

    #[test]
    fn a_name_is_looked_for_and_a_path_is_not() {
        assert_eq!(find("./none"), Some(PathBuf::from("./none")));
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program"), None);
    }
}
