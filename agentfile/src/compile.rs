//! The whole compiler in one call: text in, plan and diagnostics out.

use std::collections::HashSet;

use crate::Package;
use crate::boundary::Boundaries;
use crate::check;
use crate::diag::{Diagnostic, Severity};
use crate::place::Places;
use crate::plan::Plan;
use crate::span::Span;

/// When policies are validated against the schema. (They are always parsed.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validate {
    /// Also those that the compiler makes itself: `agentrc check`.
    Always,
    /// Only when the file has a POLICY block: `agentrc run`, where reading the schema would cost more than all the rest.
    /// What the compiler makes itself fits the schema by construction, which a test shows.
    WhenWritten,
}

/// What came of it.
#[derive(Debug)]
pub struct Compiled {
    /// The plan; none when a diagnostic is an error.
    pub plan: Option<Plan>,
    /// All findings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles the text `source`, which people know as `file`.
#[must_use]
pub fn compile(file: &str, source: &[u8], package: &dyn Package, validate: Validate) -> Compiled {
    let (agentfile, mut diagnostics) = crate::parse::parse(source);
    // Of the same length as the source, byte for byte, whatever the bytes are; the parser reports what it replaces.
    let (text, _) = crate::lex::text(source);
    let places = Places::new(file, &text);
    let (boundaries, mut found) = check::check(&agentfile, &places, package);
    diagnostics.append(&mut found);
    let refused = |diagnostics: &[Diagnostic]| {
        diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    };
    let mut plan = None;
    if !refused(&diagnostics) {
        let checked = match validate {
            Validate::Always => made_policies_fit(&boundaries),
            Validate::WhenWritten => Ok(()),
        };
        let lowered =
            checked.and_then(|()| crate::lower::lower(&boundaries, file).map_err(|fault| fault.to_string()));
        match lowered {
            Ok(lowered) => plan = Some(lowered),
            Err(fault) => diagnostics.push(
                Diagnostic::error("E099", Span::default(), format!("a fault of the compiler: {fault}"))
                    .help("please report it, with the Agentfile"),
            ),
        }
    }
    diagnostics.sort_by(|one, other| (one.span, one.code).cmp(&(other.span, other.code)));
    Compiled { plan, diagnostics }
}

/// What the compiler made itself fits the schema: always so, and `check` makes sure.
fn made_policies_fit(boundaries: &Boundaries) -> Result<(), String> {
    let made = crate::lower::cedar::made(boundaries).map_err(|fault| fault.to_string())?;
    // One policy of each shape stands for all: there are few shapes, however many lines.
    let mut shapes = HashSet::new();
    let distinct = made.into_iter().filter(|made| shapes.insert(made.shape()));
    let policies = distinct.map(|made| made.policy()).collect::<Result<Vec<_>, _>>();
    crate::policy::schema::fits(policies.map_err(|fault| fault.to_string())?)
}
