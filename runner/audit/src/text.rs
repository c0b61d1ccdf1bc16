//! Names and texts that came from the agent, made fit for a terminal. Viewers print nothing of the agent's but through here.

use std::fmt::Write as _;

use crate::canon::misleads;

/// `bytes` with everything escaped that could drive a terminal, hide or reorder text: controls as `\n` or `\x1b`, invisible and
/// bidirectional characters as `\u{202e}`, bytes that are not UTF-8 as `\xff`, and the backslash itself as `\\`.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => shown.push_str("\\\\"),
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                '\r' => shown.push_str("\\r"),
                other if misleads(other) && other.is_ascii() => push_byte(&mut shown, other as u8),
                other if misleads(other) => {
                    let _ = write!(shown, "\\u{{{:x}}}", u32::from(other));
                }
                other => shown.push(other),
            }
        }
        for byte in chunk.invalid() {
            push_byte(&mut shown, *byte);
        }
    }
    shown
}

/// As [`printable`], but for lines of text (a diff): tabs stay, and backslashes too, as they cannot be told from code.
#[must_use]
pub fn printable_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' | '\n' => shown.push(character),
            other if misleads(other) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(other));
            }
            other => shown.push(other),
        }
    }
    shown
}

fn push_byte(shown: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(shown, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_comes_through() {
        assert_eq!(printable(b"a\x1b[31m\n\\\xff\xc2\x9bz"), "a\\x1b[31m\\n\\\\\\xff\\u{9b}z");
        assert_eq!(printable("pay\u{202e}exe.sh".as_bytes()), "pay\\u{202e}exe.sh");
        assert_eq!(printable_text("a\t\\n\u{1b}]0;x\u{7}\n"), "a\t\\n\\u{1b}]0;x\\u{7}\n");
    }
}
