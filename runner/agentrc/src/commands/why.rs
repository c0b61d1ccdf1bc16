//! `agentrc why`: what a run was denied, by which rule, and the line to change; and, just as plainly, what nobody saw.

use std::fmt::Write as _;
use std::io::BufReader;

use agentrc_audit::event::Event;
use agentrc_audit::line::Body;
use agentrc_audit::log::LOG_FILE;
use agentrc_audit::read::Lines;
use agentrc_host::StateDir;

use super::Outcome;
use crate::arguments::Why;
use crate::terminal::{Style, Tone, escape};
use crate::{events, exit, host, terminal};

/// What a program says when something is denied, which layer says so, and what to change. The errors are those that each
/// layer is armed with; the probes of every run's evidence show them.
const ANSWERS: &[(&str, &str, &str)] = &[
    (
        "No such file or directory (ENOENT), and the host has it",
        "mounts: nothing shows it inside",
        "add `BIND path /where ro`",
    ),
    (
        "Read-only file system (EROFS)",
        "mounts: it is shown read-only, or is a protected path",
        "bind it `copy` or `rw`; a protected path stays read-only",
    ),
    (
        "Permission denied (EACCES)",
        "Landlock, or the file's own mode",
        "the same lines as for the mounts: both locks come from them",
    ),
    (
        "Operation not permitted (EPERM)",
        "seccomp, or a capability that nothing has",
        "there is no line for it: no Agentfile can ask for it",
    ),
    (
        "Function not implemented (ENOSYS)",
        "seccomp: not in the table",
        "there is no line for it; libraries fall back",
    ),
    ("Bad system call (exit code 159)", "seccomp: killed", "there is no line for it"),
    (
        "Network is unreachable (ENETUNREACH), name resolution fails",
        "namespaces: the network is empty",
        "`URL` lines are not yet enforced here, so none can be granted",
    ),
    ("Resource temporarily unavailable (EAGAIN) from fork", "`LIMIT pids`", "raise the limit"),
    ("Too many open files (EMFILE)", "`LIMIT open_files`", "raise the limit"),
    ("No space left on device (ENOSPC)", "the size of a private folder, or `LIMIT disk`", "raise the limit"),
];

/// Explains one run.
///
/// # Errors
/// There is no such run, or its log cannot be read.
pub fn why(arguments: &Why) -> Outcome {
    let state = StateDir::of_this_user()?;
    let run = state.open_run(&host::run_named(&state, &arguments.run.name)?)?;
    super::audit::warn_unless_intact(&state, run.id());
    let style = Style::stdout();
    let mut story = Story { run: run.id().to_owned(), ..Story::default() };
    if let Some(log) = run.folder().find_file(LOG_FILE)? {
        for line in Lines::new(BufReader::new(log)) {
            let line = line.map_err(|error| host::refusal(&error))?;
            if let Body::Event(event) = line.body {
                story.take(&event, style);
            }
        }
    }
    terminal::print(&story.tell(style))?;
    Ok(exit::SUCCESS)
}

/// What the log says.
#[derive(Debug, Default)]
struct Story {
    run: String,
    armed: bool,
    findings: Vec<String>,
    end: Option<String>,
    layers: Vec<String>,
}

impl Story {
    fn take(&mut self, event: &Event, style: Style) {
        match event {
            Event::Armed { evidence, .. } => {
                self.armed = true;
                self.layers = evidence.layers.iter().map(|layer| escape(&layer.layer)).collect();
            }
            Event::Refused { origin, .. } => {
                let line = origin.as_deref().filter(|origin| is_place(origin));
                self.findings.push(with_way_out(events::words(event, style), line));
            }
            Event::Limit { origin, .. } => {
                self.findings.push(with_way_out(events::words(event, style), origin.as_deref()));
            }
            Event::Denial(denial) => {
                self.findings.push(with_way_out(events::words(event, style), Some(denial.rule.as_str())));
            }
            Event::Killed { .. } => self.findings.push(events::words(event, style)),
            Event::Ended { exit_code, signal, .. } => {
                self.end = Some(events::words(event, style));
                if let Some(meaning) = meaning(*exit_code, *signal) {
                    self.findings.push(meaning.to_owned());
                }
            }
        }
    }

    fn tell(&self, style: Style) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", style.paint(Tone::Strong, &format!("run {}", self.run)));
        match (&self.end, self.armed) {
            (Some(end), _) => {
                let _ = writeln!(out, "  {end}");
            }
            (None, true) => {
                out.push_str("  armed, and no end is recorded: it goes on, or its supervisor was killed\n")
            }
            (None, false) => out.push_str("  the command was not executed\n"),
        }
        let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, "recorded"));
        if self.findings.is_empty() {
            out.push_str("  nothing was denied as far as the supervisor can see\n");
        }
        for finding in &self.findings {
            let _ = writeln!(out, "  {finding}");
        }
        if !self.armed {
            return out;
        }
        let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, "not seen by agentrc"));
        let _ = writeln!(
            out,
            "  The kernel itself decides, and tells only the program: a path that is not there, a read-only mount,\n  \
             a Landlock rule or a filtered system call leaves no trace that an unprivileged supervisor can read.\n  \
             What the program printed says which layer it was ({}):",
            self.layers.join(", ")
        );
        for (answer, layer, change) in ANSWERS {
            let _ = writeln!(out, "  - {answer}\n      {layer}; {change}");
        }
        out.push_str("  `agentrc plan` shows every rule with its line.\n");
        out
    }
}

fn with_way_out(words: String, rule: Option<&str>) -> String {
    match rule {
        Some(rule) if is_place(rule) => format!("{words}\n      the line to change: {}", escape(rule)),
        Some(rule) => {
            format!("{words}\n      decided by {}, which no line of an Agentfile changes", escape(rule))
        }
        None => words,
    }
}

/// Whether it is `file:line:column` of something that a person wrote.
fn is_place(rule: &str) -> bool {
    let mut parts = rule.rsplitn(3, ':');
    let mut number =
        || parts.next().and_then(|part| part.parse::<u32>().ok()).is_some_and(|number| number > 0);
    number() && number()
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

    use super::*;

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
            count: 1,
        };
        let text = told(&[armed(), Event::Denial(denial), ended(1, None)]);
        assert!(text.contains("decided by debugging, which no line of an Agentfile changes"), "{text}");
    }

    #[test]
    fn it_says_what_it_cannot_see_and_never_that_nothing_was_denied() {
        let text = told(&[armed(), ended(0, None)]);
        assert!(text.contains("nothing was denied as far as the supervisor can see"), "{text}");
        assert!(text.contains("not seen by agentrc") && text.contains("EROFS"), "{text}");
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
        assert!(told(&[armed()]).contains("no end is recorded"));
    }

    #[test]
    fn exit_codes_that_mean_something_are_explained() {
        assert!(told(&[armed(), ended(159, Some(31))]).contains("SIGSYS"));
        assert!(told(&[armed(), ended(127, None)]).contains("127: the command is not there"));
    }
}
