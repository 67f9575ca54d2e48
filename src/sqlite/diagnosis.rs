//! Telling a damaged file from one that could not be read: SQLite reports both as `SQLITE_CORRUPT`.
//!
//! Its VFS for Unix answers a read that fails with EIO or ENXIO with `SQLITE_IOERR_CORRUPTFS`, and its virtual machine
//! returns that as `SQLITE_CORRUPT`, with the code and the text of damage. Only the messages of its own check have the
//! original code. So work that fails in this way is done once more, which is enough if the read failed only once. If it
//! fails again, SQLite checks every page on a fresh connection, which has nothing in its cache: if the check meets a
//! page that it cannot read, that is the answer. Otherwise SQLite has found damage twice, and it is damage.
//!
//! This costs nothing as long as nothing fails. A failed read costs one check, which reads the whole file. Damage costs
//! two more attempts and one check; it is remembered as long as the file is open, after which an attempt that meets it
//! costs no more.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rusqlite::config::DbConfig;

use super::budget::Budget;
use super::connection::{self, OpenMode};
use super::failure::Failure;
use super::file::companions;
use super::integrity;
use crate::error::{Error, Source};

/// The knowledge of a file's damage while it is open.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis {
    /// Whether SQLite's check has found damage.
    is_damaged: AtomicBool,
}

impl Diagnosis {
    /// Runs `work`, up to three times. It is given whether the file is known to be damaged; if not, it must return
    /// what [may be a failed read](Failure::may_be_failed_read), and not treat it as damage.
    pub(super) fn decide<T>(
        &self,
        file: &Path,
        mut work: impl FnMut(bool) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let is_unclear = |worked: &Result<T, Failure>| worked.as_ref().is_err_and(Failure::may_be_failed_read);
        if self.is_damaged.load(Relaxed) {
            return work(true);
        }
        let worked = work(false);
        if !is_unclear(&worked) {
            return worked;
        }
        drop(worked);
        let again = work(false);
        if !is_unclear(&again) {
            return again;
        }
        drop(again);
        self.check(file)?;
        work(true)
    }

    /// The error of work that wrote an incomplete copy: only a copy that cannot be read makes a difference.
    pub(super) fn decide_copy(&self, copy: &Path, failure: Failure) -> Failure {
        let is_readable = || self.check(copy);
        if failure.may_be_failed_read() { is_readable().err().unwrap_or(failure) } else { failure }
    }

    /// The error of work that cannot be done again: damage only if SQLite's check finds some.
    pub(super) fn decide_error(&self, file: &Path, failure: Failure) -> Failure {
        if !failure.may_be_failed_read() || self.is_damaged.load(Relaxed) {
            return failure;
        }
        match (self.check(file), failure) {
            (Err(unreadable), _) => unreadable,
            (Ok(false), Failure(Error::Corrupt { source, .. })) => Error::Storage { source }.into(),
            (Ok(_), failure) => failure,
        }
    }

    /// Whether SQLite's check of every page finds damage; an error if it cannot read a page.
    fn check(&self, file: &Path) -> Result<bool, Failure> {
        let is_damaged = match find_damage(file) {
            Ok(is_damaged) => is_damaged,
            Err(failure) if failure.is_damage() => true,
            Err(Failure(error @ (Error::Storage { .. } | Error::StorageFull { .. }))) => return Err(error.into()),
            // Another process holds the file, or it can no longer be written: nothing was found.
            Err(_) => false,
        };
        self.is_damaged.fetch_or(is_damaged, Relaxed);
        Ok(is_damaged)
    }
}

/// Whether SQLite's quick check finds damage. It reads every page, but does not compare indexes with tables.
fn find_damage(file: &Path) -> Result<bool, Failure> {
    let log = companions::wal_length(file)?;
    // Without a log a connection that only reads would leave an empty one.
    let is_in_use = log.is_some() || companions::has_journal(file)?;
    let mode = if is_in_use { OpenMode::ReadOnly } else { OpenMode::Immutable };
    let mut connection = connection::connect(file, mode, Duration::ZERO)?;
    // The check must not checkpoint a file that is going to be rejected.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log.is_some())?;
    // Where the schema cannot be read either, SQLite checks what it can, instead of nothing. The connection stays
    // defensive: the schema cannot be written.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
    let budget = Budget::install(&mut connection, Some(file.to_owned()));
    let texts = budget.spend(|| integrity::quick_check(&connection))?;
    Ok(!texts.is_empty())
}

impl Failure {
    /// Whether SQLite has found the file malformed, which may also be a read that failed.
    pub(crate) fn may_be_failed_read(&self) -> bool {
        let Failure(Error::Corrupt { source: Some(source), .. }) = self else { return false };
        is_ambiguous(source)
    }
}

fn is_ambiguous(source: &Source) -> bool {
    // That of a migration is inside an error of refinery.
    let first: &(dyn std::error::Error + 'static) = &**source;
    let mut chain = std::iter::successors(Some(first), |error| error.source());
    let failure = chain.find_map(|error| error.downcast_ref::<rusqlite::Error>()?.sqlite_error());
    // An extended code tells what kind of damage it is.
    failure.is_some_and(|failure| failure.extended_code == rusqlite::ffi::SQLITE_CORRUPT)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Store;
    use crate::sqlite::failure::damaged;

    #[test]
    fn damage_that_was_not_found_by_a_read_is_not_checked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        Store::open(&file).unwrap().close().unwrap();
        let Failure(error) = Diagnosis::default().decide_error(&file, damaged("its digest differs").into());
        assert_eq!(error.code(), "corrupt");
    }

    #[test]
    fn a_file_that_is_too_damaged_for_the_check_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        Store::open(&file).unwrap().close().unwrap();
        let whole = fs::read(&file).unwrap();
        let check = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            Diagnosis::default().check(&file).map_err(|Failure(error)| error).unwrap()
        };
        assert!(!check(&whole));
        assert!(check(&whole[..4_096]), "one page");
        assert!(check(&[&whole[..100], &[0xff; 3_996], &whole[4_096..]].concat()), "an unreadable schema");
        assert!(check(&[&whole[..4_096], vec![0xff; whole.len() - 4_096].as_slice()].concat()), "the schema alone");
    }
}
