//! `agentrc approvals`: what runs wait for, in full, and a person's word on it. What came from the agent is escaped.

use std::fmt::Write as _;

use agentrc_host::StateDir;
use agentrc_host::approvals::{Found, Outcome as Decided, Scope, Standing};
use serde_json::{Value, json};

use super::Outcome;
use crate::arguments::{Approvals, ApprovalsCommand, ApprovalsList, ApprovalsShow, Approve};
use crate::terminal::{Style, Tone, escape};
use crate::{exit, terminal};

/// Longest part of a call's arguments in a list, in characters.
const SHOWN: usize = 120;

/// Lists, shows, approves or denies.
///
/// # Errors
/// The state directory cannot be read; there is no such ticket, or it cannot be decided.
pub fn approvals(arguments: &Approvals) -> Outcome {
    let state = StateDir::of_this_user()?;
    match &arguments.command {
        None => list(&state, &arguments.list),
        Some(ApprovalsCommand::List(wanted)) => list(&state, wanted),
        Some(ApprovalsCommand::Show(wanted)) => show(&state, wanted),
        Some(ApprovalsCommand::Approve(Approve { ticket, for_run, count })) => {
            let scope = if *for_run { Scope::Run { count: *count } } else { Scope::Once };
            decide(&state, &ticket.ticket, Decided::Approved, scope)
        }
        Some(ApprovalsCommand::Deny(ticket)) => decide(&state, &ticket.ticket, Decided::Denied, Scope::Once),
    }
}

fn decide(state: &StateDir, id: &str, outcome: Decided, scope: Scope) -> Outcome {
    let ticket = state.decide_ticket(id, outcome, scope)?;
    let scope = if outcome == Decided::Approved { format!(" ({scope})") } else { String::new() };
    terminal::print(&format!("{} {}{scope}: {}\n", outcome.word(), ticket.id, escape(&ticket.act)))?;
    Ok(exit::SUCCESS)
}

fn list(state: &StateDir, wanted: &ApprovalsList) -> Outcome {
    let (mut found, wrong) = state.tickets()?;
    found.retain(|found| wanted.all || found.standing == Standing::Pending);
    for error in &wrong {
        terminal::complain(&format!("agentrc: {}\n", escape(&error.to_string())));
    }
    let text = if wanted.json {
        format!("{}\n", json!({ "tickets": found.iter().map(as_json).collect::<Vec<_>>() }))
    } else if found.is_empty() {
        "nothing waits for a person\n".to_owned()
    } else {
        found.iter().map(|found| line(found, Style::stdout())).collect()
    };
    terminal::print(&text)?;
    // What cannot be read may be what somebody looks for.
    Ok(if wrong.is_empty() { exit::SUCCESS } else { exit::FAILURE })
}

fn show(state: &StateDir, wanted: &ApprovalsShow) -> Outcome {
    let (_, found) = state.ticket(&wanted.ticket.ticket)?;
    let text = if wanted.json { format!("{}\n", as_json(&found)) } else { whole(&found, Style::stdout()) };
    terminal::print(&text)?;
    Ok(exit::SUCCESS)
}

fn tone(standing: &Standing) -> Tone {
    match standing.word() {
        "pending" => Tone::Warn,
        "approved" => Tone::Good,
        _ => Tone::Bad,
    }
}

/// A ticket in two lines.
fn line(found: &Found, style: Style) -> String {
    let Found { ticket, standing } = found;
    let arguments = escape(&ticket.arguments);
    let shown = match arguments.char_indices().nth(SHOWN) {
        Some((end, _)) => format!(
            "{}… ({} bytes in all: agentrc approvals show {})",
            arguments.get(..end).unwrap_or_default(),
            ticket.arguments.len(),
            ticket.id
        ),
        None => arguments,
    };
    format!(
        "{}  {}  {}  {}  until {}\n          {} {shown}\n          {}\n",
        style.paint(Tone::Strong, &ticket.id),
        style.paint(tone(standing), standing.word()),
        ticket.run,
        escape(&ticket.agent),
        escape(&ticket.expires),
        escape(&ticket.act),
        escape(&ticket.reasons.join("; ")),
    )
}

/// All of a ticket.
fn whole(found: &Found, style: Style) -> String {
    let Found { ticket, standing } = found;
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} {}", style.paint(Tone::Faint, &format!("{name:<10}")), escape(value));
    };
    field("ticket", &ticket.id);
    field("state", &standing_words(standing));
    field("run", &ticket.run);
    field("agent", &ticket.agent);
    field("asks to", &ticket.act);
    field("arguments", &ticket.arguments);
    field("sha256", &ticket.arguments_sha256);
    if let Some(effect) = &ticket.effect {
        field("memory", effect);
    }
    ticket.reasons.iter().for_each(|reason| field("reason", reason));
    ticket.policies.iter().for_each(|policy| field("asked by", &policy.to_string()));
    field("created", &ticket.created);
    field("expires", &ticket.expires);
    out
}

fn standing_words(standing: &Standing) -> String {
    match standing {
        Standing::Pending => "pending".to_owned(),
        Standing::Late => "expired".to_owned(),
        Standing::Left => "denied: its run ended".to_owned(),
        Standing::Decided(decision) => {
            let who = decision.by.map(|uid| format!(" by user {uid}")).unwrap_or_default();
            let scope = match decision.outcome {
                Decided::Approved => format!(" ({})", decision.scope),
                Decided::Denied | Decided::Expired => String::new(),
            };
            let reason = decision.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{}{scope}{who} at {}{reason}", decision.outcome.word(), decision.decided)
        }
    }
}

fn as_json(found: &Found) -> Value {
    let decision = match &found.standing {
        Standing::Decided(decision) => json!(decision),
        Standing::Pending | Standing::Late | Standing::Left => Value::Null,
    };
    json!({ "state": found.standing.word(), "ticket": found.ticket, "decision": decision })
}
