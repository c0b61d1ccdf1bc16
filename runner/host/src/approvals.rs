//! Tickets: what a run asks a person about, and what was decided. One folder in the run's, `approvals/`:
//!
//! ```text
//! ID.json          the ticket, written once by the run's supervisor
//! ID.decision      what was decided, written once by whoever is first: a person's command, or the supervisor (expired, ended)
//! ```
//!
//! A file appears whole or not at all, and is never replaced, so that there is one decision however many are made at a time. Both are
//! read as everything of the state directory is: this user's alone, through no link.

mod find;
mod ticket;

pub use find::{Found, Standing};
pub use ticket::{Decision, Outcome, Policy, Scope, Ticket};

use std::path::Path;

use agentrc_audit::folder::{Durable, Folder, random};
use agentrc_audit::line::Digest;

use crate::error::Error;
use crate::tree;

/// Name of the folder in a run's.
const FOLDER: &str = "approvals";
/// Version of both formats.
pub const FORMAT: u32 = 1;
/// Longest file: all arguments of a call, escaped, and what is around them.
const LIMIT: u64 = 2 << 20;
/// Digits of a ticket's name: no letter that looks like another (Crockford's base 32).
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Length of a name: 40 random bits.
const LENGTH: usize = 8;

/// Whether `text` has the form of a ticket's name: `3k9mz0ta`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| DIGITS.contains(&byte))
}

/// The time when `wait` will be over, as tickets have it: a second more than is waited may be lost, none is won.
#[must_use]
pub fn time_after(wait: std::time::Duration) -> String {
    let at = jiff::Timestamp::now().checked_add(wait).unwrap_or(jiff::Timestamp::MIN);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The tickets of one run.
#[derive(Debug)]
pub struct Tickets {
    folder: Folder,
}

impl Tickets {
    /// Those of the run in `run`; their folder is made when it is not there.
    ///
    /// # Errors
    /// The folder cannot be made, or is not this user's alone.
    pub fn make(run: &Folder) -> Result<Self, Error> {
        Ok(Self { folder: run.private_folder(Path::new(FOLDER))? })
    }

    /// Those of the run in `run`, if it ever asked.
    ///
    /// # Errors
    /// The folder is not this user's alone.
    pub fn find(run: &Folder) -> Result<Option<Self>, Error> {
        match rustix::fs::statat(run, FOLDER, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io("look at", &run.path_of(FOLDER))(errno)),
            Ok(_) => {
                let folder = run.folder(Path::new(FOLDER))?;
                folder.check_private()?;
                Ok(Some(Self { folder }))
            }
        }
    }

    /// A name that no ticket of this run has.
    ///
    /// # Errors
    /// getrandom(2); looking for a ticket of that name.
    pub fn free_id(&self) -> Result<String, Error> {
        loop {
            let bits = random::<5>()?.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
            let digit = |at: usize| {
                let index = usize::try_from((bits >> (5 * at)) & 31).unwrap_or_default();
                DIGITS.get(index).copied().map_or('0', char::from)
            };
            let id: String = (0..LENGTH).map(digit).collect();
            if !self.folder.check_file(&ticket_file(&id))? {
                return Ok(id);
            }
        }
    }

    /// Writes a ticket.
    ///
    /// # Errors
    /// Any system call; there is one of its name.
    pub fn create(&self, ticket: &Ticket) -> Result<(), Error> {
        let name = ticket_file(&ticket.id);
        if self.once(&name, ticket)? { Ok(()) } else { Err(self.damaged(&name, "it was there before")) }
    }

    /// Decides a ticket, unless it was decided before: `false`.
    ///
    /// # Errors
    /// Any system call.
    pub fn decide(&self, decision: &Decision) -> Result<bool, Error> {
        self.once(&decision_file(&decision.ticket), decision)
    }

    /// A ticket; `None` when there is none of this name.
    ///
    /// # Errors
    /// It is damaged, or not this user's alone.
    pub fn ticket(&self, id: &str) -> Result<Option<Ticket>, Error> {
        if !is_id(id) {
            return Ok(None);
        }
        let name = ticket_file(id);
        let Some(ticket) = self.read::<Ticket>(&name)? else { return Ok(None) };
        if ticket.format != FORMAT || ticket.id != id {
            return Err(self.damaged(&name, "it is another ticket's, or of another version"));
        }
        if Digest::of(ticket.arguments.as_bytes()).to_string() != ticket.arguments_sha256 {
            return Err(self.damaged(&name, "its arguments are not those of its digest"));
        }
        Ok(Some(ticket))
    }

    /// What was decided about the ticket with these arguments; `None` when nothing is yet.
    ///
    /// # Errors
    /// It is damaged, about something else, or not this user's alone: then it approves nothing.
    pub fn decision(&self, id: &str, arguments_sha256: &str) -> Result<Option<Decision>, Error> {
        if !is_id(id) {
            return Ok(None);
        }
        let name = decision_file(id);
        let Some(decision) = self.read::<Decision>(&name)? else { return Ok(None) };
        if decision.format != FORMAT || decision.ticket != id {
            return Err(self.damaged(&name, "it is another ticket's, or of another version"));
        }
        if decision.arguments_sha256 != arguments_sha256 {
            return Err(self.damaged(&name, "it was decided about other arguments"));
        }
        Ok(Some(decision))
    }

    /// The names of all tickets, in no particular order.
    ///
    /// # Errors
    /// Listing the folder.
    pub fn ids(&self) -> Result<Vec<String>, Error> {
        let names = tree::entries(&self.folder)?.into_iter();
        Ok(names
            .filter_map(|(name, _)| Some(name.to_str()?.strip_suffix(".json")?.to_owned()))
            .filter(|id| is_id(id))
            .collect())
    }

    fn once(&self, name: &str, value: &impl serde::Serialize) -> Result<bool, Error> {
        let mut bytes =
            serde_json::to_vec_pretty(value).map_err(|error| self.damaged(name, &error.to_string()))?;
        bytes.push(b'\n');
        // The run does not survive the machine's death, and its tickets need not either.
        Ok(self.folder.create_once(name, &bytes, Durable::No)?)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(bytes) = self.folder.read(name, LIMIT)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.damaged(name, &error.to_string()))
    }

    fn damaged(&self, name: &str, why: &str) -> Error {
        Error::Ticket { path: self.folder.path_of(name), why: why.to_owned() }
    }
}

fn ticket_file(id: &str) -> String {
    format!("{id}.json")
}

fn decision_file(id: &str) -> String {
    format!("{id}.decision")
}

#[cfg(test)]
mod tests;
