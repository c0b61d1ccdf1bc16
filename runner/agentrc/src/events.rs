//! Audit lines for people. Everything in them that came from the agent is escaped.

use agentfile::plan::words::bytes;
use agentrc_audit::event::{Denial, Event, LayerEvidence};
use agentrc_audit::line::{Body, Line};

use crate::terminal::{Style, Tone, escape};

/// One line of a log; evidence takes several.
#[must_use]
pub fn render(line: &Line, style: Style) -> String {
    let time = style.paint(Tone::Faint, &escape(&short_time(&line.time)));
    let number = line.seq;
    match &line.body {
        Body::Event(event) => format!("{number:>5}  {time}  {}\n", words(event, style)),
        Body::Checkpoint { checkpoint } => {
            let what = if checkpoint.last { "signed, final" } else { "signed" };
            let key = checkpoint.key_id.get(..16).unwrap_or(&checkpoint.key_id);
            format!("{number:>5}  {time}  {what}, key {}\n", escape(key))
        }
    }
}

/// `2026-01-02T03:04:05.678901234Z` to the millisecond.
fn short_time(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, fraction)) if time.ends_with('Z') => {
            format!("{seconds}.{}Z", fraction.get(..3).unwrap_or_default())
        }
        _ => time.to_owned(),
    }
}

/// What an event says.
#[must_use]
pub fn words(event: &Event, style: Style) -> String {
    let bad = |text: &str| style.paint(Tone::Bad, text);
    match event {
        Event::Armed { agentrc, plan_sha256, agent, agentfile, argv, uid, evidence } => {
            let mut text = format!(
                "{} agent `{}` of {}, for user {uid}, by agentrc {}\n\
                 {INDENT}plan sha256:{}\n{INDENT}executes {}\n{INDENT}kernel {}",
                style.paint(Tone::Good, "armed"),
                escape(agent),
                escape(agentfile),
                escape(agentrc),
                escape(plan_sha256),
                escape(&argv.join(" ")),
                escape(&evidence.kernel),
            );
            for layer in &evidence.layers {
                text.push_str(&evidence_of(layer));
            }
            text
        }
        Event::Refused { step, reason, origin } => {
            let place = origin.as_ref().map(|origin| format!(" [{}]", escape(origin))).unwrap_or_default();
            format!("{} at `{}`: {}{place}", bad("refused"), escape(step), escape(reason))
        }
        Event::Denial(denial) => denied(denial, style),
        Event::Permitted { act, rule } => {
            format!("{} {} [{}]", style.paint(Tone::Good, "permitted"), escape(act), escape(rule))
        }
        Event::Call { call, act, arguments, rule, pid, program, .. } => {
            let given = if arguments == "{}" { String::new() } else { format!(" {}", escape(arguments)) };
            format!(
                "{} {call}: {}{given}{} [{}]",
                style.paint(Tone::Good, "call"),
                escape(act.strip_prefix("call ").unwrap_or(act)),
                by(program.as_deref(), *pid),
                escape(rule)
            )
        }
        Event::Result { call, act, outcome, reason, bytes: size, wall_ms, .. } => {
            let good = outcome == "ok";
            let reason = if reason.is_empty() { String::new() } else { format!(": {}", escape(reason)) };
            format!(
                "{} {call}: {} {}, {} in {}{reason}",
                style.paint(if good { Tone::Good } else { Tone::Bad }, "result"),
                escape(act.strip_prefix("call ").unwrap_or(act)),
                escape(outcome),
                bytes(*size),
                milliseconds(*wall_ms),
            )
        }
        Event::Server { server, state, reason } => {
            let reason = reason.as_ref().map(|reason| format!(": {}", escape(reason))).unwrap_or_default();
            format!("{} {} {}{reason}", style.paint(Tone::Strong, "server"), escape(server), escape(state))
        }
        Event::Asked { ticket, act, arguments, reasons, rule, expires, pid, program, .. } => {
            format!(
                "{} {}: {} {}{} until {}: {} [{}]",
                style.paint(Tone::Warn, "asked"),
                escape(ticket),
                escape(act.strip_prefix("call ").unwrap_or(act)),
                escape(arguments),
                by(program.as_deref(), *pid),
                escape(&short_time(expires)),
                escape(&reasons.join("; ")),
                escape(rule),
            )
        }
        Event::Decided { ticket, act, outcome, scope, reason, by, .. } => {
            let good = outcome == "approved";
            let scope = if scope.is_empty() { String::new() } else { format!(" ({})", escape(scope)) };
            let who = by.map(|uid| format!(" by user {uid}")).unwrap_or_default();
            let reason = reason.as_ref().map(|reason| format!(": {}", escape(reason))).unwrap_or_default();
            format!(
                "{} {}: {} {}{scope}{who}{reason}",
                style.paint(if good { Tone::Good } else { Tone::Bad }, "decided"),
                escape(ticket),
                escape(act.strip_prefix("call ").unwrap_or(act)),
                escape(outcome),
            )
        }
        Event::Limit { limit, outcome, count, origin } => {
            let place = origin.as_ref().map(|origin| format!(" [{}]", escape(origin))).unwrap_or_default();
            format!("{} {}: {}{}{place}", bad("limit"), escape(limit), escape(outcome), times(*count))
        }
        Event::Health { outcome, reason, count, origin } => {
            let tone = if outcome == "ok" { Tone::Good } else { Tone::Bad };
            let reason = if reason.is_empty() { String::new() } else { format!(": {}", escape(reason)) };
            let (outcome, origin) = (escape(outcome), escape(origin));
            format!("{} {outcome}{reason}{} [{origin}]", style.paint(tone, "health"), times(*count))
        }
        Event::Killed { reason } => format!("{} {}", bad("killed"), escape(reason)),
        Event::Ended { exit_code, signal, wall_ms, cpu_ms, peak_rss_kib } => {
            let signal = signal.map(|signal| format!(" (signal {signal})")).unwrap_or_default();
            format!(
                "{} with {exit_code}{signal} after {}; CPU {}, peak memory {}",
                style.paint(Tone::Strong, "ended"),
                milliseconds(*wall_ms),
                milliseconds(*cpu_ms),
                bytes(peak_rss_kib.saturating_mul(1024)),
            )
        }
    }
}

const INDENT: &str = "       ";

fn evidence_of(layer: &LayerEvidence) -> String {
    let mut text = format!("\n{INDENT}{}:", escape(&layer.layer));
    for (name, value) in &layer.read_back {
        text.push_str(&format!(" {}={}", escape(name), escape(value)));
    }
    for probe in &layer.probes {
        text.push_str(&format!("\n{INDENT}  {} -> {}", escape(&probe.act), escape(&probe.answer)));
    }
    text
}

/// One denial in words.
#[must_use]
pub fn denied(denial: &Denial, style: Style) -> String {
    let who = by(denial.program.as_deref(), denial.pid);
    let reason = denial.reason.as_ref().map(|reason| format!(": {}", escape(reason))).unwrap_or_default();
    let rule = if denial.rule.is_empty() { String::new() } else { format!(" [{}]", escape(&denial.rule)) };
    format!(
        "{} {}{who}: {} from {}{reason}{rule}{}",
        style.paint(Tone::Bad, "denied"),
        escape(&denial.act),
        escape(&denial.verdict),
        escape(&denial.layer),
        times(denial.count),
    )
}

/// Whose act it was, as far as it is known.
fn by(program: Option<&str>, pid: Option<i32>) -> String {
    match (program, pid) {
        (Some(program), Some(pid)) => format!(" by {} ({pid})", escape(program)),
        (Some(program), None) => format!(" by {}", escape(program)),
        (None, Some(pid)) => format!(" by process {pid}"),
        (None, None) => String::new(),
    }
}

fn times(count: u64) -> String {
    if count > 1 { format!(", {count} times") } else { String::new() }
}

/// A duration in the unit that suits it.
#[must_use]
pub fn milliseconds(number: u64) -> String {
    if number < 1000 {
        format!("{number} ms")
    } else {
        format!("{}.{} s", number / 1000, number % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_chose_cannot_drive_the_terminal() {
        let denial = Denial {
            layer: "seccomp".to_owned(),
            act: "ptrace".to_owned(),
            pid: Some(7),
            program: Some("\u{1b}[2Jevil\n".to_owned()),
            verdict: "EPERM".to_owned(),
            rule: "Agentfile:3:1".to_owned(),
            reason: None,
            count: 2,
        };
        let text = words(&Event::Denial(denial), Style::plain());
        assert_eq!(text, "denied ptrace by \\x1b[2Jevil\\n (7): EPERM from seccomp [Agentfile:3:1], 2 times");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(short_time("2026-01-02T03:04:05.678901234Z"), "2026-01-02T03:04:05.678Z");
        assert_eq!(milliseconds(999), "999 ms");
        assert_eq!(milliseconds(61_250), "61.2 s");
    }
}
