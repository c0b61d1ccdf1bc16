//! The program that lies inside a sandbox that has a broker (`runner/inside`): the supervisor puts it there.

/// It, as `build.rs` made it: static, for this machine.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inside"));

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// A number of `size` bytes, as this machine writes it.
    fn number(at: usize, size: usize) -> usize {
        PROGRAM[at..at + size].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    /// elf(5), 64 bits, little-endian: where the segments are told, how long each entry is, how many there are.
    #[test]
    fn it_names_no_interpreter() {
        const PT_LOAD: usize = 1;
        const PT_INTERP: usize = 3;
        assert_eq!(PROGRAM[..6], *b"\x7fELF\x02\x01");
        let (first, each, count) = (number(32, 8), number(54, 2), number(56, 2));
        let kinds: Vec<_> = (0..count).map(|index| number(first + index * each, 4)).collect();
        assert!(kinds.contains(&PT_LOAD), "{kinds:?}");
        assert!(!kinds.contains(&PT_INTERP), "{kinds:?}");
    }

    #[test]
    fn it_runs_where_there_is_no_other_file() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("mcp");
        std::fs::write(&program, PROGRAM).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let run = |words: &[&str], input: &str| {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--root"]).arg(root.path()).arg("/mcp").args(words);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        };
        let (code, out, complaint) = run(&["--builtin", "file_list"], "{\"path\":\"/\"}");
        assert_eq!((code, complaint.as_str()), (Some(0), ""));
        assert!(out.contains(r#"{"kind":"file","path":"mcp","size":"#), "{out}");
        let (code, _, complaint) = run(&["--socket", "/broker.sock"], "");
        assert!(code == Some(1) && complaint.contains("this sandbox has no broker"), "{complaint}");
    }
}
