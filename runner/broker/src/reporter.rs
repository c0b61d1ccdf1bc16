//! The broker's voice: what is refused is counted and told ever more rarely, so that it fills no disk; what is permitted is told
//! each time, and waits until it is on record.

use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use agentrc_service::channel::cut;
use agentrc_service::denied::Denied;
use agentrc_service::limit::Limit;
use agentrc_service::tally::Tally;
use agentrc_service::voice::Voice;

use serde_json::Value;

use crate::counted::Key;
use crate::report::{Answer, Asked, Call, Done, LONGEST_ASKED, LONGEST_PART, Report};

/// Most reports that are told in one go.
const AT_ONCE: usize = 32;

/// Characters of a definition in one message: each may take six bytes.
const PART: usize = 2000;

/// The broker's voice.
#[derive(Debug)]
pub(crate) struct Reporter {
    voice: Voice<Answer>,
    denied: RefCell<Tally<Key>>,
    calls: Cell<u64>,
}

impl Reporter {
    pub(crate) fn new(channel: OwnedFd) -> Self {
        Self { voice: Voice::new(channel), denied: RefCell::default(), calls: Cell::new(0) }
    }

    /// To hear orders.
    pub(crate) fn channel(&self) -> &OwnedFd {
        self.voice.channel()
    }

    pub(crate) fn tell(&self, report: &Report) {
        self.voice.tell(report, &[]);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.voice.is_broken()
    }

    /// The number of the next call.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.set(self.calls.get() + 1);
        self.calls.get()
    }

    /// Whether `pid` is one of the sandbox's processes.
    pub(crate) async fn is_ours(&self, pid: i32) -> bool {
        let (number, waits) = self.voice.numbered();
        self.tell(&Report::Peer { number, pid });
        matches!(waits.await, Ok(Answer::Peer(true)))
    }

    /// A call is about to be performed. Returns when it is on record, and its program, which gets `pipes`, is started.
    ///
    /// # Errors
    /// Why it must not be performed.
    pub(crate) async fn intent(&self, call: Call, pipes: &[BorrowedFd<'_>]) -> Result<(), String> {
        let gone = || "the supervisor is gone".to_owned();
        if self.is_broken() {
            return Err(gone());
        }
        let (number, waits) = self.voice.numbered();
        self.voice.tell(&Report::Call { number, call: call.cut() }, pipes);
        match waits.await {
            Ok(Answer::Recorded) => Ok(()),
            Ok(Answer::Refused(reason)) => Err(reason),
            Ok(_) | Err(_) => Err(gone()),
        }
    }

    /// A connection to a destination of the plan's: HTTP in the clear, which the gateway judges, and passes on over TLS where the
    /// scheme says so.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn connect(&self, scheme: &str, host: &str, port: u16) -> Result<OwnedFd, String> {
        let (number, waits) = self.voice.numbered();
        let (scheme, host) = (scheme.to_owned(), host.to_owned());
        self.tell(&Report::Connect { number, scheme, host, port });
        match waits.await {
            Ok(Answer::Connected(connection)) => Ok(connection),
            Ok(Answer::Refused(reason)) => Err(reason),
            Ok(_) | Err(_) => Err("the supervisor is gone".to_owned()),
        }
    }

    /// Has a person asked, and waits for the answer.
    ///
    /// # Errors
    /// Why it is not approved.
    pub(crate) async fn ask(&self, asked: &Asked, pid: i32) -> Result<Granted<'_>, String> {
        let gone = || "the supervisor is gone".to_owned();
        let text = serde_json::to_string(asked).map_err(|error| error.to_string())?;
        if text.len() > LONGEST_ASKED {
            return Err(format!(
                "a person must approve it, and it is longer than anybody can look at ({} bytes, of at most {LONGEST_ASKED})",
                text.len()
            ));
        }
        if self.is_broken() {
            return Err(gone());
        }
        // Nothing else is told in between: this is one thread, and nothing here waits for another task.
        for text in parts(&text) {
            self.tell(&Report::Part { text: text.to_owned() });
        }
        let (number, waits) = self.voice.numbered();
        self.tell(&Report::Ask { number, pid });
        let mut granted = Granted { reporter: self, number, ticket: String::new() };
        match waits.await {
            Ok(Answer::Approved(ticket)) => {
                granted.ticket = ticket;
                Ok(granted)
            }
            Ok(Answer::Refused(reason)) => Err(reason),
            Ok(_) | Err(_) => Err(gone()),
        }
    }

    /// A tool of a server's is to be pinned as `definition`, which goes in parts that fit into a message however it is escaped.
    pub(crate) fn pin(&self, server: usize, tool: &str, definition: &Value) {
        let text: Vec<char> = definition.to_string().chars().collect();
        let mut parts = text.chunks(PART).peekable();
        while let Some(part) = parts.next() {
            let (tool, part) = (tool.to_owned(), part.iter().collect());
            self.tell(&Report::Pin { server, tool, part, more: parts.peek().is_some() });
        }
    }

    /// A server does not answer any more.
    pub(crate) fn gone(&self, server: usize, reason: &str) {
        self.tell(&Report::Gone { server, reason: cut(reason) });
    }

    /// It ends, and so does the run.
    pub(crate) fn failed(&self, reason: &str) {
        self.tell(&Report::Failed { reason: cut(reason) });
    }

    /// A call is over.
    pub(crate) fn done(&self, id: u64, done: Done) {
        self.tell(&Report::Done { id, done: done.cut() });
    }

    /// Something is refused. Returns when it is on record, or counted.
    pub(crate) async fn denied(&self, act: &str, verdict: &str, reason: &str, rule: &str, pid: i32) {
        self.count(Denied::new(act, verdict, reason, rule), pid).await;
    }

    /// A limit is reached.
    pub(crate) async fn limited(&self, limit: &Limit, act: &str, pid: i32) {
        self.count(Denied::limited(limit, act), pid).await;
    }

    async fn count(&self, denied: Denied, pid: i32) {
        let counted = self.denied.borrow_mut().count(Key(denied), Instant::now());
        let Some((Key(denied), count)) = counted else { return };
        let (number, recorded) = self.voice.numbered();
        self.tell(&Report::Denied { number: Some(number), denied, count, pid: Some(pid) });
        // That nobody answers is noticed by whoever listens to the supervisor.
        drop(recorded.await);
    }

    /// Tells what has been counted and is due; all of it when the run ends.
    pub(crate) fn catch_up(&self, all: bool) {
        // While this tells, it hears nothing: only as much as a socket holds, unless it is the end.
        let most = if all { usize::MAX } else { AT_ONCE };
        let due = self.denied.borrow_mut().due(all, most, Instant::now());
        for (Key(denied), count) in due {
            self.tell(&Report::Denied { number: None, denied, count, pid: None });
        }
    }

    /// An answer arrived. `false`: to nothing that was asked.
    pub(crate) fn answered(&self, number: u64, answer: Answer) -> bool {
        self.voice.answered(number, answer)
    }
}

/// A question, and its approval once it has one. It is taken back when nobody waits for the answer any more, and when what was
/// approved is not done after all; for what was done, that says nothing.
#[derive(Debug)]
pub(crate) struct Granted<'a> {
    reporter: &'a Reporter,
    /// The number of the question.
    pub(crate) number: u64,
    /// The ticket's name.
    pub(crate) ticket: String,
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        self.reporter.tell(&Report::Withdraw { number: self.number });
    }
}

/// `text` in pieces that fit a report, cut between characters.
fn parts(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let end = (1..=LONGEST_PART.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let Some((part, rest)) = end.and_then(|end| text.split_at_checked(end)) else { break };
        parts.push(part);
        text = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use agentrc_service::channel::LONGEST;

    use super::*;

    #[test]
    fn parts_come_to_the_whole_and_fit_whatever_they_say() {
        for text in
            ["", "a", &"é".repeat(LONGEST_PART), &"\"\\".repeat(LONGEST_PART), &"\u{10ffff}".repeat(5000)]
        {
            let parts = parts(text);
            assert_eq!(parts.concat(), text);
            for part in parts {
                let report = Report::Part { text: part.to_owned() };
                assert!(serde_json::to_vec(&report).unwrap().len() < LONGEST);
            }
        }
    }
}
