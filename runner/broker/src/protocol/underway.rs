//! Calls whose client is asked something in the answer to them (MCP 2026-07-28, "Multi Round-Trip Requests"). Such a call goes on: when
//! the client calls again, with what he answers, that is what he hears the end of.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{ClientCapabilities, InputRequiredResult, InputResponses};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle, spawn_local};

use crate::call::{self, Broker, Request};
use crate::outcome::Outcome;
use crate::server::{Ask, Client};

/// How long a client has to call again.
const PATIENCE: Duration = Duration::from_secs(600);
/// Most calls that wait for that: fewer than a server has at a time, so that it can be called besides.
const MOST: usize = 8;
/// What the one thing that is asked at a time is called.
const INPUT: &str = "input";

/// A call that goes on for as long as this is kept.
pub(crate) struct Underway {
    outcome: JoinHandle<Outcome>,
    asks: mpsc::Receiver<Ask>,
}

/// What comes next of it.
pub(crate) enum Step {
    Asks(Box<Ask>),
    Done(Outcome),
}

impl Underway {
    /// Begins one, of a client that offers this.
    pub(super) fn begin(broker: Rc<Broker>, request: Request, offers: ClientCapabilities) -> Self {
        let (ask, asks) = mpsc::channel(1);
        let request = Request { client: Some(Client::Later(offers, ask)), ..request };
        Self { outcome: spawn_local(async move { broker.call(request).await }), asks }
    }

    pub(super) async fn next(&mut self) -> Step {
        loop {
            tokio::select! {
                biased;
                outcome = &mut self.outcome => {
                    return Step::Done(outcome.unwrap_or_else(|_| Outcome::Error("it was ended".to_owned())));
                }
                // One that nobody waits for any more is not put.
                Some(ask) = self.asks.recv() => if !ask.answer.is_closed() { return Step::Asks(Box::new(ask)) },
            }
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.outcome.abort();
    }
}

/// Which call it is. A client that calls again says the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Which {
    pid: i32,
    name: String,
    arguments: String,
    words: Vec<String>,
}

impl Which {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            pid: request.pid,
            name: request.name.clone(),
            arguments: call::text(&request.arguments),
            words: request.words.clone(),
        }
    }
}

/// A call whose client has been asked.
struct Asked {
    underway: Underway,
    which: Which,
    answer: oneshot::Sender<Result<Value, String>>,
    /// Ends it when its client does not call again.
    expiry: AbortHandle,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Paused {
    calls: RefCell<HashMap<String, Asked>>,
    last: Cell<u64>,
}

impl Paused {
    /// Keeps a call until its client calls again: what he is told. Where there is no room, the server is told so instead, and the call
    /// goes on.
    pub(super) fn keep(
        self: &Rc<Self>,
        underway: Underway,
        which: Which,
        ask: Ask,
    ) -> Result<InputRequiredResult, (Underway, Which)> {
        let Ask { request, answer } = ask;
        self.sweep();
        if self.calls.borrow().len() >= MOST {
            // Unless it has given up waiting.
            drop(answer.send(Err(format!("{MOST} calls wait for their clients' answers already"))));
            return Err((underway, which));
        }
        self.last.set(self.last.get() + 1);
        // Whoever calls again is held to the rest of the call.
        let state = self.last.get().to_string();
        let (all, own) = (Rc::downgrade(self), state.clone());
        let expiry = spawn_local(async move {
            tokio::time::sleep(PATIENCE).await;
            if let Some(all) = all.upgrade() {
                let ended = all.calls.borrow_mut().remove(&own);
                drop(ended);
            }
        });
        let asked = Asked { underway, which, answer, expiry: expiry.abort_handle() };
        self.calls.borrow_mut().insert(state.clone(), asked);
        let requests = BTreeMap::from([(INPUT.to_owned(), request)]);
        Ok(InputRequiredResult::new(Some(requests), Some(state)))
    }

    /// Forgets those that have ended, and those whose process has: nobody else may go on with one.
    fn sweep(&self) {
        self.calls.borrow_mut().retain(|_, asked| {
            let stays = !asked.underway.outcome.is_finished() && is_there(asked.which.pid);
            if !stays {
                asked.expiry.abort();
            }
            stays
        });
    }

    /// The call that goes on with this answer.
    ///
    /// # Errors
    /// There is no such call of the client's, or this is no answer.
    pub(super) fn resume(
        &self,
        state: &str,
        which: &Which,
        responses: Option<InputResponses>,
    ) -> Result<Underway, ErrorData> {
        let none = || ErrorData::invalid_params("no call like this waits for an answer", None);
        let mut calls = self.calls.borrow_mut();
        if calls.get(state).is_none_or(|asked| asked.which != *which) {
            return Err(none());
        }
        let Some(value) = responses.and_then(|mut responses| responses.remove(INPUT)) else {
            return Err(ErrorData::invalid_params(format!("`inputResponses` has no `{INPUT}`"), None));
        };
        let Some(Asked { underway, answer, expiry, .. }) = calls.remove(state) else { return Err(none()) };
        expiry.abort();
        // A server that has given up waiting says so by the end of the call.
        drop(answer.send(Ok(value)));
        Ok(underway)
    }
}

/// Whether there is a process of this number, as the host has it.
fn is_there(pid: i32) -> bool {
    std::fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}
