//! Opening a file that another process changes at the same time.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use kpi_store_fault_vfs::{Disk, Kind};
use rusqlite::Connection;

use crate::Store;

/// Before it is opened with locks, a file is looked at without them: what was seen counts only if the file did not change
/// meanwhile.
#[test]
fn a_file_that_becomes_a_store_while_it_is_opened_for_reading_is_not_refused() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made.db");
    Store::open(&made).unwrap().close().unwrap();
    let store = fs::read(&made).unwrap();
    let is_after_a_read = Arc::new(AtomicBool::new(false));
    for at in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("kpis.db");
        Connection::open(&file).unwrap().execute_batch("PRAGMA application_id = 1; CREATE TABLE note (body)").unwrap();
        let disk = Arc::new(Disk::new(file.parent().unwrap()));
        let open = || Store::options().read_only(true).open(&file).map(drop).map_err(|error| error.code());
        assert_eq!(open(), Err("not_a_store"), "the control");
        let (path, bytes, reads) = (file.clone(), store.clone(), disk.count(Kind::Read));
        let (same_disk, is_after_a_read) = (Arc::clone(&disk), Arc::clone(&is_after_a_read));
        disk.before(Kind::Length, at, move || {
            is_after_a_read.fetch_or(same_disk.count(Kind::Read) > reads, Relaxed);
            fs::write(path, bytes).unwrap();
        });
        let opened = open();
        if disk.is_waiting() {
            break;
        }
        assert_eq!(opened, Ok(()), "it changed before lookup {at}");
    }
    assert!(is_after_a_read.load(Relaxed), "nothing looked whether it changed after it was read");
}
