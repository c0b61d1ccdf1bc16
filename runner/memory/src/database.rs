//! The database of one store: how a connection is set up, and that what it opened is what this crate made.

use std::path::Path;
use std::time::Duration;

use agentrc_audit::folder::random;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, params};

use crate::error::Error;
use crate::limits::VALUE_BYTES_MAX;

/// "aRCm": what SQLite's header says that the file is for (<https://sqlite.org/fileformat2.html#application_id>).
const APPLICATION: i64 = 0x6152_436d;
/// Format of the tables below.
const FORMAT: i64 = 1;
/// `synchronous=FULL`: fsync(2) before a commit returns.
const FULL: i64 = 2;

/// All tables. `item` is what there is now, `version` what there ever was; `search` keeps no text, only the index.
const TABLES: &str = "
CREATE TABLE store (
  only INTEGER PRIMARY KEY CHECK (only = 1), id BLOB NOT NULL, agent TEXT NOT NULL, name TEXT NOT NULL,
  bytes INTEGER NOT NULL, live INTEGER NOT NULL
) STRICT;
CREATE TABLE item (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, live INTEGER NOT NULL
) STRICT;
CREATE TABLE version (
  item INTEGER NOT NULL REFERENCES item (id), version INTEGER NOT NULL, value TEXT, run TEXT NOT NULL, call TEXT NOT NULL,
  trust TEXT NOT NULL, approval TEXT, schema_sha256 TEXT NOT NULL, schema_type TEXT NOT NULL,
  PRIMARY KEY (item, version)
) STRICT;
CREATE VIRTUAL TABLE search USING fts5 (
  key, words, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
";

/// What a connection may do. SQL of ours is fixed and its values are bound, so these are far above what it needs; they
/// bound what a database that somebody prepared can make SQLite do (<https://sqlite.org/security.html>).
const LIMITS: &[(Limit, i32)] = &[
    // The longest value, and as much again for the row around it.
    (Limit::SQLITE_LIMIT_LENGTH, 2 * VALUE_BYTES_MAX as i32),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 8192),
    (Limit::SQLITE_LIMIT_COLUMN, 32),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 32),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 4),
    (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 8),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 64),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 16),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Switches. No schema of the file's is trusted, none of its triggers or views runs, SQL cannot damage the file.
const SWITCHES: &[(DbConfig, bool)] = &[
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
];

/// Whose memory it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) agent: &'a str,
    pub(crate) name: &'a str,
}

/// Makes the database of `owner` in the empty file at `path`.
pub(crate) fn create(path: &Path, wait: Duration, owner: Owner<'_>) -> Result<(), Error> {
    let failed = |error| Error::sqlite("create", path, wait)(error);
    let mut connection = connect(path, wait)?;
    let id = random::<16>()?;
    let make = |connection: &mut Connection| {
        let transaction = connection.transaction()?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.execute_batch(TABLES)?;
        transaction.execute(
            "INSERT INTO store (only, id, agent, name, bytes, live) VALUES (1, ?1, ?2, ?3, 0, 0)",
            params![id, owner.agent, owner.name],
        )?;
        transaction.commit()
    };
    to_wal(&connection, path, wait)?;
    make(&mut connection).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))
}

/// Opens the database at `path`, and its id. Anything that [`create`] did not make is refused.
pub(crate) fn open(path: &Path, wait: Duration, owner: Owner<'_>) -> Result<(Connection, [u8; 16]), Error> {
    let failed = |error| Error::sqlite("open", path, wait)(error);
    let connection = connect(path, wait)?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    if number("application_id")? != APPLICATION {
        let why = "it is a database of something else, or empty".to_owned();
        return Err(Error::Foreign { path: path.to_owned(), why });
    }
    match number("user_version")? {
        FORMAT => {}
        found => return Err(Error::Format { path: path.to_owned(), found, known: FORMAT }),
    }
    let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
    to_wal(&connection, path, wait)?;
    if tables(&connection).map_err(failed)? != expected().map_err(failed)? {
        return Err(damaged("its tables are not those that agentrc makes".to_owned()));
    }
    let verdict: String =
        connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(failed)?;
    if verdict != "ok" {
        return Err(damaged(agentrc_audit::text::printable_text(&crate::error::short(&verdict))));
    }
    let row = connection
        .query_row("SELECT id, agent, name FROM store WHERE only = 1", [], |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })
        .map_err(failed)?;
    let (id, agent, name) = row;
    if (agent.as_str(), name.as_str()) != (owner.agent, owner.name) {
        let shown = agentrc_audit::text::printable_text(&crate::error::short(&format!("{agent}/{name}")));
        return Err(Error::Foreign { path: path.to_owned(), why: format!("it is the memory `{shown}`") });
    }
    Ok((connection, id))
}

/// A connection with all its limits and switches, before it has read anything.
fn connect(path: &Path, wait: Duration) -> Result<Connection, Error> {
    let set_up = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let connection = Connection::open_with_flags(path, flags)?;
        for (limit, value) in LIMITS {
            connection.set_limit(*limit, *value)?;
        }
        for (switch, on) in SWITCHES {
            connection.set_db_config(*switch, *on)?;
        }
        connection.busy_timeout(wait)?;
        // A mapped file that is cut short while it is read ends the process (SIGBUS).
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "synchronous", FULL)?;
        Ok(connection)
    };
    set_up().map_err(Error::sqlite("open", path, wait))
}

/// Whether the database is in WAL mode, and a commit is on the disk when it returns.
fn to_wal(connection: &Connection, path: &Path, wait: Duration) -> Result<(), Error> {
    let ask = || {
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        let sync: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        Ok((mode, sync))
    };
    let (mode, sync) = ask().map_err(Error::sqlite("open", path, wait))?;
    if (mode.as_str(), sync) == ("wal", FULL) {
        return Ok(());
    }
    let why = format!("SQLite keeps it in mode `{mode}`, synchronous {sync}, where a write could be lost");
    Err(Error::Damaged { path: path.to_owned(), why })
}

type Tables = Vec<(String, String, Option<String>)>;

/// What the file says its tables are.
fn tables(connection: &Connection) -> rusqlite::Result<Tables> {
    let mut statement =
        connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// What they must be.
fn expected() -> rusqlite::Result<Tables> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(TABLES)?;
    tables(&connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'static> = Owner { agent: "a", name: "n" };

    #[test]
    fn a_connection_has_its_switches_and_limits_and_can_do_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = std::fs::canonicalize(dir.path()).unwrap().join("memory.db");
        std::fs::write(&path, "").unwrap();
        create(&path, Duration::ZERO, OWNER).unwrap();
        let (connection, _) = open(&path, Duration::ZERO, OWNER).unwrap();
        for (switch, on) in SWITCHES {
            assert_eq!(connection.db_config(*switch).unwrap(), *on, "{switch:?}");
        }
        for (limit, value) in LIMITS {
            assert_eq!(connection.limit(*limit).unwrap(), *value, "{limit:?}");
        }
        for (pragma, value) in
            [("mmap_size", 0), ("cell_size_check", 1), ("temp_store", 2), ("synchronous", FULL)]
        {
            let now: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
            assert_eq!(now, value, "{pragma}");
        }
        for sql in [
            "ATTACH ':memory:' AS other",
            "SELECT load_extension('x')",
            "UPDATE sqlite_schema SET sql = ''",
            "PRAGMA writable_schema = 1; DELETE FROM sqlite_schema",
            "DELETE FROM search_data",
            "SELECT \"text\"",
        ] {
            assert!(connection.execute_batch(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_database_behind_a_symbolic_link_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let folder = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::write(folder.join("memory.db"), "").unwrap();
        create(&folder.join("memory.db"), Duration::ZERO, OWNER).unwrap();
        std::os::unix::fs::symlink("memory.db", folder.join("link")).unwrap();
        assert!(open(&folder.join("link"), Duration::ZERO, OWNER).is_err());
    }
}
