//! The tables of the database, how they came to be, and how a connection is set up.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::HistoryError;

/// What brings the tables from each version to the next, oldest first. Databases are out there, so
/// one that was released never changes: a change of the tables is one more.
const MIGRATIONS: [&str; 2] = [VERSION_1, VERSION_2];

/// The version of the tables that this program writes, which the database keeps as `user_version`.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Tells our databases from those of other programs: `cbhy`, which the database keeps as
/// `application_id`.
const APPLICATION_ID: i64 = 0x6362_6879;

/// How long a statement waits for another process that writes. Ours write for milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Between two attempts at what SQLite does not wait for by itself.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// An id is never given again, so that a script does not show or pin another entry than it meant.
///
/// The result is the last column: whoever reads the others alone does not read its pages. Metrics are
/// in the result too; their table is what makes them quick to find.
const VERSION_1: &str = "
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        scenario TEXT NOT NULL,
        protocol TEXT NOT NULL,
        run_id TEXT NOT NULL,
        recorded_unix_ms INTEGER NOT NULL,
        expires_unix_ms INTEGER,
        pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)),
        commit_id TEXT,
        fingerprint TEXT NOT NULL,
        outcome TEXT NOT NULL,
        disturbed INTEGER NOT NULL CHECK (disturbed IN (0, 1)),
        result_schema INTEGER NOT NULL,
        result TEXT NOT NULL,
        CHECK (pinned = 0 OR expires_unix_ms IS NULL)
    ) STRICT;
    CREATE INDEX entries_by_time ON entries (recorded_unix_ms);
    CREATE INDEX entries_by_expiry ON entries (expires_unix_ms) WHERE expires_unix_ms IS NOT NULL;
    CREATE TABLE metrics (
        entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value REAL NOT NULL,
        lower REAL,
        upper REAL,
        unit TEXT NOT NULL,
        PRIMARY KEY (entry, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX metrics_by_name ON metrics (name, entry);
";

/// Trials of the tuner. What is found again of them is what was set and what came of it, so that is text.
const VERSION_2: &str = "
    CREATE TABLE trials (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        protocol TEXT NOT NULL,
        scenario TEXT NOT NULL,
        digest TEXT NOT NULL,
        goal TEXT NOT NULL,
        settings TEXT NOT NULL,
        virtual INTEGER NOT NULL CHECK (virtual IN (0, 1)),
        sample TEXT,
        failure TEXT,
        fingerprint TEXT NOT NULL,
        recorded_unix_ms INTEGER NOT NULL,
        expires_unix_ms INTEGER NOT NULL,
        CHECK (sample IS NULL OR failure IS NULL)
    ) STRICT;
    CREATE INDEX trials_by_conditions ON trials (protocol, digest);
    CREATE INDEX trials_by_expiry ON trials (expires_unix_ms);
";

/// Opens a database and brings it up to [`VERSION`]. With `create`, one that is not there is made.
pub(super) fn connect(path: &Path, create: bool) -> Result<Connection, HistoryError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let failed = |source| HistoryError::of(path, source);
    // SQLite takes a single byte for an empty file, because on one system it writes such a byte itself.
    if path.metadata().is_ok_and(|file| file.is_file() && file.len() == 1) {
        return Err(HistoryError::NotADatabase { path: path.into() });
    }
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    // Nothing is written before it is known whose file this is.
    check_whose(&mut connection, path)?;
    set_up(&connection).map_err(failed)?;
    migrate(&mut connection, &MIGRATIONS).map_err(failed)?;
    Ok(connection)
}

/// Refuses a database of another program or of a later version.
fn check_whose(connection: &mut Connection, path: &Path) -> Result<(), HistoryError> {
    let (application, version, objects) =
        identity(connection).map_err(|source| HistoryError::of(path, source))?;
    let is_new = application == 0 && version == 0 && objects == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(HistoryError::NotAHistory { path: path.into() });
    }
    if version > VERSION {
        return Err(HistoryError::LaterVersion { path: path.into(), found: version });
    }
    Ok(())
}

/// Application, version and number of tables and indices, all of one moment: another process may be
/// making the database right now.
fn identity(connection: &mut Connection) -> rusqlite::Result<(i64, i64, i64)> {
    let snapshot = connection.transaction()?;
    let number = |sql: &str| snapshot.query_row(sql, [], |row| row.get(0));
    Ok((
        number("PRAGMA application_id")?,
        number("PRAGMA user_version")?,
        number("SELECT count(*) FROM sqlite_schema")?,
    ))
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    use_write_ahead_log(connection)?;
    // A commit is in the kernel's hands before it returns, so an entry survives `kill -9` of this
    // process with NORMAL as well. Without power the kernel's pages are gone: NORMAL would then lose
    // the last entries (and keep the database whole), FULL syncs the log at every commit and loses
    // none. An entry per scenario, which takes seconds, is not worth saving that sync.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Readers and the writer don't wait for each other then. A file system without shared memory keeps
/// the rollback journal, which is as safe.
///
/// The mode is changed by a read transaction that becomes a write transaction, and SQLite does not
/// wait with those, lest two of them wait for each other: when two processes make the database at
/// once, one of them is told so and has to try again.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let started = Instant::now();
    loop {
        let outcome = connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
        let is_busy = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
        match outcome {
            Err(error) if is_busy(&error) && started.elapsed() < PATIENCE => std::thread::sleep(RETRY_AFTER),
            outcome => return outcome,
        }
    }
}

/// Applies what is missing, each migration in a transaction of its own: a process that is killed
/// leaves the version before or after it.
fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let version_of =
        |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    for (version, migration) in (1i64..).zip(migrations) {
        // A database that is up to date is not locked for writing.
        if version_of(connection)? >= version {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been faster to get the lock.
        if version_of(&transaction)? < version {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A migration that a later version might have.
    const NEXT: &str = "ALTER TABLE entries ADD COLUMN note TEXT NOT NULL DEFAULT 'none'";

    fn with_an_entry(path: &Path) -> Connection {
        let connection = connect(path, true).unwrap();
        connection
            .execute_batch(
                "INSERT INTO entries VALUES (7, 'default', 'k', 's', 'p', 'r', 0, NULL, 1, NULL, 'f',
                     'completed', 0, 1, '{}');
                 INSERT INTO metrics VALUES (7, 'm', 1.5, NULL, NULL, 'ns')",
            )
            .unwrap();
        connection
    }

    fn text_of(connection: &Connection, sql: &str) -> rusqlite::Result<String> {
        connection.query_row(sql, [], |row| row.get(0))
    }

    #[test]
    fn a_database_is_set_up_as_the_comments_say() {
        let folder = tempfile::tempdir().unwrap();
        let connection = connect(&folder.path().join("h.sqlite"), true).unwrap();
        assert_eq!(text_of(&connection, "PRAGMA journal_mode").unwrap(), "wal");
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((number("PRAGMA synchronous"), number("PRAGMA foreign_keys")), (2, 1));
        assert_eq!(number("PRAGMA busy_timeout"), PATIENCE.as_millis() as i64);
        assert_eq!(
            (number("PRAGMA user_version"), number("PRAGMA application_id")),
            (VERSION, APPLICATION_ID)
        );
        let orphan = "INSERT INTO metrics VALUES (99, 'm', 1, NULL, NULL, 'ns')";
        assert!(connection.execute_batch(orphan).is_err());
    }

    #[test]
    fn a_database_is_brought_up_with_its_entries() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = with_an_entry(&folder.path().join("h.sqlite"));
        for _ in 0..2 {
            migrate(&mut connection, &[VERSION_1, VERSION_2, NEXT]).unwrap();
            assert_eq!(identity(&mut connection).unwrap().1, VERSION + 1);
        }
        let entry = "SELECT key || note || (SELECT value FROM metrics WHERE entry = id) FROM entries";
        assert_eq!(text_of(&connection, entry).unwrap(), "knone1.5");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = with_an_entry(&folder.path().join("h.sqlite"));
        let half = format!("{NEXT}; INSERT INTO nowhere VALUES (1)");
        assert!(migrate(&mut connection, &[VERSION_1, VERSION_2, &half]).is_err());
        assert_eq!(identity(&mut connection).unwrap().1, VERSION);
        assert!(text_of(&connection, "SELECT note FROM entries").is_err());
        assert_eq!(text_of(&connection, "SELECT key FROM entries").unwrap(), "k");
    }

    #[test]
    fn a_later_version_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h.sqlite");
        let connection = with_an_entry(&path);
        connection.pragma_update(None, "user_version", VERSION + 4).unwrap();
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let error = connect(&path, true).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!(
                "h.sqlite: written by a later version (history {}, this one reads up to {VERSION}): \
                 update consensus-bench",
                VERSION + 4
            )),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
