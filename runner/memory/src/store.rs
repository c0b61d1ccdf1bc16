//! A store, and how it changes: in one transaction each, which is durable when the call returns.

use std::path::{Path, PathBuf};

use agentrc_audit::folder::Folder;
use agentrc_audit::text::printable_text;
use rusqlite::{Connection, TransactionBehavior};
use serde_json::Value;

use crate::change::{Addition, current};
use crate::database::{self, Owner};
use crate::effect::{Change, Confirmation, Effect};
use crate::error::Error;
use crate::limits::{Limits, Mode, VALUE_BYTES_MAX, VALUE_DEPTH};
use crate::place::Home;
use crate::provenance::Provenance;
use crate::schema::Schema;
use crate::words;

/// Which store a line declares.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    /// The agent.
    pub agent: &'a str,
    /// The memory.
    pub memory: &'a str,
    /// Whether this run may write.
    pub mode: Mode,
}

/// An open store. Several, in as many processes, may be open on one memory.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    pub(crate) schema: Schema,
    pub(crate) limits: Limits,
    pub(crate) path: PathBuf,
    id: [u8; 16],
    agent: String,
    memory: String,
    mode: Mode,
}

impl Store {
    /// Opens the store `name` in the state directory, and makes it when it was never there.
    ///
    /// # Errors
    /// A folder or file is not this user's alone ([`Error::Kept`]); the database is damaged, something else, or of another
    /// version; another process held it too long ([`Error::Busy`]). Nothing that is there is ever replaced.
    pub fn open(state: &Folder, name: Name<'_>, schema: Schema, limits: Limits) -> Result<Self, Error> {
        let limits = limits.check()?;
        let wait = limits.wait();
        let home = Home::open(state, name.agent, name.memory)?;
        let owner = Owner { agent: name.agent, name: name.memory };
        if !home.has_database()? {
            home.create(wait, |draft| database::create(draft, wait, owner))?;
        }
        let path = home.database().to_owned();
        let (connection, id) = database::open(&path, wait, owner)?;
        if name.mode == Mode::ReadOnly {
            let set = connection.pragma_update(None, "query_only", true);
            set.map_err(Error::sqlite("open", &path, wait))?;
        }
        let (agent, memory) = (name.agent.to_owned(), name.memory.to_owned());
        Ok(Self { connection, schema, limits, path, id, agent, memory, mode: name.mode })
    }

    /// Path of the database, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps `value` under `key`, and says which version that is. It is on the disk when this returns.
    ///
    /// # Errors
    /// The run may not write; the key, the value or the room for it; [`Error::NeedsConfirmation`] for content that is not
    /// trusted; a confirmation of something else. Nothing was changed then.
    pub fn write(
        &mut self,
        key: &str,
        value: &Value,
        provenance: &Provenance,
        confirmation: Option<Confirmation>,
    ) -> Result<u64, Error> {
        if !words::is_shallow(value) {
            return Err(Error::Value(format!("it is nested deeper than {VALUE_DEPTH}")));
        }
        let text = value.to_string();
        let most = self.limits.value_bytes.min(VALUE_BYTES_MAX);
        if text.len() as u64 > most {
            return Err(Error::Value(format!("{} bytes, of at most {most}", text.len())));
        }
        if let Some(why) = self.schema.unfit(value) {
            return Err(Error::Unfit(why));
        }
        let indexed = words::of(value);
        self.change(key, Change::Write(text), &indexed, provenance, confirmation)
    }

    /// Deletes the value of `key`: the next version says that there is none. The old ones stay.
    ///
    /// # Errors
    /// As [`Store::write`]; [`Error::Absent`].
    pub fn delete(
        &mut self,
        key: &str,
        provenance: &Provenance,
        confirmation: Option<Confirmation>,
    ) -> Result<u64, Error> {
        self.change(key, Change::Delete, "", provenance, confirmation)
    }

    fn change(
        &mut self,
        key: &str,
        change: Change,
        indexed: &str,
        provenance: &Provenance,
        confirmation: Option<Confirmation>,
    ) -> Result<u64, Error> {
        if self.mode == Mode::ReadOnly {
            return Err(Error::ReadOnly(self.memory.clone()));
        }
        words::check_key(key)?;
        provenance.check()?;
        let path = self.path.clone();
        let wait = self.limits.wait();
        let failed = |error| Error::sqlite("change", &path, wait)(error);
        // The lock is taken before anything is read: what is decided on is what is changed.
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let current = current(&transaction, key).map_err(failed)?;
        if change == Change::Delete && !current.as_ref().is_some_and(|current| current.live) {
            return Err(Error::Absent(printable_text(key)));
        }
        let effect = Effect {
            store: self.id,
            agent: self.agent.clone(),
            memory: self.memory.clone(),
            key: key.to_owned(),
            old: current.as_ref().map(|current| current.version),
            change,
            trust: provenance.trust,
        };
        let addition = Addition { effect: &effect, current, provenance, schema: &self.schema };
        // Before anybody is asked for a confirmation that would be of no use.
        if let Some(what) = addition.take_room(&transaction, self.limits).map_err(failed)? {
            return Err(Error::Full { memory: self.memory.clone(), what });
        }
        let approval = match confirmation {
            Some(confirmation) => Some(confirmation.allows(&effect)?),
            None if provenance.trust.needs_confirmation() => {
                return Err(Error::NeedsConfirmation(Box::new(effect)));
            }
            None => None,
        };
        let version = addition.insert(&transaction, indexed, approval.as_deref()).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(version)
    }
}
