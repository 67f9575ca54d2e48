//! The statements of each operation: which, how many, by which plan. A busy machine changes none of it.

mod operations;

use std::cell::RefCell;
use std::sync::atomic::AtomicU64;

use rusqlite::StatementStatus::{AutoIndex, FullscanStep, RePrepare, Sort};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, Rows};

use self::operations::{Operation, operations};
use super::support::with_writer;
use crate::sqlite::verification;
use crate::{NewDataset, NewKpi, Organization, OrganizationId, Store};

thread_local! {
    /// The statements that ran on this thread since they were last taken.
    static RAN: RefCell<Vec<Ran>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Ran {
    sql: String,
    /// The counters are of all runs of the statement since it was prepared.
    full_scan_steps: i32,
    sorts: i32,
    automatic_indexes: i32,
    prepared_again: i32,
}

impl Ran {
    /// The beginning of the statement, on one line.
    fn title(&self) -> String {
        let words: Vec<&str> = self.sql.split_whitespace().collect();
        let before = ["FROM", "INTO", "UPDATE"];
        let table = words.iter().position(|word| before.contains(word)).and_then(|index| words.get(index + 1));
        [words.first(), table]
            .into_iter()
            .flatten()
            .map(|word| word.trim_end_matches([')', ',']))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Profile(statement, _) = event {
        let ran = Ran {
            sql: statement.sql().into_owned(),
            full_scan_steps: statement.get_status(FullscanStep),
            sorts: statement.get_status(Sort),
            automatic_indexes: statement.get_status(AutoIndex),
            prepared_again: statement.get_status(RePrepare),
        };
        RAN.with_borrow_mut(|all| all.push(ran));
    }
}

/// A traced store with datasets of two organizations in turn. In a file, the writer's connection is traced.
struct Watched {
    _folder: tempfile::TempDir,
    store: Store,
    ours: Organization,
}

impl Watched {
    fn new(is_in_memory: bool, is_analyzed: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = if is_in_memory { Store::open_in_memory() } else { Store::open(folder.path().join("kpis.db")) };
        let store = store.unwrap();
        let (ours, theirs) = (store.organization(OrganizationId::new()), store.organization(OrganizationId::new()));
        for organization in [&ours, &theirs].into_iter().cycle().take(20) {
            organization.create_datasets(requests(30, 10)).unwrap();
        }
        // Leaves 44 numbers of a block, so that both runs of an operation reserve a block, or none does.
        theirs.create_datasets(requests(20, 10)).unwrap();
        let watched = Self { _folder: folder, store, ours };
        watched.on_the_connection(|connection| {
            if is_analyzed {
                connection.execute_batch("ANALYZE").unwrap();
            }
            let note: fn(TraceEvent<'_>) = note;
            connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note)).unwrap();
        });
        watched
    }

    fn on_the_connection<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        with_writer(&self.store, work)
    }

    /// The statements of a second run of `work`, with how often each was prepared again in it.
    fn ran(&self, work: impl Fn(&Organization)) -> Vec<Ran> {
        work(&self.ours);
        let before = RAN.take();
        work(&self.ours);
        let mut ran = RAN.take();
        for ran in &mut ran {
            let earlier = before.iter().rfind(|earlier| earlier.sql == ran.sql);
            let earlier = earlier.unwrap_or_else(|| panic!("only the second run has {ran:?}"));
            ran.prepared_again -= earlier.prepared_again;
        }
        ran
    }

    fn plan(&self, sql: &str) -> Vec<String> {
        self.explain("EXPLAIN QUERY PLAN", sql, 3)
    }

    /// The instructions of SQLite's virtual machine.
    fn opcodes(&self, sql: &str) -> Vec<String> {
        self.explain("EXPLAIN", sql, 1)
    }

    fn explain(&self, explain: &str, sql: &str, column: usize) -> Vec<String> {
        self.on_the_connection(|connection| {
            let mut statement = connection.prepare(&format!("{explain} {sql}")).unwrap();
            let rows: Rows<'_> = statement.raw_query();
            let explained = rows.mapped(|row| row.get(column)).collect::<rusqlite::Result<_>>().unwrap();
            drop(statement);
            explained
        })
    }
}

fn requests(count: usize, kpis: usize) -> impl Iterator<Item = NewDataset> {
    (0..count).map(move |_| NewDataset::new("Water").kpis((0..kpis).map(|_| NewKpi::new("Withdrawal").unit("m³"))))
}

/// The titles in the order in which the statements ended, each with the number of times in a row.
fn titles(ran: &[Ran]) -> Vec<(String, usize)> {
    let mut titles: Vec<(String, usize)> = Vec::new();
    for title in ran.iter().map(Ran::title) {
        match titles.last_mut() {
            Some((last, times)) if *last == title => *times += 1,
            _ => titles.push((title, 1)),
        }
    }
    titles
}

/// Reads are traced in memory, where they use the writer's connection; writes in a file.
fn watched_for((_, _, statements): &Operation, is_analyzed: bool) -> Watched {
    let is_written = statements.first().is_some_and(|(title, _)| *title == "BEGIN");
    Watched::new(!is_written, is_analyzed)
}

#[test]
fn every_operation_runs_the_expected_statements_for_any_number_of_rows() {
    for operation in operations() {
        let watched = watched_for(&operation, false);
        let (name, work, expected) = operation;
        let found = titles(&watched.ran(work));
        let found: Vec<_> = found.iter().map(|(title, times)| (title.as_str(), *times)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// The numbers of KPIs are those that the datasets have: no KPI is read.
#[test]
fn statistics_walk_once_through_datasets_and_histories_and_read_no_kpi() {
    for is_analyzed in [false, true] {
        let watched = Watched::new(true, is_analyzed);
        let ran = watched.ran(|ours| assert_eq!(ours.store.statistics().unwrap().kpis, 6_200));
        let titles = titles(&ran);
        let expected = [("SELECT dataset", 1), ("WITH dataset", 1), ("SELECT dataset_version", 1), ("PRAGMA", 4)];
        assert_eq!(titles, expected.map(|(title, times)| (title.to_owned(), times)));
        let plans: Vec<_> =
            ran.iter().filter(|ran| !ran.sql.contains("PRAGMA")).map(|ran| watched.plan(&ran.sql)).collect();
        assert_eq!(plans[0], ["SCAN dataset"]);
        assert_eq!(plans[2], ["SCAN dataset_version"]);
        let joined = plans.concat().join("; ");
        assert!(!joined.contains("kpi") && !joined.contains("B-TREE"), "{joined}");
        let rows = i32::try_from(watched.store.statistics().unwrap().datasets).unwrap();
        assert!(ran.iter().all(|ran| ran.full_scan_steps <= 2 * rows && ran.sorts == 0), "{ran:?}");
    }
}

/// If SQLite sorted the entries, a verification would miss that those of a damaged index are out of order.
#[test]
fn a_verification_reads_every_index_in_its_own_order_and_counts_row_by_row() {
    let expected = ["sqlite_autoindex_dataset_1", "dataset_by_organization", "dataset_by_change", "dataset_in_trash"]
        .map(|name| vec![format!("SEARCH dataset USING COVERING INDEX {name} (organization_id>?)")]);
    for is_analyzed in [false, true] {
        let watched = Watched::new(true, is_analyzed);
        RAN.take();
        watched.on_the_connection(|connection| {
            let verified = verification::verify(connection, false, &AtomicU64::new(0));
            assert!(verified.is_ok_and(|verification| verification.is_whole()));
        });
        let ran = RAN.take();
        let (indexes, others): (Vec<_>, Vec<_>) = ran.iter().partition(|ran| ran.sql.contains("dataset INDEXED BY"));
        let plans: Vec<_> = indexes.iter().map(|ran| watched.plan(&ran.sql)).collect();
        assert_eq!(plans, expected, "analyzed: {is_analyzed}");
        assert!(indexes.iter().all(|ran| ran.sorts == 0), "{indexes:?}");
        // The instruction `Count` cannot be interrupted.
        let count = others.iter().find(|ran| ran.sql.starts_with("SELECT count(*) FROM kpi")).unwrap();
        let opcodes = watched.opcodes(&count.sql);
        assert!(opcodes.iter().any(|code| code == "Next") && opcodes.iter().all(|code| code != "Count"), "{opcodes:?}");
    }
}

/// SQLite copies the values of a row once more if an INSERT of several rows lists the columns in any other order.
#[test]
fn kpis_are_inserted_in_the_order_of_the_columns_of_their_table() {
    let watched = Watched::new(false, false);
    let ran = watched.ran(|ours| drop(ours.create_datasets(requests(1, 10)).unwrap()));
    let sql = ran.into_iter().map(|ran| ran.sql).find(|sql| sql.starts_with("INSERT INTO kpi ")).unwrap();
    let (_, columns) = sql.split_once('(').unwrap();
    let (columns, _) = columns.split_once(')').unwrap();
    let of_the_table: String = watched.on_the_connection(|connection| {
        let query = "SELECT group_concat(name, ', ' ORDER BY cid) FROM pragma_table_info('kpi')";
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    });
    assert_eq!(columns, of_the_table);
}

/// The leader runs its own job as if it were alone, and two more statements for each follower.
#[test]
fn each_follower_costs_a_shared_transaction_two_more_statements() {
    let watched = Watched::new(false, false);
    let create = || {
        watched.ours.create_datasets(requests(1, 10)).unwrap();
        RAN.take()
    };
    create();
    let ran: Vec<_> = watched.store.in_a_group([create; 3]).into_iter().flatten().collect();
    let found = titles(&ran);
    let insert = ["INSERT dataset", "INSERT kpi"];
    let follower = [&["SAVEPOINT"], &insert[..], &["RELEASE"]].concat();
    let expected = [&["BEGIN", "PRAGMA"], &insert[..], &follower, &follower, &["COMMIT"]].concat();
    assert_eq!(found.iter().map(|(title, _)| title.as_str()).collect::<Vec<_>>(), expected);
}

#[test]
fn no_operation_scans_sorts_or_prepares_again() {
    for is_analyzed in [false, true] {
        for operation in operations() {
            let watched = watched_for(&operation, is_analyzed);
            let (name, work, _) = operation;
            for ran in watched.ran(work) {
                let costs = [ran.full_scan_steps, ran.sorts, ran.automatic_indexes, ran.prepared_again];
                assert_eq!(costs, [0; 4], "{name}, analyzed: {is_analyzed}: {ran:?}");
            }
        }
    }
}

#[test]
fn every_read_searches_by_an_index_in_its_order() {
    const BY_ID: &str = "SEARCH dataset USING INDEX sqlite_autoindex_dataset_1 (organization_id=? AND id=?)";
    const BY_ORGANIZATION: &str = "USING COVERING INDEX dataset_by_organization (organization_id=?";
    let of_kpis = "SEARCH kpi USING PRIMARY KEY (dataset_seq=?)";
    let by_seq = "SEARCH dataset USING INTEGER PRIMARY KEY (rowid=?)";
    let gathered = "CORRELATED SCALAR SUBQUERY 1";
    let page = |operator| {
        vec![
            format!("SEARCH dataset {BY_ORGANIZATION} AND seq{operator}?)"),
            "CO-ROUTINE entry".to_owned(),
            format!("SEARCH dataset {BY_ORGANIZATION} AND seq{operator}?)"),
            "SCAN entry".to_owned(),
            format!("{by_seq} LEFT-JOIN"),
            gathered.to_owned(),
            of_kpis.to_owned(),
        ]
    };
    let expected = [
        ("get", vec![BY_ID.to_owned(), gathered.to_owned(), of_kpis.to_owned()]),
        ("page, oldest first", page('>')),
        ("page, newest first", page('<')),
        ("count", vec![format!("SEARCH dataset {BY_ORGANIZATION})")]),
        (
            "count the trash",
            vec![
                "SEARCH dataset USING COVERING INDEX dataset_in_trash (organization_id=? AND changed>? AND changed<?)"
                    .to_owned(),
            ],
        ),
        (
            "page of the last changes, beside a full trash",
            vec![
                by_seq.to_owned(),
                by_seq.to_owned(),
                by_seq.to_owned(),
                "SEARCH dataset USING COVERING INDEX dataset_by_change (organization_id=? AND changed>? AND changed<?)"
                    .to_owned(),
                format!("SEARCH dataset {BY_ORGANIZATION} AND seq<?)"),
            ],
        ),
        ("property", vec!["SEARCH organization_property USING PRIMARY KEY (organization_id=? AND key=?)".to_owned()]),
        ("property keys", vec!["SEARCH organization_property USING PRIMARY KEY (organization_id=?)".to_owned()]),
        (
            "changes, none",
            vec![
                "SEARCH counter USING INTEGER PRIMARY KEY (rowid=?)".to_owned(),
                "CO-ROUTINE entry".to_owned(),
                format!("SEARCH dataset {BY_ORGANIZATION} AND seq>? AND seq<?)"),
                "SCAN entry".to_owned(),
                "SEARCH d USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN".to_owned(),
                "CO-ROUTINE entry".to_owned(),
                "SEARCH dataset USING COVERING INDEX dataset_by_change (organization_id=? AND changed>? AND changed<?)"
                    .to_owned(),
                "SCAN entry".to_owned(),
                "SEARCH d USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN".to_owned(),
                "SEARCH purged_dataset USING PRIMARY KEY (organization_id=? AND change>? AND change<?)".to_owned(),
            ],
        ),
        (
            "history",
            vec![
                BY_ID.to_owned(),
                gathered.to_owned(),
                of_kpis.to_owned(),
                "SEARCH dataset_version USING PRIMARY KEY (dataset_seq=?)".to_owned(),
            ],
        ),
    ];
    for is_analyzed in [false, true] {
        for operation in operations() {
            let watched = watched_for(&operation, is_analyzed);
            let (name, work, _) = operation;
            let plans: Vec<_> = watched.ran(work).iter().flat_map(|ran| watched.plan(&ran.sql)).collect();
            let joined = plans.join("; ");
            for table in ["dataset", "kpi", "dataset_version", "purged_dataset", "organization_property"] {
                assert!(!joined.contains(&format!("SCAN {table}")), "{name}: {joined}");
            }
            assert!(!joined.contains("B-TREE") && !joined.contains("AUTOMATIC"), "{name}: {joined}");
            if let Some((_, expected)) = expected.iter().find(|(expected, _)| *expected == name) {
                assert_eq!(&plans, expected, "{name}, analyzed: {is_analyzed}");
            }
        }
    }
}

/// The control.
#[test]
fn a_scan_a_sort_and_a_second_preparation_are_detected() {
    let watched = Watched::new(true, false);
    let look = |sql: &str| {
        watched.on_the_connection(|connection| {
            RAN.take();
            let mut statement = connection.prepare_cached(sql).unwrap();
            assert!(statement.query([]).unwrap().next().unwrap().is_some());
        });
        RAN.take().pop().unwrap()
    };
    let sql = "SELECT name FROM kpi ORDER BY unit";
    let first = look(sql);
    assert!(first.full_scan_steps > 0 && first.sorts == 1 && first.prepared_again == 0, "{first:?}");
    watched.on_the_connection(|connection| connection.execute_batch("CREATE TABLE another (id)").unwrap());
    let second = look(sql);
    assert_eq!(second.prepared_again, 1, "{second:?}");
    let joined = watched.plan(sql).join("; ");
    assert!(joined.contains("SCAN kpi") && joined.contains("B-TREE"), "{joined}");
    assert!(watched.opcodes("SELECT count(*) FROM kpi").iter().any(|code| code == "Count"));
    let automatic = watched.plan("SELECT a.name FROM kpi a JOIN kpi b ON a.unit = b.unit").join("; ");
    assert!(automatic.contains("AUTOMATIC"), "{automatic}");
}
