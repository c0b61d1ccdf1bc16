//! Bounds on what the agent can make us write. Names, arguments and reasons may come from inside the sandbox; each is cut
//! to a length that a reader can bear, with a mark that says so.

use crate::event::{Denial, Event, Evidence, LayerEvidence, Probe};

/// Longest string, in bytes, before it is cut.
pub const STRING: usize = 4096;
/// Longest argument vector, in arguments.
pub const ARGUMENTS: usize = 256;
/// Sum of the strings that are not our own, in bytes, in one event.
pub const EVENT: usize = 64 * 1024;
/// Longest line of a log, newline included. An event that is longer although it was bounded is an error, not a cut line.
pub const LINE: usize = 1024 * 1024;

/// The event with every string and list bounded.
#[must_use]
pub fn bounded(event: &Event) -> Event {
    let mut event = event.clone();
    let mut budget = EVENT;
    each_string(&mut event, &mut |string| {
        cut(string, STRING.min(budget));
        budget = budget.saturating_sub(string.len());
    });
    event
}

/// Cuts at a character boundary at or below `limit`, and says how much is missing.
fn cut(string: &mut String, limit: usize) {
    if string.len() > limit {
        let end = (0..=limit).rev().find(|at| string.is_char_boundary(*at)).unwrap_or(0);
        let missing = string.len() - end;
        string.truncate(end);
        string.push_str(&format!("…[{missing} bytes cut]"));
    }
}

/// Calls `f` with every string of the event. Destructured without `..`, so that a new field cannot be forgotten.
fn each_string(event: &mut Event, f: &mut dyn FnMut(&mut String)) {
    match event {
        Event::Armed { agentrc, plan_sha256, agent, agentfile, argv, uid: _, evidence } => {
            [agentrc, plan_sha256, agent, agentfile].into_iter().for_each(&mut *f);
            evidence_strings(evidence, f);
            let dropped = argv.len().saturating_sub(ARGUMENTS);
            argv.truncate(ARGUMENTS);
            argv.iter_mut().for_each(f);
            if dropped > 0 {
                argv.push(format!("…[{dropped} arguments cut]"));
            }
        }
        Event::Refused { step, reason, origin } => [step, reason].into_iter().chain(origin).for_each(f),
        Event::Denial(Denial { layer, act, pid: _, program, verdict, rule, reason, count: _ }) => {
            [layer, act, verdict, rule].into_iter().chain(program).chain(reason).for_each(f);
        }
        Event::Permitted { act, rule } => [act, rule].into_iter().for_each(f),
        Event::Call { call: _, act, arguments, arguments_sha256, rule, pid: _, program } => {
            [act, arguments, arguments_sha256, rule].into_iter().chain(program).for_each(f);
        }
        Event::Asked {
            ticket,
            act,
            arguments,
            arguments_sha256,
            reasons,
            rule,
            expires,
            pid: _,
            program,
        } => {
            [ticket, act, arguments, arguments_sha256, rule, expires]
                .into_iter()
                .chain(program)
                .for_each(&mut *f);
            reasons.truncate(ARGUMENTS);
            reasons.iter_mut().for_each(f);
        }
        Event::Decided { ticket, act, arguments_sha256, outcome, scope, reason, by: _ } => {
            [ticket, act, arguments_sha256, outcome, scope].into_iter().chain(reason).for_each(f);
        }
        Event::Result { call: _, act, outcome, reason, bytes: _, sha256, wall_ms: _ } => {
            [act, outcome, reason, sha256].into_iter().for_each(f);
        }
        Event::Server { server, state, reason } => [server, state].into_iter().chain(reason).for_each(f),
        Event::Limit { limit, outcome, count: _, origin } => {
            [limit, outcome].into_iter().chain(origin).for_each(f);
        }
        Event::Health { outcome, reason, count: _, origin } => {
            [outcome, reason, origin].into_iter().for_each(f);
        }
        Event::Killed { reason } => f(reason),
        Event::Ended { exit_code: _, signal: _, wall_ms: _, cpu_ms: _, peak_rss_kib: _ } => {}
    }
}

fn evidence_strings(evidence: &mut Evidence, f: &mut dyn FnMut(&mut String)) {
    let Evidence { kernel, layers } = evidence;
    f(kernel);
    for LayerEvidence { layer, read_back, probes } in layers {
        f(layer);
        // Keys are our own words; values are what the kernel said.
        read_back.values_mut().for_each(&mut *f);
        for Probe { act, answer } in probes {
            f(act);
            f(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canon::to_line;
    use crate::event::samples;

    #[test]
    fn ordinary_events_are_left_alone() {
        for event in samples() {
            assert_eq!(bounded(&event), event);
        }
    }

    #[test]
    fn a_long_name_is_cut_at_a_character_and_says_so() {
        let event = Event::Killed { reason: format!("x{}", "é".repeat(STRING)) };
        let Event::Killed { reason } = bounded(&event) else { panic!() };
        assert!(reason.ends_with("é…[4098 bytes cut]"), "{}", &reason[reason.len() - 40..]);
        assert!(reason.len() < STRING + 64);
    }

    #[test]
    fn the_worst_arguments_still_fit_in_a_line() {
        let mut events = samples();
        let Event::Armed { argv, .. } = &mut events[0] else { panic!() };
        *argv = vec!["\u{1}".repeat(5_000); 1_000];
        let line = to_line(&bounded(&events[0])).unwrap();
        assert!(line.len() < LINE / 2, "{}", line.len());
        let Event::Armed { argv, .. } = bounded(&events[0]) else { panic!() };
        assert_eq!(argv.len(), ARGUMENTS + 1);
        assert_eq!(argv[ARGUMENTS], "…[744 arguments cut]");
    }
}
