//! `agentrc why`: what a run was denied, by which rule, and the line to change; and, just as plainly, what nobody saw.

mod answers;
mod lines;
mod rules;

use std::fmt::Write as _;
use std::io::BufReader;
use std::path::PathBuf;

use agentrc_audit::event::Event;
use agentrc_audit::line::Body;
use agentrc_audit::log::LOG_FILE;
use agentrc_audit::read::Lines;
use agentrc_host::StateDir;

use self::answers::ANSWERS;
use self::lines::{is_place, lines_of_host, missing_line, with_way_out};
use super::Outcome;
use crate::arguments::Why;
use crate::terminal::{Style, Tone, escape};
use crate::{events, exit, host, terminal};

/// Explains one run.
///
/// # Errors
/// There is no such run, or its log cannot be read.
pub fn why(arguments: &Why) -> Outcome {
    let state = StateDir::of_this_user()?;
    let run = state.open_run(&host::run_named(&state, &arguments.run.name)?)?;
    super::audit::warn_unless_intact(&state, run.id());
    let style = Style::stdout();
    // Before the log is read: a run that ends in between is told as ended.
    let lives = run.lives()?;
    let mut story = Story { run: run.id().to_owned(), lives, ..Story::default() };
    if let Some(log) = run.folder().find_file(LOG_FILE)? {
        story.log = Log::Empty;
        for line in Lines::new(BufReader::new(log)) {
            let line = line.map_err(|error| host::refusal(&error))?;
            story.log = Log::Read;
            if let Body::Event(event) = line.body {
                story.take(&event, style);
            }
        }
    }
    // The record can name a path that is no text; what the log says of the plan goes first, as it is signed.
    if let Ok(Some(record)) = run.record() {
        let digest = story.plan.take().map_or(record.plan_sha256, |(_, digest)| digest);
        story.plan = Some((record.agentfile.as_ref().to_owned(), digest));
    }
    let which = super::which(&arguments.run.name, run.id()).map(|which| format!("{which}\n"));
    terminal::print(&(which.unwrap_or_default() + &story.tell(style)))?;
    Ok(exit::SUCCESS)
}

/// What there is of a log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Log {
    /// No file.
    #[default]
    Missing,
    /// Not one line.
    Empty,
    /// Lines, whatever they say.
    Read,
}

/// What the log says.
#[derive(Debug, Default)]
struct Story {
    run: String,
    log: Log,
    lives: bool,
    armed: bool,
    refused: bool,
    findings: Vec<String>,
    end: Option<String>,
    layers: Vec<String>,
    /// Agentfile, and digest of the plan.
    plan: Option<(PathBuf, String)>,
}

impl Story {
    fn take(&mut self, event: &Event, style: Style) {
        match event {
            Event::Armed { evidence, agentfile, plan_sha256, .. } => {
                self.armed = true;
                self.layers = evidence.layers.iter().map(|layer| escape(&layer.layer)).collect();
                self.plan = Some((agentfile.into(), plan_sha256.clone()));
            }
            Event::Refused { origin, .. } => {
                self.refused = true;
                let line = origin.as_deref().filter(|origin| is_place(origin));
                self.findings.push(with_way_out(events::words(event, style), line));
            }
            Event::Limit { origin, .. } => {
                self.findings.push(with_way_out(events::words(event, style), origin.as_deref()));
            }
            Event::Denial(denial) => {
                let words = events::words(event, style);
                self.findings.push(match (missing_line(denial), lines_of_host(denial)) {
                    (Some(line), _) => format!("{words}\n      to allow it, add the line: {}", escape(&line)),
                    (None, Some(lines)) => format!("{words}{lines}"),
                    (None, None) => {
                        with_way_out(words, Some(denial.rule.as_str()).filter(|rule| !rule.is_empty()))
                    }
                });
            }
            // Policy permitted the call, and what performs it did not: a memory, or a program that exits with 77.
            Event::Result { outcome, .. } if outcome == "refused" => {
                self.findings.push(events::words(event, style));
            }
            // What else a call came to is what it was called for; a refusal by policy is a denial.
            Event::Permitted { .. }
            | Event::Call { .. }
            | Event::Result { .. }
            | Event::Server { .. }
            | Event::Asked { .. }
            | Event::Decided { .. } => {}
            Event::Health { outcome, .. } if outcome == "ok" => {}
            Event::Killed { .. } | Event::Health { .. } => self.findings.push(events::words(event, style)),
            Event::Ended { exit_code, signal, .. } => {
                self.end = Some(events::words(event, style));
                if let Some(meaning) = meaning(*exit_code, *signal) {
                    self.findings.push(meaning.to_owned());
                }
            }
        }
    }

    /// How far the log says that it came. Only a recorded refusal says that nothing was executed.
    fn outcome(&self) -> String {
        let state = match (&self.end, self.refused, self.armed) {
            (Some(end), ..) => return end.clone(),
            (None, true, _) => return "the command was not executed".to_owned(),
            (None, false, true) if self.lives => {
                return "armed, and no end is recorded: it goes on".to_owned();
            }
            (None, false, true) => {
                return "armed, and no end is recorded: its supervisor was killed, or the log was cut"
                    .to_owned();
            }
            (None, false, false) => match self.log {
                Log::Missing => "is missing",
                Log::Empty => "is empty",
                Log::Read => "has neither its start nor its end",
            },
        };
        let launch = if self.lives { "; its launch may still go on" } else { "" };
        format!("the log of this run {state}: it does not tell whether the command was executed{launch}")
    }

    fn tell(&self, style: Style) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", style.paint(Tone::Strong, &format!("run {}", self.run)));
        let _ = writeln!(out, "  {}", self.outcome());
        let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, "recorded"));
        if self.findings.is_empty() {
            out.push_str(if self.armed || self.end.is_some() {
                "  no denial and no limit that was reached (`AUDIT off` records neither)\n"
            } else {
                "  nothing, which does not mean that nothing was denied\n"
            });
        }
        for finding in &self.findings {
            let _ = writeln!(out, "  {finding}");
        }
        if self.refused {
            return out;
        }
        let layers =
            if self.layers.is_empty() { String::new() } else { format!(" ({})", self.layers.join(", ")) };
        let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, "not seen by agentrc"));
        let _ = writeln!(
            out,
            "  The kernel itself decides, and tells only the program: a path that is not there, a read-only mount,\n  \
             a Landlock rule or a filtered system call leaves no trace that an unprivileged supervisor can read.\n  \
             What the program printed says which layer it was{layers}:"
        );
        for (answer, layer, change) in ANSWERS {
            let _ = writeln!(out, "  - {answer}\n      {layer}; {change}");
        }
        match &self.plan {
            Some((agentfile, digest)) => out.push_str(&rules::section(agentfile, digest, style)),
            None => {
                out.push_str("\n  Which lines deny cannot be told: neither log nor record names the plan.\n")
            }
        }
        out.push_str("  `agentrc plan` shows every rule with its line.\n");
        out
    }
}

fn meaning(exit_code: i32, signal: Option<i32>) -> Option<&'static str> {
    match (exit_code, signal) {
        (126, None) => Some(
            "126: the command is there and could not be executed: its mode, its interpreter, or a wrong architecture",
        ),
        (127, None) => Some("127: the command is not there, inside; or its `#!` interpreter is not"),
        (_, Some(31)) => Some(
            "signal 31 (SIGSYS): the system call filter killed it for a call that no ordinary program makes",
        ),
        (_, Some(24)) => Some("signal 24 (SIGXCPU): its CPU time was used up"),
        (_, Some(25)) => Some("signal 25 (SIGXFSZ): it made a file larger than it may"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use agentrc_audit::event::{Denial, Evidence};
    use agentrc_egress::reason::PERMITTED;

    use super::*;
    use crate::gateway::LAYER as GATEWAY;

    fn told(events: &[Event]) -> String {
        let mut story = Story { run: "20260102-030405-1a2b".to_owned(), ..Story::default() };
        events.iter().for_each(|event| story.take(event, Style::plain()));
        story.tell(Style::plain())
    }

    fn armed() -> Event {
        Event::Armed {
            agentrc: "0".to_owned(),
            plan_sha256: "00".to_owned(),
            agent: "a".to_owned(),
            agentfile: "/a".to_owned(),
            argv: vec![],
            uid: 1,
            evidence: Evidence::default(),
        }
    }

    fn ended(exit_code: i32, signal: Option<i32>) -> Event {
        Event::Ended { exit_code, signal, wall_ms: 1, cpu_ms: 1, peak_rss_kib: 1 }
    }

    #[test]
    fn a_limit_names_the_line_to_change() {
        let limit = Event::Limit {
            limit: "wall".to_owned(),
            outcome: "killed".to_owned(),
            count: 1,
            origin: Some("Agentfile:6:1".to_owned()),
        };
        let text = told(&[armed(), limit, ended(137, Some(9))]);
        assert!(
            text.contains("limit wall: killed [Agentfile:6:1]\n      the line to change: Agentfile:6:1"),
            "{text}"
        );
    }

    #[test]
    fn a_rule_of_our_own_is_not_called_a_line_to_change() {
        let denial = Denial {
            layer: "seccomp".to_owned(),
            act: "ptrace".to_owned(),
            pid: None,
            program: None,
            verdict: "EPERM".to_owned(),
            rule: "debugging".to_owned(),
            reason: None,
            count: 1,
        };
        let text = told(&[armed(), Event::Denial(denial), ended(1, None)]);
        assert!(text.contains("decided by debugging, which no line of an Agentfile changes"), "{text}");
    }

    #[test]
    fn a_denial_by_policies_names_their_lines() {
        let told_of = |rule: &str| {
            let denial = Denial {
                layer: "broker".to_owned(),
                act: "call probe".to_owned(),
                pid: None,
                program: None,
                verdict: "refused".to_owned(),
                rule: rule.to_owned(),
                reason: None,
                count: 1,
            };
            told(&[armed(), Event::Denial(denial), ended(1, None)])
        };
        let text = told_of("no-path [Agentfile:5:1]");
        assert!(text.contains("\n      the line to change: Agentfile:5:1\n"), "{text}");
        let text = told_of("a [Agentfile:5:1], b, c [/etc/agentrc/a]b.toml:3:2]");
        let lines = "\n      the lines that decided it: Agentfile:5:1, /etc/agentrc/a]b.toml:3:2\n";
        assert!(text.contains(lines), "{text}");
        let text = told_of("a [nowhere]");
        assert!(text.contains("decided by a [nowhere], which no line of an Agentfile changes"), "{text}");
    }

    #[test]
    fn a_call_that_is_refused_when_it_is_performed_is_told_and_one_that_fails_is_not() {
        let result = |outcome: &str| Event::Result {
            call: 7,
            act: format!("call {outcome}"),
            outcome: outcome.to_owned(),
            reason: "why".to_owned(),
            bytes: 0,
            wall_ms: 0,
            sha256: String::new(),
        };
        let text = told(&[armed(), result("refused"), result("error"), result("ok"), ended(1, None)]);
        assert!(text.contains("  result 7: refused refused, 0 B in 0 ms: why\n"), "{text}");
        assert!(!text.contains("result 7: error") && !text.contains("result 7: ok"), "{text}");
    }

    #[test]
    fn a_request_that_no_path_permits_names_the_lines_of_its_host() {
        let denial = Denial {
            layer: GATEWAY.to_owned(),
            act: "GET https://api.example.com/v3".to_owned(),
            pid: None,
            program: None,
            verdict: "403".to_owned(),
            rule: String::new(),
            reason: Some(format!(
                "nothing permits it{PERMITTED}https://api.example.com:443/v1 [Agentfile:3:1], https://api.example.com:443/v2 [Agentfile:4:1]"
            )),
            count: 1,
        };
        let text = told(&[armed(), Event::Denial(denial), ended(1, None)]);
        let lines = "change one of these lines, or add one:\n        Agentfile:3:1: URL https://api.example.com:443/v1\n        \
                     Agentfile:4:1: URL https://api.example.com:443/v2\n";
        assert!(text.contains(lines), "{text}");
    }

    #[test]
    fn it_says_what_it_cannot_see_and_never_that_nothing_was_denied() {
        let text = told(&[armed(), ended(0, None)]);
        assert!(text.contains("no denial and no limit that was reached"), "{text}");
        assert!(!text.contains("nothing was denied"), "{text}");
        assert!(text.contains("not seen by agentrc") && text.contains("EROFS"), "{text}");
    }

    #[test]
    fn only_a_refusal_says_that_nothing_was_executed() {
        for (log, state) in [
            (Log::Missing, "is missing"),
            (Log::Empty, "is empty"),
            (Log::Read, "has neither its start nor its end"),
        ] {
            let text = Story { log, ..Story::default() }.tell(Style::plain());
            assert!(text.contains(&format!("the log of this run {state}: it does not tell")), "{text}");
            assert!(text.contains("does not mean that nothing was denied"), "{text}");
            assert!(!text.contains("not executed") && text.contains("not seen by agentrc"), "{text}");
        }
        let text = told(&[ended(0, None)]);
        assert!(!text.contains("not executed"), "a log without its first line: {text}");
    }

    #[test]
    fn tcp_is_denied_by_another_layer_than_udp() {
        let text = told(&[armed(), ended(1, None)]);
        assert!(text.contains("(EACCES) from connect or bind over TCP\n      Landlock"), "{text}");
        assert!(text.contains("(ENETUNREACH) over UDP"), "{text}");
    }

    #[test]
    fn a_refusal_needs_no_such_section() {
        let refused = Event::Refused {
            step: "clone".to_owned(),
            reason: "could not make the namespaces".to_owned(),
            origin: None,
        };
        let text = told(&[refused]);
        assert!(text.contains("the command was not executed") && !text.contains("not seen"), "{text}");
    }

    #[test]
    fn a_run_without_an_end_is_said_to_have_none() {
        assert!(
            told(&[armed()]).contains("no end is recorded: its supervisor was killed, or the log was cut")
        );
        let mut story = Story { lives: true, ..Story::default() };
        story.take(&armed(), Style::plain());
        assert!(story.tell(Style::plain()).contains("no end is recorded: it goes on"));
    }

    #[test]
    fn exit_codes_that_mean_something_are_explained() {
        assert!(told(&[armed(), ended(159, Some(31))]).contains("SIGSYS"));
        assert!(told(&[armed(), ended(127, None)]).contains("127: the command is not there"));
    }
}
