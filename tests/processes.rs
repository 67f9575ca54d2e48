//! What only several processes can show: they open one fresh file at once, and read what another wrote.
//!
//! The children are this program again, told by the environment what to do. They begin together when their standard input
//! ends.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kpi_store::{DatasetQuery, NewDataset, NewKpi, OrganizationId, Store};

const CHILD: &str = "KPI_STORE_CHILD";
const FILE: &str = "KPI_STORE_FILE";
const ORGANIZATION: &str = "KPI_STORE_ORGANIZATION";

const PROCESSES: usize = 16;
const ROUNDS: usize = 10;

#[test]
fn processes_that_open_a_fresh_file_at_once_all_create_their_dataset() {
    if is_child("create") {
        return create_one();
    }
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        let organization = OrganizationId::new();
        let this = "processes_that_open_a_fresh_file_at_once_all_create_their_dataset";
        let mut children: Vec<_> = (0..PROCESSES).map(|_| spawn(this, "create", &file, organization)).collect();
        // Nobody begins before the last is there: each waits for the end of its input.
        for child in &mut children {
            drop(child.stdin.take());
        }
        let created: Vec<String> = children.into_iter().map(|child| answer(child, round)).collect();

        let store = Store::open(&file).unwrap();
        let mut stored: Vec<String> = store
            .organization(organization)
            .iter_datasets(&DatasetQuery::new())
            .map(|dataset| serde_json::to_string(&dataset.unwrap()).unwrap())
            .collect();
        assert_eq!(stored.len(), PROCESSES, "round {round}");
        stored.sort_unstable();
        let mut created = created;
        created.sort_unstable();
        assert_eq!(stored, created, "round {round}");
    }
}

#[test]
fn a_new_process_reads_exactly_what_create_returned() {
    if is_child("read") {
        return list();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kpis.db");
    let organization = OrganizationId::new();
    let store = Store::open(&file).unwrap();
    let requests = (0..20).map(|number| {
        NewDataset::new(format!("Dataset {number} – 水 🌊"))
            .kpis((0..number).rev().map(|kpi| NewKpi::new(format!("KPI {kpi}")).unit("m³").sort_order(kpi / 2)))
    });
    let created = store.organization(organization).create_datasets(requests).unwrap();

    // Both while this process has the file open, and after it closed it.
    let this = "a_new_process_reads_exactly_what_create_returned";
    let open = answer(spawn(this, "read", &file, organization), 0);
    store.close().unwrap();
    let closed = answer(spawn(this, "read", &file, organization), 1);
    let expected = serde_json::to_string(&created).unwrap();
    assert_eq!(open, expected);
    assert_eq!(closed, expected);
}

/// The child: waits for the signal, opens the file, creates a dataset and says which.
fn create_one() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let organization = Store::open(path()).unwrap().organization(organization());
    let request =
        NewDataset::new(format!("Of process {}", std::process::id())).kpi(NewKpi::new("Withdrawal").unit("m³"));
    say(&serde_json::to_string(&organization.create_dataset(request).unwrap()).unwrap());
}

/// The child: says what is in the file.
fn list() {
    let organization = Store::open(path()).unwrap().organization(organization());
    let datasets: Vec<_> = organization.iter_datasets(&DatasetQuery::new()).map(Result::unwrap).collect();
    say(&serde_json::to_string(&datasets).unwrap());
}

fn is_child(work: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|found| found == work)
}

fn path() -> std::ffi::OsString {
    std::env::var_os(FILE).unwrap()
}

fn organization() -> OrganizationId {
    std::env::var(ORGANIZATION).unwrap().parse().unwrap()
}

/// A line that the parent finds among what the test harness prints.
fn say(json: &str) {
    println!("\nSAID {json}");
}

fn spawn(test: &str, work: &str, file: &Path, organization: OrganizationId) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, work)
        .env(FILE, file)
        .env(ORGANIZATION, organization.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn answer(mut child: Child, round: usize) -> String {
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let said = stdout.lines().find_map(|line| line.strip_prefix("SAID "));
    let complaint = || format!("round {round}: {}\n{stdout}{}", output.status, String::from_utf8_lossy(&output.stderr));
    said.unwrap_or_else(|| panic!("{}", complaint())).to_owned()
}
