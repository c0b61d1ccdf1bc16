//! Stage 1, backwards: a text to the one spelling of the same statements. `agentrc fmt` writes it.
//!
//! What it changes is blanks, line ends and needless quotes; never what [`parse`] makes of the file. Comments, their
//! places and the order of lines stay, and blocks are not touched inside.

use crate::diag::{Diagnostic, Severity};
use crate::directive::{self, Shape};
use crate::lex::{self, Line, Words};
use crate::parse::{command, parse};

/// The canonical form of a file.
///
/// # Errors
/// The findings of a file that has errors: what cannot be read cannot be rewritten. Warnings are no obstacle.
pub fn format(source: &[u8]) -> Result<String, Vec<Diagnostic>> {
    let (_, findings) = parse(source);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(findings);
    }
    let (text, _) = lex::text(source);
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    let mut lines = lex::lines(&text);
    while let Some(line) = lines.next() {
        let trimmed = line.trimmed();
        if trimmed.is_empty() {
            blank = true;
            continue;
        }
        // A `# syntax=` counts on line 1 only, so one that does not count must not come to stand there.
        if blank && (!out.is_empty() || is_syntax(trimmed)) {
            out.push('\n');
        }
        blank = false;
        if trimmed.starts_with('#') {
            out.push_str(trimmed);
            out.push('\n');
            continue;
        }
        if statement(line, &mut out) {
            let from = line.next;
            let end = lines.find(Line::is_end).map_or(text.len(), |end| end.start);
            out.push_str(text.get(from..end).unwrap_or_default());
            out.push_str("END\n");
        }
    }
    Ok(out)
}

/// Whether a comment would be the syntax line if it stood first; as the parser sees it.
fn is_syntax(comment: &str) -> bool {
    comment.strip_prefix('#').is_some_and(|comment| comment.trim_start().starts_with("syntax="))
}

/// Writes the line of a statement. Whether a block follows it.
fn statement(line: Line<'_>, out: &mut String) -> bool {
    let mut words = Words::new(line);
    // The file has no errors: the first word is a keyword, and no quote is open.
    let Some(Ok(keyword)) = words.next() else { return false };
    let entry = directive::find(&keyword.text);
    words.quotes = entry.is_some_and(|entry| entry.shape == Shape::Command);
    out.push_str(&keyword.text);
    let mut arguments = 0;
    while let Some(word) = words.next() {
        let Ok(word) = word else { continue };
        arguments += 1;
        out.push(' ');
        let raw = line.text.get(word.span.start - line.start..).unwrap_or_default();
        if words.quotes && raw.starts_with('"') {
            out.push_str(&command::written(&word.text));
        } else {
            out.push_str(&word.text);
        }
    }
    if let Some(at) = words.comment() {
        let comment = line.text.get(at - line.start..).unwrap_or_default();
        out.push_str("  ");
        out.push_str(comment.trim_end_matches([' ', '\t']));
    }
    out.push('\n');
    entry.is_some_and(|entry| entry.opens_block(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(source: &str) -> String {
        format(source.as_bytes()).unwrap()
    }

    #[test]
    fn blanks_line_ends_and_comments() {
        let source = "\n \tAGENT \t a  # why \r\n#c\r\n\r\n \r\nISOLATION\ta#b #c#\n\n";
        assert_eq!(formatted(source), "AGENT a  # why\n#c\n\nISOLATION a#b  #c#\n");
        assert_eq!(formatted(""), "");
        assert_eq!(formatted(" \n\t\n"), "");
        assert_eq!(formatted("\n\nAGENT a"), "AGENT a\n");
    }

    #[test]
    fn a_syntax_line_that_counts_stays_first_and_one_that_does_not_never_gets_there() {
        assert_eq!(formatted("  # syntax=agentrc.agentfile/v0.1 "), "# syntax=agentrc.agentfile/v0.1\n");
        assert_eq!(formatted("\n# syntax=other"), "\n# syntax=other\n");
    }

    #[test]
    fn words_are_quoted_only_where_needed() {
        assert_eq!(
            formatted(r#"CMD  "sh" a"b c" "" "\"" "\\" \ {"k":1}"#),
            "CMD sh a\"b c\" \"\" \"\\\"\" \"\\\\\" \\ {\"k\":1}\n"
        );
        assert_eq!(
            formatted(r##"CMD x "#y" z# "a/b" "$V" "&&" "[""##),
            "CMD x \"#y\" z# a/b \"$V\" \"&&\" \"[\"\n"
        );
        assert_eq!(formatted(r#"CMD "a b\\" # end"#), "CMD \"a b\\\\\"  # end\n");
    }

    #[test]
    fn blocks_are_kept_byte_for_byte() {
        let block = "  permit (\r\n\n\n  principal );  \n # END\n";
        let source = format!("POLICY   # why\n{block} \tEND \n\n\nSOP\n{block}END");
        assert_eq!(formatted(&source), format!("POLICY  # why\n{block}END\n\nSOP\n{block}END\n"));
    }

    #[test]
    fn a_file_with_errors_is_left_alone() {
        assert_eq!(format(b"AGENT a\nAGNT b\n").unwrap_err().len(), 1);
        assert!(format(b"POLICY\n").is_err());
        assert!(format(b"AGENT a\0").is_err());
    }
}
