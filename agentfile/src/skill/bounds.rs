//! What a skill asks for its scripts: lines of an Agentfile in its front matter. They are a stranger's, so there are few of them,
//! and none says anything of the host: a path is one of the agent's, as the agent sees it. Whether the agent has it, and what the
//! script then gets, is `lower/narrow.rs`.

use super::{BOUNDARIES, boundaries};
use crate::boundary::Boundaries;
use crate::diag::Severity;
use crate::parse::parse;
use crate::place::Places;
use crate::plan::{Base, Origin};
use crate::syntax::{Body, LimitName, Statement};
use crate::{Package, check};

const LINES: &str = "such lines are MOUNT, URL and LIMIT";

/// Something that is wrong with a line.
pub(crate) struct Fault {
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    /// Where, in the `SKILL.md`.
    pub(crate) origin: Origin,
    pub(crate) what: String,
    pub(crate) help: String,
}

impl Fault {
    /// An error of the code `code`.
    pub(crate) fn new(
        code: &'static str,
        origin: &Origin,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Error, code, origin: origin.clone(), what: what.into(), help: help.into() }
    }
}

/// What the `SKILL.md` of these bytes, known as `file`, asks for, checked by itself, and what there is to say of it: of its `shares`,
/// only the paths count. `None`: it asks for nothing, and its scripts have what the agent has. `agent` is whose skill it is.
pub(crate) fn asked(
    bytes: &[u8],
    file: &str,
    agent: &Boundaries,
    package: &dyn Package,
) -> Option<(Boundaries, Vec<Fault>)> {
    let lines = boundaries(bytes)?;
    // What the check of a whole Agentfile looks for; behind the lines, which so keep their places.
    let from = if matches!(agent.base, Base::Scratch { .. }) { "FROM scratch\n" } else { "" };
    let text = format!("{lines}AGENT {}\nCMD true\n{from}", agent.agent);
    let (mut agentfile, mut found) = parse(text.as_bytes());
    let places = Places::new(file, &text);
    let mut faults = Vec::new();
    agentfile.statements.retain(|statement| {
        let fits = statement.span.start >= lines.len() || is_line(statement);
        if !fits {
            let keyword = places.text(statement.keyword);
            let help = match &statement.body {
                Body::Bind { .. } => {
                    format!("{LINES}; `MOUNT /path ro` is what the agent has there, wherever that is from")
                }
                _ => LINES.to_owned(),
            };
            let what = format!("a line of `{BOUNDARIES}` has `{keyword}`, which a skill cannot ask for");
            faults.push(Fault::new("E094", &places.origin(statement.keyword), what, help));
        }
        fits
    });
    let (boundaries, mut more) = check::check(&agentfile, &places, package);
    found.append(&mut more);
    faults.extend(found.into_iter().map(|finding| Fault {
        code: if finding.severity == Severity::Error { "E094" } else { "W032" },
        severity: finding.severity,
        origin: places.origin(finding.span),
        what: finding.message,
        help: finding.help.unwrap_or_else(|| LINES.to_owned()),
    }));
    Some((boundaries, faults))
}

/// Whether a skill may say this. What counts calls and their results is the agent's to say.
fn is_line(statement: &Statement) -> bool {
    match &statement.body {
        Body::Mount { .. } | Body::Url(_) => true,
        Body::Limit { name, .. } => !matches!(name, LimitName::ToolCalls | LimitName::MaxOutput),
        _ => false,
    }
}
