//! Places in a source text. Every later stage carries one of these two types: a [`Span`] while the text is at
//! hand, an [`Origin`] once it is not (in the plan, in kernel rules, in audit events).

use serde::{Deserialize, Serialize};

/// A half-open range of byte offsets, `start..end`, into one source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset of the byte after the last.
    pub end: usize,
}

impl Span {
    /// The range `start..end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The smallest span that covers both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Where a rule was written: a file (as the user named it), a line and a column, both counted from 1, the column in
/// Unicode scalar values. Rules that no line of the Agentfile asked for (the base system, the runner's own floor)
/// have line 0 and name the data file that holds them, such as `policies/base.toml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Origin {
    /// File name as shown to people, for example `Agentfile`.
    pub file: String,
    /// Line, from 1; 0 for a rule that the runner itself adds.
    pub line: u32,
    /// Column, from 1; 0 for a rule that the runner itself adds.
    pub column: u32,
}

impl Origin {
    /// The origin of a rule that is the runner's own, held in the data file `file` of the source tree.
    #[must_use]
    pub fn builtin(file: &str) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0 }
    }

    /// Whether a line of an Agentfile asked for this rule.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.line > 0
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_written() {
            write!(f, "{}:{}:{}", self.file, self.line, self.column)
        } else {
            f.write_str(&self.file)
        }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

impl From<String> for Origin {
    fn from(text: String) -> Self {
        let mut parts = text.rsplitn(3, ':');
        let column = parts.next().and_then(|part| part.parse().ok());
        let line = parts.next().and_then(|part| part.parse().ok());
        match (parts.next(), line, column) {
            (Some(file), Some(line), Some(column)) => Self { file: file.to_owned(), line, column },
            _ => Self::builtin(&text),
        }
    }
}
