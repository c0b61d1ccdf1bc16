//! What has to follow a call however it ends, also when nobody waits for it any more: its program is killed, and its end is on record.

use std::cell::Cell;
use std::time::Instant;

use agentrc_audit::line::Digest;
use agentrc_audit::text::printable_text;
use serde::Serialize;

use crate::outcome::Outcome;
use crate::report::{Done, Report};
use crate::reporter::Reporter;

/// Has the program killed when the call is not waited for to its end.
pub(crate) struct Killer<'a> {
    pub(crate) reporter: &'a Reporter,
    /// The call's number.
    pub(crate) id: u64,
    /// Whether there may be something to kill.
    pub(crate) armed: bool,
}

impl Drop for Killer<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.reporter.tell(&Report::Kill { id: self.id });
        }
    }
}

/// Says how a call ended, once.
pub(crate) struct Ending<'a> {
    reporter: &'a Reporter,
    id: u64,
    act: String,
    started: Instant,
    told: Cell<bool>,
}

impl<'a> Ending<'a> {
    /// Of a call that begins now.
    pub(crate) fn new(reporter: &'a Reporter, id: u64, act: String) -> Self {
        Self { reporter, id, act, started: Instant::now(), told: Cell::new(false) }
    }

    /// It came to this.
    pub(crate) fn tell(&self, outcome: &Outcome) {
        let (word, reason) = match outcome {
            Outcome::Value(_) | Outcome::Text(_) | Outcome::Content(..) => ("ok", ""),
            Outcome::Error(reason) => ("error", reason.as_str()),
            Outcome::Refused(reason) => ("refused", reason.as_str()),
        };
        // What has no bytes was not given either.
        self.say(word, reason, &outcome.bytes().unwrap_or_default());
    }

    /// It came to this, which is handed on.
    pub(crate) fn of<T: Serialize>(&self, given: Result<T, String>) -> Result<T, String> {
        let given = given.and_then(|given| {
            let value = serde_json::to_value(&given).map_err(|error| error.to_string())?;
            Ok((given, value))
        });
        match given {
            Ok((given, value)) => {
                self.tell(&Outcome::Value(value));
                Ok(given)
            }
            Err(why) => {
                self.tell(&Outcome::Error(why.clone()));
                Err(why)
            }
        }
    }

    fn say(&self, outcome: &str, reason: &str, result: &[u8]) {
        self.told.set(true);
        self.reporter.done(
            self.id,
            Done {
                act: self.act.clone(),
                outcome: outcome.to_owned(),
                reason: printable_text(reason),
                bytes: result.len() as u64,
                sha256: Digest::of(result).to_string(),
                wall_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            },
        );
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.told.get() {
            self.say("cancelled", "nobody waited for it any more", &[]);
        }
    }
}
