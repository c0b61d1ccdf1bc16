//! A ticket on the terminal of whoever runs the agent: as a line, or as a question. What the agent said is escaped.

use std::fmt::Write as _;

use agentrc_host::approvals::Ticket;
use agentrc_service::channel::cut;

use crate::terminal::{self, escape};

/// Most characters of a question that are shown on the agent's own terminal. What is longer scrolls away, and is not approved there.
const MOST: usize = 2000;

/// One line, that says how it is decided.
pub(super) fn tell(ticket: &Ticket) {
    let Ticket { id, act, .. } = ticket;
    // The agent's terminal may be in raw mode.
    terminal::complain_now(&format!(
        "agentrc: {} waits for a person: agentrc approvals show {id}; agentrc approvals approve {id}\r\n",
        escape(&cut(act))
    ));
}

/// A question in lines, and whether all of the ticket that matters is in them.
pub(super) fn of(ticket: &Ticket) -> (String, bool) {
    let mut lines = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{name:<10} {}", escape(value));
    };
    line("agentrc", &format!("the agent `{}` asks to", ticket.agent));
    line("", &ticket.act);
    line("arguments", &ticket.arguments);
    if let Some(effect) = &ticket.effect {
        line("memory", effect);
    }
    ticket.reasons.iter().for_each(|reason| line("reason", reason));
    ticket.policies.iter().for_each(|policy| line("asked by", &policy.to_string()));
    line("ticket", &format!("{}, until {}", ticket.id, ticket.expires));
    match lines.char_indices().nth(MOST) {
        None => (lines, true),
        Some((end, _)) => {
            lines.truncate(end);
            let id = &ticket.id;
            let _ = writeln!(
                lines,
                "…\nIt is too long for here ({} bytes of arguments): in another terminal, agentrc approvals show {id}, then approve {id}",
                ticket.arguments.len()
            );
            (lines, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use agentrc_host::approvals::FORMAT;

    use super::*;

    #[test]
    fn a_question_drives_no_terminal_and_what_is_cut_is_not_approved_there() {
        let ticket = |arguments: String| Ticket {
            format: FORMAT,
            id: "3k9mz0ta".to_owned(),
            run: "r".to_owned(),
            agent: "a".to_owned(),
            act: "call x \u{1b}[2J\n".to_owned(),
            arguments,
            arguments_sha256: String::new(),
            effect: Some("write\r".to_owned()),
            reasons: vec!["\u{202e}".to_owned()],
            policies: Vec::new(),
            created: String::new(),
            expires: String::new(),
        };
        let (text, approvable) = of(&ticket("{\"a\":\"\u{1b}]0;y\u{7}\"}".to_owned()));
        assert!(
            approvable && !text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
            "{text:?}"
        );
        assert_eq!(text.lines().count(), 6);
        let (text, approvable) = of(&ticket("é".repeat(MOST)));
        assert!(
            !approvable && text.contains("agentrc approvals show 3k9mz0ta") && text.contains("4000 bytes")
        );
    }
}
