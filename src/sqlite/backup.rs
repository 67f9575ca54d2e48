//! Copying a database into one compact file, which is verified before it gets its name.
//!
//! VACUUM INTO reads one snapshot while writers continue. The copy is written under a temporary name in the target's
//! folder, marked as a backup, verified, synced, and only then gets the name of the target; if anything fails, the draft
//! is removed.
//!
//! The mark is a special `application_id`. A backup is complete without a write-ahead log. If a log lies beside it, the
//! backup has replaced a file that crashed, and SQLite would apply that file's log to the backup: opening fails.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::connection::{self, OpenMode, pragma};
use super::diagnosis::Diagnosis;
use super::file::draft::Draft;
use super::file::{companions, path, stat};
use super::progress::Callback;
use super::read_connection::OpenedReader;
use super::schema::{BACKUP_ID, Schema};
use super::{budget, progress, snapshot, verification};
use crate::error::Error;
use crate::sqlite::failure::{Failure, cause};

/// Copies the database of `source` to the file `target`, which must not exist. `callback` returns the callback for each
/// part of the work.
pub(crate) fn write(mut source: OpenedReader, target: &Path, callback: impl Fn() -> Callback) -> Result<(), Failure> {
    let target = path::find_vacant(target)?;
    let draft = Draft::new(&target)?;
    let size = size(&source.connection)?;
    let copied = copy(&mut source.connection, source.file.as_deref(), &draft, size, callback());
    source.check_current()?;
    copied?;
    // A copy of a database in memory is not needed any more.
    drop(source);
    let made = draft.path().to_owned();
    finish(draft, &target, |copy, damage_is_known| {
        let verify = |copy: &Connection| verification::verify(copy, damage_is_known, &AtomicU64::new(0));
        let (unbounded, done) = (|| u64::MAX, move || size);
        let verification = progress::reported(copy, Some(&made), callback(), size, unbounded, done, verify)?;
        match verification.findings.into_iter().next() {
            Some(finding) => Err(verification::damage(finding).into()),
            None => Ok(()),
        }
    })
}

/// Copies a file of an older version before it is upgraded, to `<file>.v<version>.backup` or, if that name is taken,
/// with a number appended. Returns the path of the copy. The caller holds the write lock, so no other process does the
/// same.
pub(super) fn before_upgrade(
    mut source: Connection,
    file: &Path,
    version: i64,
    schema: &Schema,
) -> Result<PathBuf, Failure> {
    let name = |number| match number {
        1 => companions::beside(file, &format!(".v{version}.backup")),
        number => companions::beside(file, &format!(".v{version}.backup.{number}")),
    };
    let mut target = name(1);
    for number in 2..=1_000 {
        if !path::is_taken(&target)? {
            break;
        }
        // Otherwise the copy that this draft became could not be opened.
        Draft::remove_leftover(&target);
        target = name(number);
    }
    let target = path::find_vacant(&target)?;
    let draft = Draft::replacing(&target)?;
    let size = size(&source)?;
    copy(&mut source, Some(file), &draft, size, progress::ignored())?;
    finish(draft, &target, |copy, damage_is_known| {
        schema.check(copy, version)?;
        let findings = snapshot::read(copy, damage_is_known, verification::integrity)?;
        match findings.into_iter().next() {
            Some(finding) => Err(verification::damage(finding).into()),
            None => Ok(()),
        }
    })?;
    Ok(target)
}

/// Copies the database, which has `total` bytes before the copy has its snapshot.
fn copy(
    source: &mut Connection,
    file: Option<&Path>,
    draft: &Draft,
    total: u64,
    callback: Callback,
) -> Result<(), Failure> {
    let path = draft.path().to_owned();
    let copied = move || stat::length(&path).unwrap_or(0);
    let max = length_max(file.map(Path::to_owned), total);
    let done = progress::reported(source, file, callback, total, max, copied, |source| {
        connection::with_attach(source, || {
            // Bound as bytes, since a path need not be UTF-8.
            let target = ToSqlOutput::Borrowed(ValueRef::Text(draft.path().as_os_str().as_encoded_bytes()));
            source.execute("VACUUM INTO ?1", [target]).map(drop).map_err(vacuum_failed)
        })
    });
    // SQLite also reads the copy, which may be on another disk than its source.
    done.map_err(|failure| Diagnosis::default().decide_copy(draft.path(), failure))
}

/// The maximum length of a copy. It is compact, so one that grows far beyond its source can only come from a malformed
/// file. The file may grow until the copy has its snapshot, so its present length counts.
fn length_max(file: Option<PathBuf>, length_in_memory: u64) -> impl Fn() -> u64 {
    move || {
        let Some(file) = file.as_deref() else { return length_in_memory.saturating_mul(2) };
        budget::length_with_log(file).map_or(u64::MAX, |length| length.saturating_mul(2))
    }
}

/// If SQLite cannot read the length of the draft, it reports that the file already exists. That is not damage.
fn vacuum_failed(error: rusqlite::Error) -> Failure {
    match &error {
        rusqlite::Error::SqliteFailure(_, Some(text)) if text == "output file already exists" => {
            Error::Storage { source: cause(error) }.into()
        }
        _ => error.into(),
    }
}

/// The size of the database in bytes.
pub(super) fn size(connection: &Connection) -> Result<u64, Failure> {
    Ok((pragma(connection, "page_count")? * pragma(connection, "page_size")?).cast_unsigned())
}

/// Marks, checks and publishes the draft. `check` is given whether the copy is known to be damaged.
fn finish(
    draft: Draft,
    target: &Path,
    check: impl Fn(&mut Connection, bool) -> Result<(), Failure>,
) -> Result<(), Failure> {
    Diagnosis::default().decide(draft.path(), |damage_is_known| {
        let mut copy = connection::connect(draft.path(), OpenMode::ReadWrite, std::time::Duration::ZERO)?;
        // Nothing of the draft has to survive a crash before it is published, which syncs it.
        connection::set_pragma(&copy, "synchronous", 0)?;
        copy.query_one("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
        copy.pragma_update(None, "application_id", BACKUP_ID)?;
        check(&mut copy, damage_is_known)?;
        Ok(copy.close().map_err(|(_, error)| error)?)
    })?;
    Ok(draft.publish(target)?)
}
