//! The statements of one change, inside its transaction.

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::effect::{Change, Effect};
use crate::limits::{Limits, VERSION_BYTES};
use crate::provenance::Provenance;
use crate::schema::Schema;

/// What there is under a key.
pub(crate) struct Current {
    item: i64,
    pub(crate) version: u64,
    pub(crate) live: bool,
}

/// What is under `key`; `None` when it was never used.
pub(crate) fn current(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<Option<Current>> {
    transaction
        .query_row("SELECT id, version, live FROM item WHERE key = ?1", [key], |row| {
            Ok(Current { item: row.get(0)?, version: count(row, 1)?, live: row.get(2)? })
        })
        .optional()
}

/// A column that counts something.
pub(crate) fn count(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// A version that is about to be added.
pub(crate) struct Addition<'a> {
    pub(crate) effect: &'a Effect,
    pub(crate) current: Option<Current>,
    pub(crate) provenance: &'a Provenance,
    pub(crate) schema: &'a Schema,
}

impl Addition<'_> {
    fn value(&self) -> Option<&str> {
        match &self.effect.change {
            Change::Write(value) => Some(value),
            Change::Delete => None,
        }
    }

    /// Counts this version in; when it does not fit, which bound it passes.
    pub(crate) fn take_room(
        &self,
        transaction: &Transaction<'_>,
        limits: Limits,
    ) -> rusqlite::Result<Option<String>> {
        let (bytes, live) = transaction
            .query_row("SELECT bytes, live FROM store", [], |row| Ok((count(row, 0)?, count(row, 1)?)))?;
        let texts = [
            self.effect.key.as_str(),
            self.value().unwrap_or_default(),
            &self.provenance.run,
            &self.provenance.call,
        ];
        let more = texts.iter().fold(VERSION_BYTES, |sum, text| sum.saturating_add(text.len() as u64));
        let bytes = bytes.saturating_add(more);
        if bytes > limits.total_bytes {
            return Ok(Some(format!("{} bytes, old versions included", limits.total_bytes)));
        }
        let was = u64::from(self.current.as_ref().is_some_and(|current| current.live));
        let is = u64::from(self.value().is_some());
        let live = live.saturating_add(is).saturating_sub(was);
        if is > was && live > limits.values {
            return Ok(Some(format!("{} values", limits.values)));
        }
        transaction
            .execute("UPDATE store SET bytes = ?1, live = ?2", params![signed(bytes), signed(live)])?;
        Ok(None)
    }

    /// Adds the version, and puts `words` in the place of what was searched before.
    pub(crate) fn insert(
        &self,
        transaction: &Transaction<'_>,
        words: &str,
        approval: Option<&str>,
    ) -> rusqlite::Result<u64> {
        let key = &self.effect.key;
        let live = self.value().is_some();
        let version = self.current.as_ref().map_or(1, |current| current.version.saturating_add(1));
        let item = match &self.current {
            Some(current) => {
                transaction.execute(
                    "UPDATE item SET version = ?1, live = ?2 WHERE id = ?3",
                    params![signed(version), live, current.item],
                )?;
                if current.live {
                    transaction.execute("DELETE FROM search WHERE rowid = ?1", [current.item])?;
                }
                current.item
            }
            None => {
                transaction.execute(
                    "INSERT INTO item (key, version, live) VALUES (?1, ?2, ?3)",
                    params![key, signed(version), live],
                )?;
                transaction.last_insert_rowid()
            }
        };
        let Provenance { run, call, trust } = self.provenance;
        let schema = self.schema;
        transaction.execute(
            "INSERT INTO version (item, version, value, run, call, trust, approval, schema_sha256, schema_type)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                item,
                signed(version),
                self.value(),
                run,
                call,
                trust.word(),
                approval,
                schema.sha256(),
                schema.kind()
            ],
        )?;
        if live {
            transaction.execute(
                "INSERT INTO search (rowid, key, words) VALUES (?1, ?2, ?3)",
                params![item, key, words],
            )?;
        }
        Ok(version)
    }
}

/// As SQLite keeps integers. What is counted here never comes near the bound.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
