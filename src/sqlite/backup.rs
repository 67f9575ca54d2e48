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
use super::file::draft::Draft;
use super::file::{companions, path, stat};
use super::progress::Callback;
use super::schema::{BACKUP_ID, Schema};
use super::{progress, verification};
use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::failure::{Failure, cause};

/// Copies the database of `source`, which is `file` or in memory, to the file `target`, which must not exist.
pub(crate) fn write(
    source: &mut Connection,
    file: Option<&Path>,
    target: &Path,
    callback: Callback,
) -> Result<(), Failure> {
    let target = path::find_vacant(target)?;
    let draft = Draft::new(&target)?;
    let (callback, size) = (progress::shared(callback), size(source)?);
    copy(source, file, &draft, callback())?;
    let made = draft.path().to_owned();
    finish(draft, &target, |copy| {
        let verify = |copy: &Connection| verification::verify(copy, &AtomicU64::new(0));
        let verification = progress::reported(copy, Some(&made), callback(), size, u64::MAX, move || size, verify)?;
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
    copy(&mut source, Some(file), &draft, progress::ignored())?;
    finish(draft, &target, |copy| {
        schema.check(copy, version)?;
        match verification::integrity(copy)?.into_iter().next() {
            Some(finding) => Err(verification::damage(finding).into()),
            None => Ok(()),
        }
    })?;
    Ok(target)
}

fn copy(source: &mut Connection, file: Option<&Path>, draft: &Draft, callback: Callback) -> Result<(), Failure> {
    let total = size(source)?;
    let path = draft.path().to_owned();
    let copied = move || stat::length(&path).unwrap_or(0);
    connection::with_attach(source, |source| {
        // A copy is compact, so one that grows far beyond its source can only come from a malformed file.
        progress::reported(source, file, callback, total, total.saturating_mul(2), copied, |source| {
            // Bound as bytes, since a path need not be UTF-8.
            let target = ToSqlOutput::Borrowed(ValueRef::Text(draft.path().as_os_str().as_encoded_bytes()));
            source.execute("VACUUM INTO ?1", [target]).map(drop).map_err(vacuum_failed)
        })
    })
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
fn size(connection: &Connection) -> Result<u64, Failure> {
    Ok((pragma(connection, "page_count")? * pragma(connection, "page_size")?).cast_unsigned())
}

fn finish(
    draft: Draft,
    target: &Path,
    check: impl FnOnce(&mut Connection) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut copy = connection::connect(draft.path(), OpenMode::ReadWrite, std::time::Duration::ZERO)?;
    connection::set_durability(&copy, Durability::Full)?;
    copy.pragma_update(None, "application_id", BACKUP_ID)?;
    check(&mut copy)?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(draft.publish(target)?)
}
