//! Read-only handles: they see the commits of others and write nothing, and refuse what could only be read by writing.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kpi_store::chrono::DateTime;
use kpi_store::{
    ChangeCursor, DatasetPatch, DatasetQuery, Error, HistoryKeep, HistoryQuery, NewDataset, NewKpi, OrganizationId,
    Result, Store, ValueType,
};

use crate::support::{TestFile, checkpointed_store, entries, listed, organization, request_with_kpis, with_suffix};

#[cfg(unix)]
mod accounts;
#[cfg(unix)]
mod permissions;

fn open(path: &Path) -> Result<Store> {
    Store::options().read_only(true).open(path)
}

#[test]
fn sees_the_commits_of_another_handle_at_once() {
    let file = TestFile::new();
    let ours = organization(&Store::open(&file.path).unwrap());
    let theirs = open(&file.path).unwrap().organization(ours.id());
    let mut created = Vec::new();
    for count in 0..20 {
        assert_eq!(listed(&theirs), created);
        created.push(ours.create_dataset(request_with_kpis(count)).unwrap());
    }
    assert_eq!(listed(&theirs), created);
    assert_eq!(theirs.dataset(created[7].id).unwrap().as_ref(), Some(&created[7]));
}

#[test]
fn sees_the_commits_of_another_process_and_works_after_that_is_killed() {
    if let Some(file) = std::env::var_os("FILE_OF_THE_WRITER") {
        return create_on_request(Path::new(&file));
    }
    let file = TestFile::new();
    let mut writer = Writer::start(&file.path);
    let reader = open(&file.path).unwrap();
    let theirs = reader.organization(OrganizationId::from(uuid::Uuid::from_u128(7)));
    for count in 1..=10 {
        let id = writer.create().parse().unwrap();
        assert_eq!(theirs.dataset(id).unwrap().map(|dataset| dataset.kpis.len()), Some(3));
        assert_eq!(theirs.count_datasets(&DatasetQuery::new()).unwrap(), count);
    }
    writer.process.kill().unwrap();
    writer.process.wait().unwrap();
    assert_eq!(listed(&theirs).len(), 10);
    // A handle opened later finds the log that was left, and reads it.
    assert_eq!(open(&file.path).unwrap().verify().unwrap().datasets, 10);
    assert!(reader.verify().unwrap().is_whole());
}

/// Another process, which creates a dataset on request.
struct Writer {
    process: Child,
    answers: Box<dyn Iterator<Item = String>>,
}

impl Writer {
    fn start(file: &Path) -> Self {
        let test = "read_only::sees_the_commits_of_another_process_and_works_after_that_is_killed";
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("FILE_OF_THE_WRITER", file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut answers = Box::new(lines.filter_map(|line| line.split_once("created ").map(|(_, id)| id.to_owned())));
        assert_eq!(answers.next().as_deref(), Some("nothing"));
        Self { process, answers }
    }

    fn create(&mut self) -> String {
        writeln!(self.process.stdin.as_ref().unwrap()).unwrap();
        self.answers.next().unwrap()
    }
}

fn create_on_request(file: &Path) {
    let ours = Store::open(file).unwrap().organization(OrganizationId::from(uuid::Uuid::from_u128(7)));
    println!("\ncreated nothing");
    for _ in std::io::stdin().lines() {
        println!("created {}", ours.create_dataset(request_with_kpis(3)).unwrap().id);
    }
}

#[test]
fn every_write_is_refused_and_every_read_answers() {
    let file = TestFile::new();
    let writer = Store::open(&file.path).unwrap();
    let ours = organization(&writer);
    let [dataset, deleted] = [2, 1].map(|kpis| ours.create_dataset(request_with_kpis(kpis)).unwrap());
    ours.delete_dataset(deleted.id).unwrap();
    let cursor = ours.change_cursor().unwrap();
    ours.set_properties([("cursor", Some(b"17".as_slice()))]).unwrap();
    let reader = open(&file.path).unwrap();
    let theirs = reader.organization(ours.id());
    let mut draft = dataset.edit();
    draft.name = "Waste".into();
    let refused = [
        theirs.save_dataset(&draft).map(drop),
        theirs.save_dataset(&dataset.edit()).map(drop),
        theirs.update_dataset(dataset.id, DatasetPatch::new().name("Waste")).map(drop),
        theirs.create_kpi(dataset.id, NewKpi::new("Waste")).map(drop),
        theirs.revert_dataset(&dataset, 1).map(drop),
        theirs.delete_dataset(dataset.id),
        theirs.restore_dataset(deleted.id).map(drop),
        theirs.purge_dataset(deleted.id),
        theirs.purge_deleted_before(DateTime::UNIX_EPOCH).map(drop),
        theirs.prune_history(&HistoryKeep::new()).map(drop),
        theirs.create_dataset(NewDataset::new("Waste")).map(drop),
        theirs.create_datasets([NewDataset::new("Waste")]).map(drop),
        theirs.accept_dataset(dataset.id).map(drop),
        theirs.set_properties([("cursor", Some(b"18".as_slice()))]),
    ];
    for (index, result) in refused.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("read_only", false), "{index}");
        assert!(source(&error).contains("opened for reading only"), "{error:?}");
    }
    assert_eq!(listed(&theirs), std::slice::from_ref(&dataset));
    assert_eq!(theirs.deleted_datasets(&DatasetQuery::new()).unwrap().items[0].dataset, deleted);
    assert_eq!(theirs.history(dataset.id, &HistoryQuery::new()).unwrap().items[0].dataset, dataset);
    let queries = [
        DatasetQuery::new(),
        DatasetQuery::new().recently_changed_first(),
        DatasetQuery::new().matching("water m3"),
        DatasetQuery::new().with_value_type(ValueType::Number),
    ];
    for query in queries {
        assert_eq!(theirs.summaries(&query).unwrap().items[0].id, dataset.id);
        assert_eq!(theirs.iter_summaries(&query).count(), 1);
        assert_eq!((theirs.count_datasets(&query).unwrap(), theirs.count_deleted(&query).unwrap()), (1, 1));
    }
    assert_eq!(theirs.version(dataset.id, 1).unwrap().unwrap().dataset, dataset);
    assert_eq!(theirs.property("cursor").unwrap().as_deref(), Some(b"17".as_slice()));
    assert_eq!(theirs.property_keys().unwrap(), ["cursor"]);
    assert_eq!(reader.organizations().unwrap(), [ours.id()]);
    assert_eq!(theirs.change_cursor().unwrap(), cursor);
    assert!(theirs.changes_since(&cursor).unwrap().items.is_empty());
    assert_eq!(theirs.changes_since(&ChangeCursor::start()).unwrap().items.len(), 2);
    assert_eq!(reader.statistics().unwrap().datasets, 1);
    assert!(reader.verify().unwrap().is_whole());
    let copy = file.folder.path().join("copy.db");
    reader.backup_to(&copy).unwrap();
    assert_eq!(listed(&Store::open(&copy).unwrap().organization(ours.id())), listed(&ours));
    reader.close().unwrap();
    assert!(matches!(theirs.count_datasets(&DatasetQuery::new()), Err(Error::Closed)));
    ours.create_dataset(NewDataset::new("Waste")).unwrap();
}

#[test]
fn a_reader_blocks_no_writer_and_does_not_change_the_file() {
    let file = checkpointed_store();
    let before = fs::read(&file.path).unwrap();
    let reader = open(&file.path).unwrap();
    assert_eq!(reader.organizations().unwrap().len(), 1);
    reader.verify().unwrap();
    drop(reader);
    assert_eq!(fs::read(&file.path).unwrap(), before);
    // The files that SQLite leaves beside it are empty, and the next writer removes them.
    assert!(entries(file.folder.path()).iter().all(|entry| !entry.has_suffix("-wal") || entry.is_empty()));
    let reader = open(&file.path).unwrap();
    let writer = Store::open(&file.path).unwrap();
    let ours = organization(&writer);
    ours.create_dataset(request_with_kpis(1)).unwrap();
    drop(reader);
    drop(ours);
    writer.close().unwrap();
    assert_eq!(entries(file.folder.path()).len(), 1);
}

/// A missing file is not created, and a file that is not a store is not changed.
#[test]
fn creates_no_file() {
    let file = TestFile::new();
    assert_eq!(open(&file.path).map(drop).unwrap_err().code(), "invalid_path");
    assert!(entries(file.folder.path()).is_empty());
    for (content, code) in [(&b""[..], "not_a_store"), (b"x", "not_a_store"), (b"Water, waste, energy", "not_a_store")]
    {
        fs::write(&file.path, content).unwrap();
        let before = entries(file.folder.path());
        assert_eq!(open(&file.path).map(drop).unwrap_err().code(), code, "{content:?}");
        assert_eq!(entries(file.folder.path()), before);
    }
}

#[test]
fn a_backup_is_read_as_it_is_and_not_beside_the_log_of_another_file() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    ours.create_dataset(request_with_kpis(5)).unwrap();
    let backup = file.folder.path().join("backup.db");
    store.backup_to(&backup).unwrap();
    let content = fs::read(&backup).unwrap();
    assert_eq!(listed(&open(&backup).unwrap().organization(ours.id())), listed(&ours));
    assert_eq!(fs::read(&backup).unwrap(), content, "it is a backup still");

    ours.create_dataset(request_with_kpis(6)).unwrap();
    fs::copy(with_suffix(&file.path, "-wal"), with_suffix(&backup, "-wal")).unwrap();
    let before = entries(file.folder.path());
    for options in [Store::options(), Store::options().read_only(true)] {
        assert_eq!(options.open(&backup).map(drop).unwrap_err().code(), "corrupt");
        assert_eq!(entries(file.folder.path()), before);
    }
    // Nor when it was opened read-only before the log appeared.
    fs::remove_file(with_suffix(&backup, "-wal")).unwrap();
    assert_eq!(listed(&open(&backup).unwrap().organization(ours.id())).len(), 1);
}

/// The text of the source of an error.
fn source(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
