//! Which line of an Agentfile or of the host's configuration a person changes so that something is decided otherwise.

use agentfile::parse::is_one_host;
use agentrc_audit::event::Denial;
use agentrc_egress::reason::{PERMITTED, UNDECLARED_ADDRESS, UNDECLARED_HOST};

use crate::filter::LAYER as EBPF;
use crate::gateway::LAYER as GATEWAY;
use crate::terminal::escape;

/// A finding, with the line that a person changes for another answer.
pub(super) fn with_way_out(words: String, rule: Option<&str>) -> String {
    let Some(rule) = rule else { return words };
    match places(rule).as_slice() {
        [] => format!("{words}\n      decided by {}, which no line of an Agentfile changes", escape(rule)),
        [place] => format!("{words}\n      the line to change: {}", escape(place)),
        many => format!("{words}\n      the lines that decided it: {}", escape(&many.join(", "))),
    }
}

/// The places in a rule: it is one, or policies with theirs, as the broker tells them (`id [file:line:column], …`).
fn places(rule: &str) -> Vec<&str> {
    if is_place(rule) {
        return vec![rule];
    }
    let policies = rule.split(", ").filter_map(|policy| policy.strip_suffix(']')?.rsplit_once(" ["));
    policies.map(|(_, place)| place).filter(|place| is_place(place)).collect()
}

/// The line that would allow what nothing permits.
pub(super) fn missing_line(denial: &Denial) -> Option<String> {
    if ![GATEWAY, EBPF].contains(&denial.layer.as_str()) || !denial.rule.is_empty() {
        return None;
    }
    match denial.act.split_once(' ')? {
        // What no line can declare is not proposed, such as the broker's name where there is no broker.
        ("resolve", name) if denial.reason.as_deref() == Some(UNDECLARED_HOST) => {
            is_one_host(name).then(|| format!("URL https://{name}"))
        }
        ("connect", address) if denial.reason.as_deref() == Some(UNDECLARED_ADDRESS) => {
            Some(format!("URL tcp://{address}"))
        }
        _ => None,
    }
}

/// The lines of a host none of which permits a request, as the gateway has told them (`reason::PERMITTED`).
pub(super) fn lines_of_host(denial: &Denial) -> Option<String> {
    if denial.layer != GATEWAY || !denial.rule.is_empty() {
        return None;
    }
    let (_, lines) = denial.reason.as_deref()?.split_once(PERMITTED)?;
    let mut out = String::from("\n      to allow it, change one of these lines, or add one:");
    for line in lines.split(", ") {
        // The last may be cut.
        let (url, place) =
            line.strip_suffix(']').and_then(|line| line.rsplit_once(" [")).unwrap_or((line, "…"));
        out.push_str(&format!("\n        {}: URL {}", escape(place), escape(url)));
    }
    Some(out)
}

/// Whether it is `file:line:column` of something that a person wrote.
pub(super) fn is_place(rule: &str) -> bool {
    let mut parts = rule.rsplitn(3, ':');
    let mut number =
        || parts.next().and_then(|part| part.parse::<u32>().ok()).is_some_and(|number| number > 0);
    number() && number()
}
