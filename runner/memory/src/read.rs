//! What a store is asked. Each answer is one statement, so it shows one state, whatever other runs write meanwhile.

use rusqlite::{Params, Row, params};
use serde_json::Value;

use crate::change::count;
use crate::error::Error;
use crate::limits::{PAGE_BYTES, PAGE_ITEMS};
use crate::provenance::{Provenance, Trust};
use crate::store::Store;
use crate::version::{Listed, Page, Version};
use crate::words;

/// The columns that [`Store::version`] reads.
macro_rules! versions {
    ($rest:literal) => {
        concat!(
            "SELECT item.key, version.version, version.value, version.run, version.call, version.trust, version.approval, ",
            "version.schema_sha256, version.schema_type FROM ",
            $rest
        )
    };
}

const READ: &str = versions!(
    "item JOIN version ON version.item = item.id AND version.version = item.version WHERE item.key = ?1 AND item.live"
);
const HISTORY: &str = versions!(
    "item JOIN version ON version.item = item.id WHERE item.key = ?1 AND version.version < ?2
     ORDER BY version.version DESC LIMIT ?3"
);
const SEARCH: &str = versions!(
    "search JOIN item ON item.id = search.rowid JOIN version ON version.item = item.id AND version.version = item.version
     WHERE search MATCH ?1 AND item.live ORDER BY search.rank, search.rowid LIMIT ?2 OFFSET ?3"
);
const LIST: &str = "SELECT item.key, item.version, version.trust FROM item
     JOIN version ON version.item = item.id AND version.version = item.version
     WHERE item.key > ?1 AND item.live ORDER BY item.key LIMIT ?2";

/// A row as it is in the database.
struct Raw {
    key: String,
    version: u64,
    value: Option<String>,
    run: String,
    call: String,
    trust: String,
    approval: Option<String>,
    schema_sha256: String,
    schema_type: String,
}

impl Raw {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            version: count(row, 1)?,
            value: row.get(2)?,
            run: row.get(3)?,
            call: row.get(4)?,
            trust: row.get(5)?,
            approval: row.get(6)?,
            schema_sha256: row.get(7)?,
            schema_type: row.get(8)?,
        })
    }
}

impl Store {
    /// What is kept under `key`; `None` when nothing is.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Damaged`], [`Error::Sqlite`].
    pub fn read(&self, key: &str) -> Result<Option<Version>, Error> {
        words::check_key(key)?;
        Ok(self.versions(READ, params![key], 1)?.items.pop())
    }

    /// The versions of `key`, newest first: those before `before`, or all. At most `limit`, and at most [`PAGE_ITEMS`].
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn history(&self, key: &str, before: Option<u64>, limit: usize) -> Result<Page<Version>, Error> {
        words::check_key(key)?;
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let (limit, asked) = page(limit);
        self.versions(HISTORY, params![key, before, asked], limit)
    }

    /// The values in which all words of `query` are, the best matches first, without the first `skip`. A word is a word:
    /// nothing in the query has another meaning. At most `limit`, and at most [`PAGE_ITEMS`].
    ///
    /// # Errors
    /// [`Error::Query`]; as [`Store::read`].
    pub fn search(&self, query: &str, skip: u32, limit: usize) -> Result<Page<Version>, Error> {
        let Some(query) = words::query(query)? else { return Ok(Page::empty()) };
        let (limit, asked) = page(limit);
        self.versions(SEARCH, params![query, asked, skip], limit)
    }

    /// The keys that have a value, in the order of their bytes: those behind `after`, or all. At most `limit`, and at
    /// most [`PAGE_ITEMS`].
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn list(&self, after: Option<&str>, limit: usize) -> Result<Page<Listed>, Error> {
        let (limit, asked) = page(limit);
        let mut page = Page::empty();
        let raw = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, count(row, 1)?, row.get::<_, String>(2)?));
        self.rows(LIST, params![after.unwrap_or_default(), asked], raw, |(key, version, trust)| {
            if page.items.len() == limit {
                page.more = true;
                return Ok(false);
            }
            page.items.push(Listed { key, version, trust: self.trust(&trust)? });
            Ok(true)
        })?;
        Ok(page)
    }

    fn versions(&self, sql: &str, params: impl Params, limit: usize) -> Result<Page<Version>, Error> {
        let mut page = Page::empty();
        let mut bytes = 0_usize;
        self.rows(sql, params, Raw::of, |raw| {
            let more = raw.value.as_ref().map_or(0, String::len);
            let full = !page.items.is_empty() && bytes.saturating_add(more) > PAGE_BYTES;
            if page.items.len() == limit || full {
                page.more = true;
                return Ok(false);
            }
            bytes = bytes.saturating_add(more);
            page.items.push(self.version(raw)?);
            Ok(true)
        })?;
        Ok(page)
    }

    /// Gives each row of `sql` to `take`, until that says `false`.
    fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        mut take: impl FnMut(T) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let failed = |error| Error::sqlite("read", &self.path, self.limits.wait())(error);
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query(params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if !take(read(row).map_err(failed)?)? {
                break;
            }
        }
        Ok(())
    }

    fn version(&self, raw: Raw) -> Result<Version, Error> {
        let value: Option<Value> = match raw.value {
            None => None,
            Some(text) => Some(
                serde_json::from_str(&text)
                    .map_err(|error| self.damaged(format!("a value is not JSON: {error}")))?,
            ),
        };
        let unfit = value.as_ref().and_then(|value| self.schema.unfit(value));
        let provenance = Provenance { run: raw.run, call: raw.call, trust: self.trust(&raw.trust)? };
        Ok(Version {
            key: raw.key,
            version: raw.version,
            value,
            provenance,
            approval: raw.approval,
            schema_sha256: raw.schema_sha256,
            schema_type: raw.schema_type,
            unfit,
        })
    }

    fn trust(&self, word: &str) -> Result<Trust, Error> {
        Trust::parse(word).ok_or_else(|| self.damaged("a version says nothing known of its trust".to_owned()))
    }

    fn damaged(&self, why: String) -> Error {
        Error::Damaged { path: self.path.clone(), why }
    }
}

/// How many results there may be, and how many are asked for: one more says whether there are more.
fn page(limit: usize) -> (usize, i64) {
    let limit = limit.clamp(1, PAGE_ITEMS);
    (limit, i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
}
