//! The broker's voice: what is refused is counted and told ever more rarely, so that it fills no disk; what is permitted is told
//! each time, and waits until it is on record.

use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use agentrc_service::channel::cut;
use agentrc_service::limit::Limit;
use agentrc_service::tally::Tally;
use agentrc_service::voice::Voice;

use serde_json::Value;

use crate::report::{Answer, Call, Denied, Done, Report};

/// Most reports that are told in one go.
const AT_ONCE: usize = 32;

/// Characters of a definition in one message: each may take six bytes.
const PART: usize = 2000;

/// The broker's voice.
#[derive(Debug)]
pub(crate) struct Reporter {
    voice: Voice<Answer>,
    denied: RefCell<Tally<Denied>>,
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
        waits.await == Ok(Answer::Peer(true))
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
            Ok(Answer::Peer(_)) | Err(_) => Err(gone()),
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

    /// A call is over.
    pub(crate) fn done(&self, id: u64, done: Done) {
        self.tell(&Report::Done { id, done: done.cut() });
    }

    /// Something is refused. Returns when it is on record, or counted.
    pub(crate) async fn denied(&self, act: &str, verdict: &str, reason: &str, rule: &str, pid: i32) {
        let denied = Denied {
            act: cut(act),
            verdict: verdict.to_owned(),
            reason: cut(reason),
            rule: cut(rule),
            limit: None,
        };
        self.count(denied, pid).await;
    }

    /// A limit is reached.
    pub(crate) async fn limited(&self, limit: &Limit, act: &str, pid: i32) {
        let denied = Denied {
            act: cut(act),
            verdict: "limited".to_owned(),
            reason: format!("the limit `{}` is reached", limit.name()),
            rule: limit.origin().to_owned(),
            limit: Some(limit.name().to_owned()),
        };
        self.count(denied, pid).await;
    }

    async fn count(&self, key: Denied, pid: i32) {
        let counted = self.denied.borrow_mut().count(key, Instant::now());
        let Some((denied, count)) = counted else { return };
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
        for (denied, count) in due {
            self.tell(&Report::Denied { number: None, denied, count, pid: None });
        }
    }

    /// An answer arrived. `false`: to nothing that was asked.
    pub(crate) fn answered(&self, number: u64, answer: Answer) -> bool {
        self.voice.answered(number, answer)
    }
}
