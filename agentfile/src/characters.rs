//! Stage 0: what a character may do to a reader. An Agentfile is consented to by reading it: characters with which a text
//! reads differently from what it is are refused where authority is written, and everything that a terminal would obey
//! is refused everywhere and shown escaped (Unicode TR 36; "Trojan Source", CVE-2021-42574).

/// Why a character is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A control character (C0 but tab, DEL, C1): a terminal may obey it. Refused everywhere.
    Control,
    /// Turns the order in which text is shown, breaks a line for some readers only, or carries text that no person sees
    /// (the tag block). Refused everywhere.
    Hidden,
    /// Looks like nothing, or like a space, and is neither to the parser. Refused in words and policies; a comment or a
    /// procedure is text in some language, grants nothing, and may need it.
    Blank,
}

/// Why `character` is refused, if it is.
#[must_use]
pub fn fault(character: char) -> Option<Fault> {
    match character {
        '\t' | ' '..='~' => None,
        _ if character.is_control() => Some(Fault::Control),
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}' => Some(Fault::Hidden),
        _ if is_invisible(character) || character.is_whitespace() => Some(Fault::Blank),
        _ => None,
    }
}

/// Characters without a glyph that are not white space: `Default_Ignorable_Code_Point` of Unicode 16 (the Hangul fillers
/// and variation selectors are among them), annotations, the blank Braille pattern and the null notehead.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0080}'..='\u{e0fff}'
    )
}

/// Whether a character is shown as an escape: every one that is refused somewhere, and the tab.
#[must_use]
pub fn is_unseen(character: char) -> bool {
    character == '\t' || fault(character).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_script_is_accepted() {
        for character in "aZ0 \t~é日本語שלוםمرحبا🦀e\u{301}".chars() {
            assert_eq!(fault(character), None, "{character:?}");
        }
    }

    #[test]
    fn what_deceives_a_reader_or_drives_a_terminal_is_refused() {
        let refused = [
            (Fault::Control, "\0\u{1b}\r\n\u{7f}\u{85}\u{9b}"),
            (Fault::Hidden, "\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{e0001}\u{e0041}\u{e007f}"),
            (
                Fault::Blank,
                "\u{a0}\u{ad}\u{34f}\u{115f}\u{1160}\u{1680}\u{180e}\u{2000}\u{200a}\u{200b}\u{200d}\u{202f}\u{205f}\
                 \u{2060}\u{2064}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{e0100}",
            ),
        ];
        for (expected, characters) in refused {
            for character in characters.chars() {
                assert_eq!(fault(character), Some(expected), "{character:?}");
                assert!(is_unseen(character));
            }
        }
    }
}
