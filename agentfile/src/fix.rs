//! The edits that findings propose, made: `agentrc check --fix`.

use crate::diag::{Diagnostic, Fix};

/// The source with the edits of its findings. Of edits that overlap, the first in the text is made and the others are
/// not: a second `check` proposes them again, against what is then there. An edit outside the source is not made.
#[must_use]
pub fn apply(source: &[u8], findings: &[Diagnostic]) -> Vec<u8> {
    let mut fixes: Vec<&Fix> = findings.iter().filter_map(|finding| finding.fix.as_ref()).collect();
    fixes.sort_by_key(|fix| (fix.span.start, fix.span.end));
    let mut fixed = Vec::with_capacity(source.len());
    let mut copied = 0;
    let mut last = None;
    for fix in fixes {
        let (start, end) = (fix.span.start, fix.span.end);
        if start < copied || end < start || last == Some(fix.span) {
            continue;
        }
        let (Some(kept), Some(_)) = (source.get(copied..start), source.get(start..end)) else { continue };
        fixed.extend_from_slice(kept);
        fixed.extend_from_slice(fix.replacement.as_bytes());
        copied = end;
        last = Some(fix.span);
    }
    fixed.extend_from_slice(source.get(copied..).unwrap_or_default());
    fixed
}

/// How many findings propose an edit.
#[must_use]
pub fn count(findings: &[Diagnostic]) -> usize {
    findings.iter().filter(|finding| finding.fix.is_some()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;
    use crate::span::Span;

    fn edit(start: usize, end: usize, replacement: &str) -> Diagnostic {
        let span = Span::new(start, end);
        Diagnostic::error("E005", span, "x").fix(span, replacement)
    }

    #[test]
    fn edits_are_made_in_any_order_and_overlaps_once() {
        assert_eq!(apply(b"abcdef", &[edit(4, 5, "EEE"), edit(0, 2, ""), edit(1, 3, "!")]), b"cdEEEf");
        assert_eq!(apply(b"ab", &[edit(1, 1, "-"), edit(1, 1, "-"), edit(2, 2, ".")]), b"a-b.");
        assert_eq!(apply(b"ab", &[edit(1, 9, "x"), edit(3, 3, "x"), edit(1, 0, "x")]), b"ab");
    }

    #[test]
    fn what_the_parser_proposes_leaves_a_file_without_those_errors() {
        let source = b"\xef\xbb\xbfagent a\nAUDIT ALL\nlimit Memory 2G\n";
        let (_, findings) = parse(source);
        assert_eq!(count(&findings), 4);
        let once = apply(source, &findings);
        let twice = apply(&once, &parse(&once).1);
        assert_eq!(twice, b"AGENT a\nAUDIT all\nLIMIT memory 2G\n");
        assert!(parse(&twice).1.is_empty());
    }
}
