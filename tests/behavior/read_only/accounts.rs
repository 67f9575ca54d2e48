//! Two accounts on one file: its owner writes, the other may only read it, and both can write its folder.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use kpi_store::{DatasetQuery, Error, NewDataset, OrganizationId, Store, StoreOptions};

use super::source;
use crate::support::child::{self, Child};
use crate::support::unprivileged::{ACCOUNTS, SharedFolder};
use crate::support::{Entry, entries, plain_sqlite, skipped, with_suffix};

/// A process of each account, with no store open, and a file with one dataset.
struct Scene {
    folder: SharedFolder,
    owner: Child,
    other: Child,
}

impl Scene {
    fn new(test: &str) -> Option<Self> {
        let Some(folder) = SharedFolder::new() else {
            skipped("only root can run a process as another account", false);
            return None;
        };
        let file = folder.path().join("kpis.db");
        let [owner, other] = ACCOUNTS.map(|account| folder.start(account, test, "account", &file));
        let mut scene = Self { folder, owner, other };
        assert_eq!(scene.owner(&["open", "create", "close"]), ["ok"; 3]);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        Some(scene)
    }

    fn owner(&mut self, requests: &[&str]) -> Vec<String> {
        ask(&mut self.owner, requests)
    }

    fn other(&mut self, requests: &[&str]) -> Vec<String> {
        ask(&mut self.other, requests)
    }

    fn names(&self) -> usize {
        entries(self.folder.path()).len()
    }
}

fn ask(child: &mut Child, requests: &[&str]) -> Vec<String> {
    let mut ask_one = |request: &&str| {
        child.send(request);
        child.receive().unwrap_or_else(|| panic!("{request}"))
    };
    requests.iter().map(&mut ask_one).collect()
}

/// Whether this process is one of the two; then it does as it is told, until it is killed.
fn is_account() -> bool {
    let Some(task) = child::task() else { return false };
    let mut store = None;
    loop {
        let request = child::receive();
        let answer = match request.as_str() {
            "open" => open(&mut store, Store::options(), &task.file),
            "read" => open(&mut store, Store::options().read_only(true), &task.file),
            "close" => store.take().map_or(Ok(String::new()), |store: Store| store.close().map(|()| String::new())),
            "leave companions" => {
                let plain = plain_sqlite(&task.file);
                plain.query_row("SELECT count(*) FROM dataset", [], |_| Ok(())).unwrap();
                Ok(String::new())
            }
            request => on(store.as_ref().unwrap(), request, &task.file),
        };
        child::send([match answer {
            Ok(answer) if answer.is_empty() => "ok".to_owned(),
            Ok(answer) => answer,
            Err(error) => format!("{}, {}", error.code(), source(&error)),
        }]);
    }
}

fn open(store: &mut Option<Store>, options: StoreOptions, file: &Path) -> Result<String, Error> {
    *store = Some(options.open(file)?);
    Ok(String::new())
}

fn on(store: &Store, request: &str, file: &Path) -> Result<String, Error> {
    let ours = store.organization(OrganizationId::from(uuid::Uuid::from_u128(7)));
    match request {
        "create" => ours.create_dataset(NewDataset::new("Water")).map(|_| String::new()),
        "count" => ours.count_datasets(&DatasetQuery::new()).map(|count| count.to_string()),
        "list" => {
            ours.iter_datasets(&DatasetQuery::new()).collect::<Result<Vec<_>, _>>().map(|all| all.len().to_string())
        }
        "verify" => store.verify().map(|found| format!("{} {}", found.datasets, found.is_whole())),
        "copy" => {
            let copy = file.with_extension("copy");
            store.backup_to(&copy)?;
            let copied = Store::options().read_only(true).open(&copy).and_then(|copy| on(&copy, "count", file));
            fs::remove_file(&copy).unwrap();
            copied
        }
        request => panic!("{request}?"),
    }
}

const READS: &[&str] = &["count", "list", "verify", "copy"];

#[test]
fn another_account_that_reads_first_sees_every_write_of_the_owner_and_is_in_nobodys_way() {
    if is_account() {
        return;
    }
    let test =
        "read_only::accounts::another_account_that_reads_first_sees_every_write_of_the_owner_and_is_in_nobodys_way";
    let Some(mut scene) = Scene::new(test) else { return };
    assert_eq!(scene.names(), 1);
    assert_eq!(scene.other(&["read"]), ["ok"]);
    assert_eq!(scene.other(READS), ["1", "1", "1 true", "1"]);
    assert_eq!(scene.names(), 1, "no companion, and no draft");
    // All of it between two reads.
    assert_eq!(scene.owner(&["open", "create", "close"]), ["ok"; 3]);
    assert_eq!(scene.other(READS), ["2", "2", "2 true", "2"]);
    assert_eq!(scene.names(), 1);
    // While the owner has it open, and when it is closed.
    assert_eq!(scene.owner(&["open", "create"]), ["ok"; 2]);
    assert_eq!(scene.other(READS), ["3", "3", "3 true", "3"]);
    assert_eq!(scene.owner(&["create", "close"]), ["ok"; 2]);
    assert_eq!(scene.other(READS), ["4", "4", "4 true", "4"]);
    assert_eq!(scene.other(&["close"]), ["ok"]);
    assert_eq!(scene.owner(&["open", "create", "count", "close"]), ["ok", "ok", "5", "ok"]);
    assert_eq!(scene.names(), 1);
}

#[test]
fn another_account_reads_a_store_that_its_owner_has_open() {
    if is_account() {
        return;
    }
    let test = "read_only::accounts::another_account_reads_a_store_that_its_owner_has_open";
    let Some(mut scene) = Scene::new(test) else { return };
    assert_eq!(scene.owner(&["open", "create"]), ["ok"; 2]);
    assert_eq!(scene.other(&["read", "count"]), ["ok", "2"]);
    assert_eq!(scene.owner(&["create", "close"]), ["ok"; 2]);
    assert_eq!(scene.other(&["count", "verify"]), ["3", "3 true"]);
    assert_eq!(scene.owner(&["open", "create"]), ["ok"; 2]);
    assert_eq!(scene.other(&["count", "close"]), ["4", "ok"]);
    assert_eq!(scene.owner(&["create", "close", "open", "create", "close"]), ["ok"; 5]);
    assert_eq!(scene.names(), 1);
}

#[test]
fn a_companion_of_another_account_is_named_when_the_file_is_opened_for_writing() {
    if is_account() {
        return;
    }
    let test = "read_only::accounts::a_companion_of_another_account_is_named_when_the_file_is_opened_for_writing";
    let Some(mut scene) = Scene::new(test) else { return };
    let file = scene.folder.path().join("kpis.db");
    for mode in [0o644, 0o600] {
        assert_eq!(scene.other(&["leave companions"]), ["ok"]);
        for suffix in ["-wal", "-shm"] {
            let companion = with_suffix(&file, suffix);
            fs::set_permissions(&companion, fs::Permissions::from_mode(mode)).unwrap();
        }
        for suffix in ["-wal", "-shm"] {
            let companion = with_suffix(&file, suffix);
            let before = filled(scene.folder.path());
            let refused = scene.owner(&["open"]).remove(0);
            let expected = format!("read_only, {} belongs to another account", companion.display());
            assert!(refused.starts_with(&expected), "{mode:o}, {suffix}: {refused}");
            assert_eq!(filled(scene.folder.path()), before, "{mode:o}, {suffix}");
            fs::remove_file(companion).unwrap();
        }
        assert_eq!(scene.owner(&["open", "create", "close"]), ["ok"; 3]);
    }
}

/// What is in the folder, without the empty log that SQLite creates before it finds the index.
fn filled(folder: &Path) -> Vec<Entry> {
    entries(folder).into_iter().filter(|entry| !entry.is_empty()).collect()
}

/// SQLite gives the companions that root creates to the owner of the file.
#[test]
fn root_that_reads_first_leaves_companions_that_the_owner_can_use() {
    if is_account() {
        return;
    }
    let Some(mut scene) =
        Scene::new("read_only::accounts::root_that_reads_first_leaves_companions_that_the_owner_can_use")
    else {
        return;
    };
    let file = scene.folder.path().join("kpis.db");
    let owner_of = |path: &Path| fs::metadata(path).unwrap().uid();
    let store = Store::options().read_only(true).open(&file).unwrap();
    assert_eq!(on(&store, "count", &file).unwrap(), "1");
    assert_eq!(owner_of(&with_suffix(&file, "-wal")), owner_of(&file));
    assert_eq!(scene.owner(&["open", "create"]), ["ok"; 2]);
    assert_eq!(on(&store, "count", &file).unwrap(), "2");
}
