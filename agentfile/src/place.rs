//! From byte spans to places that outlive the text: used by stage 2, when syntax becomes boundaries.

use crate::span::{Origin, Span};

/// A place in the source, in both of its forms: the span for diagnostics, the origin for everything after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Byte range in the source.
    pub span: Span,
    /// File, line and column of its start.
    pub origin: Origin,
}

/// Finds lines and columns in one source text.
#[derive(Debug)]
pub struct Places<'a> {
    file: &'a str,
    source: &'a str,
    line_starts: Vec<usize>,
    /// Characters before each multiple of [`STRIDE`] bytes, so that a column costs the same on a line of any length.
    characters: Vec<usize>,
}

const STRIDE: usize = 256;

/// Characters that start in `bytes`, which are some of a UTF-8 text.
fn starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

impl<'a> Places<'a> {
    /// Indexes `source`, which people know as `file`.
    #[must_use]
    pub fn new(file: &'a str, source: &'a str) -> Self {
        let breaks = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let strides = source.as_bytes().chunks(STRIDE).scan(0, |before, chunk| {
            *before += starts(chunk);
            Some(*before)
        });
        let characters = std::iter::once(0).chain(strides).collect();
        Self { file, source, line_starts: std::iter::once(0).chain(breaks).collect(), characters }
    }

    /// Name of the file as people know it.
    #[must_use]
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// The text at `span`; empty when the span is not one of this text.
    #[must_use]
    pub fn text(&self, span: Span) -> &'a str {
        self.source.get(span.start..span.end).unwrap_or_default()
    }

    /// Line of a byte offset, from 1.
    #[must_use]
    pub fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.line_starts.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }

    /// The text of the line (from 1) without its end, as a span; empty for a line that is not there.
    #[must_use]
    pub fn line_span(&self, line: u32) -> Span {
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let length = self.source.len();
        let start = self.line_starts.get(index).copied().unwrap_or(length);
        let next = self.line_starts.get(index.saturating_add(1)).copied().unwrap_or(length);
        let text = self.source.get(start..next).unwrap_or_default();
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        Span::new(start, start + text.len())
    }

    /// Characters before a byte offset.
    fn characters(&self, offset: usize) -> usize {
        let offset = offset.min(self.source.len());
        let stride = offset / STRIDE;
        let rest = self.source.as_bytes().get(stride * STRIDE..offset).unwrap_or_default();
        crate::work::add(rest.len());
        self.characters.get(stride).copied().unwrap_or(0) + starts(rest)
    }

    /// Column of a byte offset in its line, from 1, in characters.
    #[must_use]
    pub fn column(&self, offset: usize) -> u32 {
        let start = self.line_span(self.line(offset)).start;
        u32::try_from(self.characters(offset) - self.characters(start) + 1).unwrap_or(u32::MAX)
    }

    /// The origin of `span`.
    #[must_use]
    pub fn origin(&self, span: Span) -> Origin {
        Origin { file: self.file.to_owned(), line: self.line(span.start), column: self.column(span.start) }
    }

    /// `span` with its origin.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        Place { span, origin: self.origin(span) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_columns_count_characters() {
        let places = Places::new("Agentfile", "AGENT x\r\nCMD é y\n");
        let at = |start, end| places.origin(Span::new(start, end)).to_string();
        assert_eq!(at(0, 5), "Agentfile:1:1");
        assert_eq!(at(9, 12), "Agentfile:2:1");
        assert_eq!(at(16, 17), "Agentfile:2:7");
        assert_eq!(places.text(Span::new(13, 15)), "é");
        assert_eq!(places.line_span(1), Span::new(0, 7));
        assert_eq!(places.line_span(2), Span::new(9, 17));
        assert_eq!(places.line_span(3), Span::new(18, 18));
        assert_eq!(places.line_span(9), Span::new(18, 18));
        assert_eq!(at(99, 99), "Agentfile:3:1");
    }

    #[test]
    fn a_column_costs_the_same_on_a_line_of_any_length() {
        let source = "a".repeat(1 << 20);
        let places = Places::new("Agentfile", &source);
        let steps = crate::work::of(|| {
            for offset in (0..source.len()).step_by(1000) {
                assert_eq!(places.column(offset) as usize, offset + 1);
            }
        });
        assert!(steps <= STRIDE * 2 * (source.len() / 1000 + 1), "{steps}");
    }

    #[test]
    fn columns_of_long_lines_are_those_of_counting() {
        let source = format!("x\n{}", "é.".repeat(1000));
        let places = Places::new("Agentfile", &source);
        for (count, (offset, _)) in source.char_indices().skip(2).enumerate() {
            assert_eq!(places.column(offset) as usize, count + 1);
        }
    }
}
