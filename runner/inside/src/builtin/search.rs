//! `file_search`: lines with a text in them, as it stands.

use std::fs::File;
use std::io::Read;

use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};

use super::list::{Found, walk};
use super::{Arguments, size};

/// How deep folders are searched.
const DEPTH: usize = 32;
/// Larger files are left out, and those with a NUL in their beginning.
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
    let names = arguments.optional_text("names")?;
    let limit = size(arguments.number("limit", 1..=1000, 100)?);
    let mut matches = Vec::new();
    let mut files = 0_u64;
    let mut more = false;
    let whole = walk(path, DEPTH, &mut |found| {
        let named = names.is_none_or(|pattern| fits(pattern.as_bytes(), found.name.to_bytes()));
        if found.kind != "file" || found.size > LARGEST || !named {
            return true;
        }
        if files == FILES {
            return false;
        }
        files += 1;
        let Some(content) = content(found) else { return true };
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
            if !contains(line, text.as_bytes()) {
                continue;
            }
            if matches.len() == limit {
                more = true;
                return false;
            }
            let shown: String = String::from_utf8_lossy(line).chars().take(LINE).collect();
            let at = String::from_utf8_lossy(&found.path).into_owned();
            matches.push(json!({ "path": at, "line": number + 1, "text": shown.trim_end_matches('\r') }));
        }
        true
    })?;
    Ok(json!({ "path": path, "matches": matches, "truncated": more || !whole, "files": files }))
}

/// The bytes of a file that looks like text; `None` for others, and for what cannot be read.
fn content(found: &Found<'_>) -> Option<Vec<u8>> {
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(found.folder, found.name, how, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    File::from(file).take(LARGEST.unsigned_abs()).read_to_end(&mut bytes).ok()?;
    let binary = bytes.iter().take(BEGINNING).any(|byte| *byte == 0);
    (!binary).then_some(bytes)
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    line.windows(text.len()).any(|part| part == text)
}

/// Whether a name fits a pattern: `*` for any characters, `?` for one. In time that the lengths bound.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last star was, and how much of the name it took.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(b'?') => (at, from) = (at + 1, from + 1),
            Some(byte) if name.get(from) == Some(byte) => (at, from) = (at + 1, from + 1),
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
