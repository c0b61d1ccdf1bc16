//! The report in JUnit's XML, as CI systems read it: one suite, one case. A script that failed is a `failure`; one that was
//! refused, killed, or is not recorded as a whole is an `error`.

use std::fmt::Write as _;

use super::report::{Report, Text, Verdict};

/// The document.
#[must_use]
pub fn junit(report: &Report) -> String {
    let (failures, errors) = match report.verdict {
        Verdict::Passed => (0, 0),
        Verdict::Failed => (1, 0),
        Verdict::Killed | Verdict::Refused | Verdict::Error => (0, 1),
    };
    let milliseconds = report.wall_ms.unwrap_or_default();
    let time = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    let counts =
        format!("tests=\"1\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" time=\"{time}\"");
    let (skill, script) = (escape(&report.skill), escape(report.script.as_deref().unwrap_or("no script")));
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "<testsuites {counts}>");
    let _ = writeln!(out, "  <testsuite name=\"agentrc skill run {skill}\" {counts}>");
    properties(report, &mut out);
    let _ = writeln!(out, "    <testcase classname=\"skill.{skill}\" name=\"{script}\" time=\"{time}\">");
    let words = escape(&why(report));
    match report.verdict {
        Verdict::Passed => {}
        Verdict::Failed => outcome("failure", "failed", &words, report.exit_code, &mut out),
        Verdict::Killed => outcome("error", "killed", &words, report.exit_code, &mut out),
        Verdict::Refused => outcome("error", "refused", &words, report.exit_code, &mut out),
        Verdict::Error => outcome("error", "error", &words, report.exit_code, &mut out),
    }
    output("system-out", report.stdout.as_ref(), &mut out);
    output("system-err", report.stderr.as_ref(), &mut out);
    out.push_str("    </testcase>\n  </testsuite>\n</testsuites>\n");
    out
}

fn properties(report: &Report, out: &mut String) {
    let audit = report.audit.as_ref();
    let named = [
        ("agentrc", Some(report.agentrc.to_owned())),
        ("plan_sha256", report.plan_sha256.clone()),
        ("audit_head", audit.map(|audit| audit.head.clone())),
        ("audit_events", audit.map(|audit| audit.events.to_string())),
    ];
    out.push_str("    <properties>\n");
    for (name, value) in named {
        if let Some(value) = value {
            let _ = writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", escape(&value));
        }
    }
    out.push_str("    </properties>\n");
}

fn outcome(element: &str, kind: &str, words: &str, code: u8, out: &mut String) {
    let _ = writeln!(
        out,
        "      <{element} type=\"{kind}\" message=\"{kind}: exit code {code}\">{words}</{element}>"
    );
}

/// A line for each reason, denial and limit.
fn why(report: &Report) -> String {
    let mut lines = Vec::new();
    for reason in &report.reasons {
        let at = reason.origin.as_ref().map(|origin| format!(" [{origin}]")).unwrap_or_default();
        let help = reason.help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
        lines.push(format!("{}{at}{help}", reason.reason));
    }
    for denied in &report.denials {
        let by = denied.program.as_ref().map(|program| format!(" by {program}")).unwrap_or_default();
        lines.push(format!(
            "denied {}{by}: {} from {}, {} times",
            denied.act, denied.verdict, denied.layer, denied.count
        ));
    }
    for limit in &report.limits {
        lines.push(format!("limit {}: {}, {} times", limit.limit, limit.outcome, limit.count));
    }
    lines.join("\n")
}

fn output(element: &str, text: Option<&Text>, out: &mut String) {
    let Some(text) = text.filter(|text| text.bytes > 0) else { return };
    let more = if text.truncated { format!("\n[{} bytes in all]\n", text.bytes) } else { String::new() };
    let _ = writeln!(out, "      <{element}>{}{more}</{element}>", escape(&text.text));
}

/// `text`, which [`super::report::readable`] has made, as character data and as the value of an attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // `]]>` may not be in character data.
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Refusal;

    #[test]
    fn nothing_that_is_quoted_ends_an_element() {
        let mut report = Report::new("\"><x>&", Vec::new(), 125);
        report.because(&Refusal::new("]]></error>\u{1b}").at("a\"b:1:1").help("<y>"));
        let text = junit(&report);
        for mark in ["<x>", "<y>", "]]>", "\u{1b}", "a\"b"] {
            assert!(!text.contains(mark), "{mark:?} in {text}");
        }
        assert_eq!(text.matches("</error>").count(), 1);
        assert!(text.contains("errors=\"1\"") && text.contains("refused: exit code 125"));
    }
}
