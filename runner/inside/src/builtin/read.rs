//! `file_read`: a file, or a part of one.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use rustix::fs::OFlags;
use serde_json::{Value, json};

use super::open::{describe, kind, open};
use super::{Arguments, base64, size};

/// Most bytes of one call, and those where nothing is said.
const MOST: u64 = 1 << 20;
const USUAL: u64 = 256 << 10;

pub(super) fn read(arguments: &Arguments) -> Result<Value, String> {
    let path = arguments.text("path")?;
    let offset = arguments.number("offset", 0..=i64::MAX.unsigned_abs(), 0)?;
    let limit = arguments.number("limit", 1..=MOST, USUAL)?;
    let encoding = arguments.word("encoding", &["utf-8", "base64"])?;
    // A pipe without a writer must not hold it up.
    let file = open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let found = rustix::fs::fstat(&file).map_err(|errno| describe(path, errno))?;
    if kind(found.st_mode) != "file" {
        return Err(format!("`{path}` is no file, but: {}", kind(found.st_mode)));
    }
    let failed = |error: std::io::Error| format!("`{path}`: {error}");
    let mut file = File::from(file);
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    // One more tells whether there is more: the size may be wrong by now, and in /proc always is.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    let truncated = bytes.len() as u64 > limit;
    bytes.truncate(size(limit));
    let content =
        if encoding == "base64" { base64::encode(&bytes) } else { text(path, offset, bytes, truncated)? };
    Ok(json!({
        "path": path, "size": found.st_size, "offset": offset, "content": content, "encoding": encoding,
        "truncated": truncated,
    }))
}

/// The text, without a character that was cut at its end.
fn text(path: &str, offset: u64, mut bytes: Vec<u8>, truncated: bool) -> Result<String, String> {
    if let Err(error) = std::str::from_utf8(&bytes) {
        let good = error.valid_up_to();
        if !truncated || error.error_len().is_some() {
            let at = offset + good as u64;
            return Err(format!("`{path}` is not UTF-8 at byte {at}: read it as base64"));
        }
        // Nothing would be read, and a reader that goes on where this ended would read nothing for ever.
        if good == 0 {
            return Err(format!(
                "`{path}`: `limit` is less than the character at byte {offset} has: raise it"
            ));
        }
        bytes.truncate(good);
    }
    String::from_utf8(bytes).map_err(|error| format!("`{path}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        let cut = |bytes: &[u8], truncated| text("/a", 5, bytes.to_vec(), truncated);
        assert_eq!(cut(b"a\xc3", true).as_deref(), Ok("a"));
        assert_eq!(cut("aé".as_bytes(), true).as_deref(), Ok("aé"));
        assert_eq!(cut(b"", false).as_deref(), Ok(""));
        for (bytes, truncated, at) in [(&b"a\xc3"[..], false, 6), (b"a\xffb", true, 6), (b"\xa9", true, 5)] {
            assert!(cut(bytes, truncated).unwrap_err().contains(&format!("at byte {at}")), "{bytes:?}");
        }
        assert!(cut(b"\xc3", true).unwrap_err().contains("`limit`"));
    }
}
