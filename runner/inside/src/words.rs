//! Text for a terminal that somebody else chose.

use std::io::Write;

/// Writes to standard error. Nobody is left to be told when that fails.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(text));
}

/// `text` without characters that could drive a terminal, or show it in another order; lines and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let misleads = character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if misleads && !matches!(character, '\n' | '\t') {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drives_the_terminal() {
        assert_eq!(
            printable("a\tb\nc\u{1b}[2J\u{202e}é\r\u{9b}"),
            "a\tb\nc\\u{1b}[2J\\u{202e}é\\u{d}\\u{9b}"
        );
    }
}
