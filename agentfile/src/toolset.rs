//! A toolset of a package: a TOML file that lists tools as `TOOL` lines would.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::schema::Fault;
use crate::span::Span;

/// Longest file of a toolset, in bytes.
pub(crate) const FILE_BYTES: usize = 64 << 10;

const EXAMPLE: &str = "write `tools = [\"utcp:file_read\", \"local:./tools/lint\"]`";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tools: Vec<Spanned<String>>,
}

/// A fault, and where in the text it is.
pub(crate) type At = (Span, Fault);

/// The tools that `text` lists, as they are written, each with its place there.
///
/// # Errors
/// It is something else.
pub(crate) fn read(text: &str) -> Result<Vec<(Span, String)>, At> {
    let span = |range: Range<usize>| Span::new(range.start, range.end);
    let file: File = toml::from_str(text).map_err(|error| {
        let first = error.message().lines().next().unwrap_or_default();
        (error.span().map(span).unwrap_or_default(), Fault::new(format!("not a toolset: {first}"), EXAMPLE))
    })?;
    if file.tools.is_empty() {
        return Err((Span::default(), Fault::new("a toolset without a tool", EXAMPLE)));
    }
    Ok(file.tools.into_iter().map(|tool| (span(tool.span()), tool.into_inner())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_have_their_places() {
        let text = "# mine\ntools = [\n  \"utcp:file_read\",\n  'local:./x',\n]\n";
        let tools = read(text).unwrap();
        let found: Vec<_> = tools
            .iter()
            .map(|(span, tool)| (text.get(span.start..span.end).unwrap(), tool.as_str()))
            .collect();
        assert_eq!(found, [("\"utcp:file_read\"", "utcp:file_read"), ("'local:./x'", "local:./x")]);
    }

    #[test]
    fn everything_else_is_refused_where_it_is() {
        for (text, at) in [
            ("", 0),
            ("tools = []", 0),
            ("tools = \"utcp:file_read\"", 8),
            ("tools = [1]", 9),
            ("tools = [\"a:b\"]\ntool = 1\n", 16),
            ("tools = [\"a:b\"]\ntools = []\n", 16),
            ("tools = [", 9),
        ] {
            let (span, fault) = read(text).unwrap_err();
            assert_eq!(span.start, at, "{text}: {fault:?}");
        }
    }
}
