//! `file_search`: lines with a text in them, as it stands.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::list::{named, unreadable};
use super::open::{describe, kind, open};
use super::walk::{Found, Next, walk};
use super::{Arguments, size};

/// How deep folders are searched.
const DEPTH: usize = 32;
/// Larger files are passed over, and those with a NUL in their beginning, in bytes.
const LARGEST: i64 = 8 << 20;
const BEGINNING: usize = 8 << 10;
/// Files that are looked at in one call.
const FILES: u64 = 20_000;
/// Characters of a line that are shown.
const LINE: usize = 400;

pub(super) fn search(arguments: &Arguments) -> Result<Value, String> {
    let path = arguments.text("path")?;
    let text = arguments.text("text")?;
    if text.is_empty() || text.len() > 1000 {
        return Err("`text` must have 1 to 1000 bytes".to_owned());
    }
    if text.contains('\n') {
        return Err("`text` has a line's end in it, and lines are looked through one by one".to_owned());
    }
    let names = arguments.optional_text("names")?;
    let limit = size(arguments.number("limit", 1..=1000, 100)?);
    let mut lines = Lines { text, limit, matches: Vec::new(), files: 0 };
    let start = open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let found = rustix::fs::fstat(&start).map_err(|errno| describe(path, errno))?;
    let (truncated, passed) = match kind(found.st_mode) {
        "file" if found.st_size > LARGEST => {
            return Err(format!("`{path}` has more than {LARGEST} bytes: read it in parts"));
        }
        "file" => {
            let name = path.rsplit('/').next().unwrap_or(path);
            let more = lines.look(name.as_bytes(), start).map_err(|errno| describe(path, errno))?;
            (more, 0)
        }
        "directory" => {
            let walked = walk(&start, DEPTH, &mut |found| {
                let fits = names.is_none_or(|pattern| fits(pattern.as_bytes(), found.name.to_bytes()));
                if found.kind != "file" || found.size > LARGEST || !fits {
                    return Next::On;
                }
                lines.visit(found)
            });
            let walked = walked.map_err(|errno| describe(path, errno))?;
            (walked.more || walked.deeper, walked.unreadable)
        }
        other => return Err(format!("`{path}` is neither a file nor a folder, but: {other}")),
    };
    let mut result =
        json!({ "path": path, "matches": lines.matches, "truncated": truncated, "files": lines.files });
    unreadable(&mut result, passed);
    Ok(result)
}

/// What was found so far.
struct Lines<'a> {
    text: &'a str,
    limit: usize,
    matches: Vec<Value>,
    /// Files that were looked at.
    files: u64,
}

impl Lines<'_> {
    fn visit(&mut self, found: &Found<'_>) -> Next {
        if self.files == FILES {
            return Next::Stop;
        }
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let opened = rustix::fs::openat(found.folder, found.name, how, Mode::empty());
        let looked = opened.and_then(|file| self.look(found.path, file));
        match looked {
            Ok(false) => Next::On,
            Ok(true) => Next::Stop,
            // Gone meanwhile.
            Err(Errno::NOENT) => Next::On,
            Err(_) => Next::Unreadable,
        }
    }

    /// Looks through one file; whether there are more matches than may be shown.
    fn look(&mut self, path: &[u8], file: OwnedFd) -> Result<bool, Errno> {
        // It may be another one than a moment ago.
        if kind(rustix::fs::fstat(&file)?.st_mode) != "file" {
            return Err(Errno::NOENT);
        }
        let mut bytes = Vec::new();
        let read = File::from(file).take(LARGEST.unsigned_abs()).read_to_end(&mut bytes);
        read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        self.files += 1;
        if bytes.iter().take(BEGINNING).any(|byte| *byte == 0) {
            return Ok(false);
        }
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            // Lossy, since `str` has the search that takes linear time.
            let line = String::from_utf8_lossy(line);
            if !line.contains(self.text) {
                continue;
            }
            if self.matches.len() == self.limit {
                return Ok(true);
            }
            let shown: String = line.trim_end_matches('\r').chars().take(LINE).collect();
            let mut entry = named(path);
            entry.insert("line".to_owned(), (number + 1).into());
            entry.insert("text".to_owned(), shown.into());
            self.matches.push(Value::Object(entry));
        }
        Ok(false)
    }
}

/// Whether a name fits a pattern: `*` for any characters, `?` for one byte. In time that the lengths bound.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last star was, and how much of the name it took.
    let mut star: Option<(usize, usize)> = None;
    while let Some(found) = name.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(b'?') => (at, from) = (at + 1, from + 1),
            Some(byte) if byte == found => (at, from) = (at + 1, from + 1),
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, from) = (place + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, wanted) in [
            ("*.rs", "a.rs", true),
            ("*.rs", ".rs", true),
            ("*.rs", "a.rsx", false),
            ("a?c*", "abc", true),
            ("a?c*", "ac", false),
            ("", "", true),
            ("", "a", false),
            ("*a*b*", "xaxxbx", true),
            ("*a*b", "xaxxbx", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} {name}");
        }
        let stars = "*a".repeat(200);
        assert!(!fits(stars.as_bytes(), "a".repeat(199).as_bytes()));
    }
}
