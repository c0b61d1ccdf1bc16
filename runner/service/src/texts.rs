//! Texts on their way from one service to another: those that the broker has the gateway search, and how they come back. A text is its
//! chunks, each with its length before it (u32, little-endian), and a length of zero is its end. So neither side needs memory for
//! more than a chunk because of what the other one says.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest chunk, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// Appends a part of a text.
pub fn part(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.chunks(LONGEST) {
        // INVARIANT: no chunk is longer than `LONGEST`.
        out.extend(u32::try_from(chunk.len()).unwrap_or_default().to_le_bytes());
        out.extend_from_slice(chunk);
    }
}

/// Appends the end of a text.
pub fn end(out: &mut Vec<u8>) {
    out.extend(0_u32.to_le_bytes());
}

/// The next chunk, in `chunk`. `false`: the text has ended.
///
/// # Errors
/// read(2), the end of the stream, and a chunk that is too long.
pub async fn next(from: &mut (impl AsyncRead + Unpin), chunk: &mut Vec<u8>) -> io::Result<bool> {
    chunk.clear();
    let length = usize::try_from(from.read_u32_le().await?).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk is too long"));
    }
    chunk.resize(length, 0);
    from.read_exact(chunk).await?;
    Ok(length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut texts, mut text, mut chunk) = (Vec::new(), Vec::new(), Vec::new());
            while !bytes.is_empty() {
                if next(&mut bytes, &mut chunk).await? {
                    text.append(&mut chunk);
                } else {
                    texts.push(std::mem::take(&mut text));
                }
            }
            Ok(texts)
        })
    }

    #[test]
    fn texts_arrive_as_they_are_empty_and_long_ones_too() {
        let texts = [Vec::new(), b"a".to_vec(), vec![b'x'; 2 * LONGEST + 1], Vec::new()];
        let mut bytes = Vec::new();
        for text in &texts {
            part(text, &mut bytes);
            end(&mut bytes);
        }
        assert_eq!(read(&bytes).unwrap(), texts);
    }

    #[test]
    fn what_is_too_long_or_ends_too_early_is_an_error() {
        let longest = u32::try_from(LONGEST).unwrap();
        for bytes in [&(longest + 1).to_le_bytes()[..], &u32::MAX.to_le_bytes(), &[1, 0], &[2, 0, 0, 0, b'a']]
        {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
