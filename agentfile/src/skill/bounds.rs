//! What a skill asks for its scripts: lines of an Agentfile in its front matter, or in the table that is instead of it. They may be a
//! stranger's, so there are few of them, and none says anything of the host: a path is one of the agent's, as the agent sees it.
//! Whether the agent has it, and what the script then gets, is `lower/narrow.rs`.

use crate::boundary::Boundaries;
use crate::diag::Severity;
use crate::parse::parse;
use crate::place::Places;
use crate::plan::{Base, Origin};
use crate::syntax::{Body, LimitName, Statement};
use crate::{Package, check};

/// Most lines of one skill: each is compared with all that the agent has.
const MOST: usize = 64;
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

/// What these lines, of what is known as `file`, ask for, checked by itself, and what there is to say of it: of its `shares`, only
/// the paths count. `agent` is whose skill it is.
pub(crate) fn asked(
    lines: &str,
    file: &str,
    agent: &Boundaries,
    package: &dyn Package,
) -> (Boundaries, Vec<Fault>) {
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
            let what = format!("`{keyword}` is no line of a skill's");
            faults.push(Fault::new("E094", &places.origin(statement.keyword), what, help));
        }
        fits
    });
    if let Some(beyond) = agentfile.statements.iter().filter(|one| one.span.start < lines.len()).nth(MOST) {
        let what = format!("there are more than {MOST} lines");
        faults.push(Fault::new(
            "E094",
            &places.origin(beyond.keyword),
            what,
            "ask for a folder instead of its parts",
        ));
    }
    let (boundaries, mut more) = check::check(&agentfile, &places, package);
    found.append(&mut more);
    faults.extend(found.into_iter().map(|finding| Fault {
        code: if finding.severity == Severity::Error { "E094" } else { "W032" },
        severity: finding.severity,
        origin: places.origin(finding.span),
        what: finding.message,
        help: finding.help.unwrap_or_else(|| LINES.to_owned()),
    }));
    (boundaries, faults)
}

/// Whether a skill may say this. What counts calls and their results is the agent's to say.
fn is_line(statement: &Statement) -> bool {
    match &statement.body {
        Body::Mount { .. } | Body::Url(_) => true,
        Body::Limit { name, .. } => !matches!(name, LimitName::ToolCalls | LimitName::MaxOutput),
        _ => false,
    }
}
