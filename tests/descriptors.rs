//! Opening with few file descriptors left: the error reports the shortage, never damage or a wrong path, and a store
//! that opens all the same sees what others write.
#![cfg(unix)]
#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kpi_store::{ChangeCursor, NewDataset, NewKpi, Result, Store};

use support::{TestFile, entries, organization, with_suffix};

const IS_LIMITED: &str = "KPI_STORE_DESCRIPTORS_ARE_LIMITED";

#[test]
fn a_shortage_of_descriptors_is_not_reported_as_damage_and_hides_no_later_write() {
    if std::env::var_os(IS_LIMITED).is_none() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 64; exec \"$0\" --nocapture"]).arg(std::env::current_exe().unwrap());
        assert!(shell.env(IS_LIMITED, "1").status().unwrap().success());
        return;
    }
    let mut short = 0;
    for has_log in [false, true] {
        for read_only in [false, true] {
            for left in 0..8 {
                let what = format!("log: {has_log}, read only: {read_only}, descriptors left: {left}");
                match open_with(left, has_log, read_only, &what).map_err(|error| error.code()) {
                    Ok(()) => assert!(left > 1, "{what}"),
                    Err("storage") => short += 1,
                    Err(code) => panic!("{what}: {code}"),
                }
            }
        }
    }
    assert!(short > 8, "the control: descriptors did run short");
    for left in 0..8 {
        let file = TestFile::new();
        let opened = with_descriptors_left(left, || Store::open(&file.path));
        match opened.map_err(|error| error.code()) {
            Ok(_) => assert!(left > 1, "a new file, descriptors left: {left}"),
            Err("storage") => assert_eq!(entries(file.folder.path()), [], "descriptors left: {left}"),
            Err(code) => panic!("a new file, descriptors left: {left}: {code}"),
        }
    }
    watches_report_the_shortage_and_leak_nothing();
}

/// A watch that cannot open its connection reports the shortage, and leaves nothing open.
fn watches_report_the_shortage_and_leak_nothing() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    for left in 0..4 {
        match with_descriptors_left(left, || ours.watch(ChangeCursor::start())).map_err(|error| error.code()) {
            Ok(_) => assert!(left > 0),
            Err(code) => assert_eq!(code, "storage", "descriptors left: {left}"),
        }
    }
    // More than there are descriptors.
    for number in 0..100 {
        let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
        let created = ours.create_dataset(NewDataset::new("Water")).unwrap();
        assert_eq!(watch.wait(Duration::ZERO).unwrap().items[0].dataset, created.id, "{number}");
    }
    let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
    drop((store, ours));
    assert_eq!(entries(file.folder.path()).len(), 1, "the watch keeps nothing open");
    assert!(watch.next().is_none());
}

fn with_descriptors_left<T>(left: usize, work: impl FnOnce() -> T) -> T {
    let mut held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    held.truncate(held.len() - left);
    work()
}

fn open_with(left: usize, has_log: bool, read_only: bool, what: &str) -> Result<()> {
    let file = TestFile::new();
    lay_down(&file.path.with_file_name("live.db"), &file.path, has_log);
    let store = with_descriptors_left(left, || Store::options().read_only(read_only).open(&file.path))?;
    let before = store.organizations().unwrap().len();
    let other = Store::open(&file.path).unwrap();
    organization(&other).create_dataset(NewDataset::new("Later")).unwrap();
    assert_eq!(store.organizations().unwrap().len(), before + 1, "{what}");
    Ok(())
}

/// Makes a copy of a store: closed, or with the log of a killed process, which holds pages that the file does not.
fn lay_down(live: &Path, file: &Path, has_log: bool) {
    let store = Store::open(live).unwrap();
    let request = || NewDataset::new("Water").kpis((0..20).map(|index| NewKpi::new(format!("KPI {index}"))));
    organization(&store).create_datasets((0..50).map(|_| request())).unwrap();
    if !has_log {
        store.clone().close().unwrap();
    }
    fs::copy(live, file).unwrap();
    if has_log {
        fs::copy(with_suffix(live, "-wal"), with_suffix(file, "-wal")).unwrap();
    }
}
