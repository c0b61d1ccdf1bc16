//! A plan for people: by class, each rule with the line it comes from; and what changes from one plan to another.

use std::fmt::Write as _;

use agentfile::plan::Plan;
use agentfile::plan::describe::describe;
use agentfile::plan::difference::Difference;

use crate::terminal::{Style, Tone, escape};

/// Longest rule that is shown, in characters; `plan --json` has all of it.
const LONGEST: usize = 160;

/// The plan as text.
#[must_use]
pub fn plan(plan: &Plan, digest: &str, style: Style) -> String {
    let mut out = format!("{}  plan sha256:{digest}\n", style.paint(Tone::Strong, &escape(&plan.agent)));
    for section in describe(plan) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, section.class));
        for line in section.lines {
            let place = style.paint(Tone::Faint, &format!("[{}]", escape(&line.origin.to_string())));
            let _ = writeln!(out, "  {}  {place}", escape(&shortened(&line.text)));
        }
    }
    out
}

/// Differences, what gives the agent more first, with what the marks mean.
#[must_use]
pub fn differences(found: &[Difference], style: Style) -> String {
    if found.is_empty() {
        return String::new();
    }
    let legend =
        "`+` gives the agent more than OTHER, `-` does not; a place after `OTHER:` is a line of OTHER";
    let mut out = format!("{}\n", style.paint(Tone::Faint, legend));
    let more = found.iter().filter(|difference| difference.widens);
    let rest = found.iter().filter(|difference| !difference.widens);
    for difference in more.chain(rest) {
        let (mark, tone) = if difference.widens { ("+", Tone::Bad) } else { ("-", Tone::Good) };
        let whose = if difference.of_older { "OTHER: " } else { "" };
        let place =
            difference.origin.as_ref().map(|origin| format!("  [{whose}{}]", escape(&origin.to_string())));
        let _ = writeln!(
            out,
            "{} {}{}",
            style.paint(tone, mark),
            escape(&shortened(&difference.text)),
            style.paint(Tone::Faint, &place.unwrap_or_default())
        );
    }
    out
}

/// Cut to what a line of a terminal can bear.
#[must_use]
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Whether two plans are the same but for the places of their rules. The sentences of `difference` are for people;
/// this is what decides.
#[must_use]
pub fn same_rules(one: &Plan, other: &Plan) -> bool {
    match (serde_json::to_value(one), serde_json::to_value(other)) {
        (Ok(mut one), Ok(mut other)) => {
            strip(&mut one);
            strip(&mut other);
            one == other
        }
        _ => false,
    }
}

fn strip(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.remove("origin");
            // A policy without a name of its own is named after its line: `bind@7`.
            if map.get("id").and_then(|id| id.as_str()).is_some_and(|id| id.contains('@')) {
                map.remove("id");
            }
            map.values_mut().for_each(strip);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_rule_has_its_line_and_none_can_drive_the_terminal() {
        let mut sample = sample::plan();
        "/\u{1b}[2J".clone_into(&mut sample.workdir);
        let text = plan(&sample, "abcd", Style::plain());
        assert!(!text.contains('\u{1b}'), "{text}");
        let rules: Vec<_> = text.lines().filter(|line| line.starts_with("  ")).collect();
        assert!(rules.len() > 8 && rules.iter().all(|rule| rule.ends_with(']')), "{text}");
        assert!(text.contains("[Agentfile:4:1]"), "{text}");
    }

    #[test]
    fn moved_lines_are_the_same_rules_and_anything_else_is_not() {
        let (one, mut other) = (sample::plan(), sample::plan());
        other.mounts[2].origin.line = 40;
        assert!(same_rules(&one, &other));
        if let agentfile::plan::MountSource::Copy { layer, .. } = &mut other.mounts[1].source {
            "copy-9".clone_into(layer);
        }
        assert!(!same_rules(&one, &other));
    }

    #[test]
    fn what_gives_the_agent_more_comes_first() {
        let difference = |text: &str, widens| Difference {
            class: "files",
            text: text.to_owned(),
            widens,
            origin: Some(agentfile::plan::Origin { file: "Agentfile".to_owned(), line: 3, column: 1 }),
            of_older: !widens,
        };
        let text = differences(&[difference("less", false), difference("more", true)], Style::plain());
        let (legend, lines) = text.split_once('\n').unwrap();
        assert!(legend.contains("OTHER"), "{legend}");
        assert_eq!(lines, "+ more  [Agentfile:3:1]\n- less  [OTHER: Agentfile:3:1]\n");
        assert_eq!(differences(&[], Style::plain()), "");
    }
}
