//! `file_read`.

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
    let content = if encoding == "base64" {
        base64::encode(&bytes)
    } else {
        text(bytes, truncated).map_err(|at| {
            format!("`{path}` is not UTF-8 at byte {}: read it as base64", offset + at as u64)
        })?
    };
    Ok(json!({
        "path": path, "size": found.st_size, "offset": offset, "content": content, "encoding": encoding,
        "truncated": truncated,
    }))
}

/// The text, without a character that was cut at its end.
fn text(mut bytes: Vec<u8>, truncated: bool) -> Result<String, usize> {
    if let Err(error) = std::str::from_utf8(&bytes) {
        if !truncated || error.error_len().is_some() {
            return Err(error.valid_up_to());
        }
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8(bytes).map_err(|error| error.utf8_error().valid_up_to())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(text("aé".as_bytes()[..2].to_vec(), true).as_deref(), Ok("a"));
        assert_eq!(text("aé".as_bytes()[..2].to_vec(), false), Err(1));
        assert_eq!(text(vec![b'a', 0xff, b'b'], true), Err(1));
    }
}
