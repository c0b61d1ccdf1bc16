//! The part of one source line that a finding shows, and where in it the underline goes.

use crate::characters::is_unseen;
use crate::span::Span;

/// Most columns shown before the place, and in all.
const BEFORE: usize = 70;
const WIDTH: usize = 120;
/// A tab stops nowhere here: it is always as wide as this, so that the underline fits whatever the terminal thinks.
const TAB: &str = "    ";

/// What to show.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snippet {
    /// The line, or the window of it; a cut end is a `…`.
    pub line: String,
    /// Columns before the underline.
    pub before: usize,
    /// Columns of the underline, at least one.
    pub width: usize,
}

/// One character as shown, and its columns.
fn cell(source: &[u8], offset: usize, character: char) -> (String, usize) {
    crate::work::add(1);
    // The sanitised text has a `?` in place of each bad byte, and blanks for a byte order mark; show the byte itself.
    let byte = source.get(offset).copied().unwrap_or_default();
    if matches!(character, '?' | ' ') && !byte.is_ascii_graphic() && byte != b' ' {
        return (format!("\\x{byte:02x}"), 4);
    }
    if character == '\t' {
        return (TAB.to_owned(), TAB.len());
    }
    if is_unseen(character) {
        let escaped = character.escape_unicode().to_string();
        let width = escaped.len();
        return (escaped, width);
    }
    (character.to_string(), columns(character))
}

/// Columns that terminals give a character, near enough for an underline (after UAX 11).
fn columns(character: char) -> usize {
    match character {
        '\u{300}'..='\u{36f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// The window of `line` around the start of `span`. Looks at no more of the line than it shows.
pub(super) fn cut(source: &[u8], text: &str, line: Span, span: Span) -> Snippet {
    let place = boundary(text, span.start.clamp(line.start, line.end));
    let mut from = place;
    let mut room = BEFORE;
    // Characters without a width must not let the walk go on for ever: each costs at least one.
    for (offset, character) in text.get(line.start..place).unwrap_or_default().char_indices().rev() {
        let cost = cell(source, line.start + offset, character).1.max(1);
        if cost > room {
            break;
        }
        room -= cost;
        from = line.start + offset;
    }
    let mut found = Snippet { line: String::new(), before: 0, width: 0 };
    let mut shown = 0;
    if from > line.start {
        found.line.push('…');
        found.before = 1;
    }
    for (offset, character) in text.get(from..line.end).unwrap_or_default().char_indices() {
        let offset = from + offset;
        let (words, width) = cell(source, offset, character);
        shown += width.max(1);
        if shown > WIDTH {
            found.line.push('…');
            break;
        }
        found.line.push_str(&words);
        if offset < place {
            found.before += width;
        } else if offset < span.end {
            found.width += width;
        }
    }
    found.line.truncate(found.line.trim_end().len());
    found.width = found.width.max(1);
    found
}

/// The start of the character that `offset` is in.
fn boundary(text: &str, offset: usize) -> usize {
    (0..=offset).rev().take(4).find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_at(source: &[u8], start: usize, end: usize) -> Snippet {
        let (text, _) = crate::lex::text(source);
        cut(source, &text, Span::new(0, text.len()), Span::new(start, end))
    }

    #[test]
    fn tabs_wide_and_bad_bytes_are_underlined_where_they_are_shown() {
        let tabs = cut_at(b"A\tB", 2, 3);
        assert_eq!(tabs, Snippet { line: "A    B".to_owned(), before: 5, width: 1 });
        let wide = cut_at("日本 x".as_bytes(), 7, 8);
        assert_eq!((wide.before, wide.width), (5, 1));
        let bad = cut_at(b"A \xff\0?", 2, 4);
        assert_eq!(bad, Snippet { line: "A \\xff\\x00?".to_owned(), before: 2, width: 8 });
        let mark = cut_at("\u{feff}A".as_bytes(), 0, 3);
        assert_eq!(mark, Snippet { line: "\\xef\\xbb\\xbfA".to_owned(), before: 0, width: 12 });
    }

    #[test]
    fn a_long_line_is_shown_as_a_window() {
        let line = format!("{}HERE{}", "a".repeat(10_000), "b".repeat(10_000));
        let found = cut_at(line.as_bytes(), 10_000, 10_004);
        assert!(found.line.starts_with('…') && found.line.ends_with('…'));
        assert_eq!((found.line.chars().count(), found.before, found.width), (122, 71, 4));
        let at: String = found.line.chars().skip(found.before).take(found.width).collect();
        assert_eq!(at, "HERE");
    }

    #[test]
    fn marks_without_width_end_the_window_too() {
        let line = "\u{301}".repeat(100_000);
        assert!(cut_at(line.as_bytes(), 100_000, 100_002).line.chars().count() <= 122);
    }
}
