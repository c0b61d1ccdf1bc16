//! Stage 2, for policies: a `POLICY` block becomes typed Cedar statements, each with its place in the Agentfile. Cedar's
//! own errors are moved from the statement to the Agentfile's lines.

pub(crate) mod names;
pub(crate) mod permits;
pub(crate) mod region;
pub(crate) mod requests;
pub(crate) mod scan;
pub(crate) mod schema;

use cedar_policy::pst;

use crate::diag::Diagnostic;
use crate::idiom;
use crate::place::{Place, Places};
use crate::span::Span;
use crate::syntax::Block;

/// Cedar walks a policy recursively, and the depth of that walk must not be the text's to choose: it takes about 14 KiB
/// of stack for a bracket and 4 KiB for an operator of a chain (measured, unoptimised). These bounds keep it below the
/// 2 MiB of a thread.
const MAX_DEPTH: usize = 24;
const MAX_LINKS: usize = 200;
/// Work on a policy may grow with the square of its length, work on a file may not.
const MAX_TOKENS: usize = 8_000;

/// One Cedar statement of a `POLICY` block.
#[derive(Debug, Clone)]
pub struct Policy {
    /// `@id("…")`, or made from the line: `policy@12`.
    pub id: String,
    /// As written, from the first annotation to the semicolon.
    pub text: String,
    /// Parsed, as a tree.
    pub body: pst::Template,
    /// Parsed, with the places of its parts, for validation.
    pub(crate) parsed: cedar_policy::Policy,
    /// Reason of an `@approval("…")` annotation.
    pub approval: Option<String>,
    /// The statement's place.
    pub place: Place,
}

impl Policy {
    /// Whether it is a `permit`.
    #[must_use]
    pub fn permits(&self) -> bool {
        self.body.effect == pst::Effect::Permit
    }
}

/// Parses one block. What cannot be parsed is reported and left out.
pub(crate) fn parse(block: &Block, places: &Places<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Policy> {
    let scan = scan::scan(&block.text);
    idiom::comments(&scan, block, diagnostics);
    let mut policies = Vec::new();
    for statement in scan.statements() {
        let span = Span::new(block.span.start + statement.start, block.span.start + statement.end);
        let Some(text) = scan.text.get(statement.start..statement.end) else { continue };
        if idiom::statement(statement.tokens, &scan.text, block.span.start, diagnostics) {
            continue;
        }
        if statement.tokens.len() > MAX_TOKENS
            || statement.depth() > MAX_DEPTH
            || statement.links(&scan.text) > MAX_LINKS
        {
            diagnostics.push(
                Diagnostic::error("E060", span, "this policy is too long or nested too deeply").help(format!(
                    "split it: a policy has at most {MAX_TOKENS} words and signs, {MAX_DEPTH} brackets inside each \
                     other, and {MAX_LINKS} operators"
                )),
            );
            continue;
        }
        let line = places.line(span.start);
        match one(text, format!("policy@{line}"), places.place(span)) {
            Ok(policy) => policies.push(policy),
            Err(errors) => {
                for error in errors {
                    diagnostics.push(error.into_diagnostic(span));
                }
            }
        }
    }
    policies
}

/// An error of Cedar's with its place in the statement.
struct CedarError {
    message: String,
    help: Option<String>,
    at: Option<(usize, usize)>,
}

impl CedarError {
    fn of(error: &dyn miette::Diagnostic) -> Self {
        let at =
            error.labels().and_then(|mut labels| labels.next()).map(|label| (label.offset(), label.len()));
        Self { message: error.to_string(), help: error.help().map(|help| help.to_string()), at }
    }

    fn into_diagnostic(self, statement: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(
            "E060",
            relocate(self.at, statement),
            format!("not a Cedar policy: {}", self.message),
        );
        diagnostic.help =
            self.help.or_else(|| Some("see https://docs.cedarpolicy.com/policies/syntax-policy.html".into()));
        diagnostic
    }
}

/// A range within a statement as a range of the source; the whole statement when there is none, or none that fits.
pub(crate) fn relocate(at: Option<(usize, usize)>, statement: Span) -> Span {
    match at {
        Some((offset, length)) if statement.start + offset + length <= statement.end => {
            Span::new(statement.start + offset, statement.start + offset + length)
        }
        _ => statement,
    }
}

fn one(text: &str, id: String, place: Place) -> Result<Policy, Vec<CedarError>> {
    let parsed = cedar_policy::Policy::parse(Some(cedar_policy::PolicyId::new(&id)), text)
        .map_err(|errors| errors.iter().map(|error| CedarError::of(error)).collect::<Vec<_>>())?;
    let approval = parsed.annotation("approval").map(str::to_owned);
    let id = parsed.annotation("id").map_or(id, str::to_owned);
    let plain = |message: String| vec![CedarError { message, help: None, at: None }];
    let body = match parsed.to_pst().map_err(|error| plain(error.to_string()))? {
        pst::Policy::Static(policy) => policy.body().clone(),
        pst::Policy::Linked(_) => return Err(plain("a template cannot be used here".to_owned())),
    };
    let body = body.with_id(pst::PolicyID(id.as_str().into()));
    Ok(Policy { id, text: text.trim().to_owned(), body, parsed, approval, place })
}
