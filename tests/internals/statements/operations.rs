//! The operations whose statements are pinned.

use chrono::{DateTime, Utc};

use super::{RAN, requests};
use crate::{
    ChangeCursor, Dataset, DatasetDraft, DatasetId, DatasetPatch, DatasetQuery, HistoryKeep, HistoryQuery, KpiPatch,
    LoadOptions, NewDataset, NewKpi, Organization, UserId, ValueType,
};

pub(super) type Work = Box<dyn Fn(&Organization)>;

/// The name of an operation, the operation, and its statements, each with the number of times in a row.
pub(super) type Operation = (&'static str, Work, Vec<(&'static str, usize)>);

/// Every operation that reads, creates or changes datasets.
pub(super) fn operations() -> Vec<Operation> {
    let page = |query: DatasetQuery| -> Work {
        Box::new(move |ours| {
            let first = ours.datasets(&query.clone().limit(100)).unwrap();
            assert_eq!(first.items.len(), 100);
            assert_eq!(first.items[99].kpis.len(), 10);
        })
    };
    let summaries = |query: DatasetQuery| -> Work {
        Box::new(move |ours| {
            let page = ours.summaries(&query).unwrap();
            assert!(page.items.iter().all(|summary| summary.kpi_count == 10) && page.next.is_some());
        })
    };
    // A title names the first table after FROM, which is `kpi` where KPIs are gathered. After a full page, another
    // statement looks for a next one. The statement that holds the snapshot ends last.
    let listing = vec![("SELECT dataset", 1), ("SELECT kpi", 1), ("PRAGMA", 1)];
    let begin = [("BEGIN", 1), ("PRAGMA", 1)];
    // The call needs more sequence numbers than a block has.
    let reserve = RESERVE;
    let created: Vec<Operation> = vec![
        (
            "get",
            Box::new(|ours| {
                let some = ours.datasets(&DatasetQuery::new().limit(1)).unwrap().items.remove(0).id;
                RAN.take();
                assert_eq!(ours.dataset(some).unwrap().unwrap().kpis.len(), 10);
            }),
            vec![("SELECT kpi", 1), ("PRAGMA", 1)],
        ),
        ("page, oldest first", page(DatasetQuery::new()), listing.clone()),
        ("page, newest first", page(DatasetQuery::new().newest_first()), listing),
        (
            "count",
            Box::new(|ours| assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 300)),
            vec![("SELECT dataset", 1), ("PRAGMA", 1)],
        ),
        ("page of summaries, oldest first", summaries(DatasetQuery::new()), vec![("SELECT dataset", 1), ("PRAGMA", 1)]),
        (
            "page of summaries, newest first",
            summaries(DatasetQuery::new().newest_first()),
            vec![("SELECT dataset", 1), ("PRAGMA", 1)],
        ),
        // Each of the two that are shown, one that shows that there is more, and the two indexes.
        (
            "page of the last changes",
            summaries(DatasetQuery::new().recently_changed_first().limit(2)),
            vec![("SELECT dataset", 5), ("PRAGMA", 1)],
        ),
        // Those in the trash were changed later, and are not looked at. The creation of the one that is shown is.
        (
            "page of the last changes, beside a full trash",
            on_a_changed_dataset(
                |ours, _| {
                    let ids: Vec<_> = ours.create_datasets(requests(30, 1)).unwrap().iter().map(|new| new.id).collect();
                    ours.delete_datasets(ids).unwrap();
                },
                |ours, dataset| {
                    let page = ours.summaries(&DatasetQuery::new().recently_changed_first().limit(1)).unwrap();
                    assert_eq!((page.items[0].id, page.next.is_some()), (dataset.id, true));
                },
            ),
            vec![("SELECT dataset", 5), ("PRAGMA", 1)],
        ),
        // The KPIs are read to find the word, and again for the places where it is. Nothing is read after a full page.
        (
            "search",
            summaries(DatasetQuery::new().matching("withdrawal").limit(2)),
            vec![("SELECT kpi", 2), ("SELECT dataset", 1), ("SELECT kpi", 2), ("SELECT dataset", 2), ("PRAGMA", 1)],
        ),
        (
            "page of a value type and a user",
            on_a_dataset(|ours, dataset| {
                let ours = ours.acting_as(UserId::from(uuid::Uuid::from(dataset.id)));
                let new = ours.create_datasets(requests(2, 10)).unwrap();
                RAN.take();
                let query = DatasetQuery::new().with_value_type(ValueType::Number);
                let query = query.created_by(new[0].created_by.unwrap()).newest_first();
                assert_eq!(ours.summaries(&query.limit(1)).unwrap().items.len(), 1);
            }),
            // The KPIs are read to find the type, and again to be checked.
            vec![("SELECT kpi", 2), ("SELECT dataset", 2), ("PRAGMA", 1)],
        ),
        (
            "organizations",
            Box::new(|ours| assert_eq!(ours.store.organizations().unwrap().len(), 2)),
            vec![("WITH dataset", 1), ("PRAGMA", 1)],
        ),
        (
            "create",
            Box::new(|ours| drop(ours.create_datasets(requests(1, 10)).unwrap())),
            vec![("BEGIN", 1), ("PRAGMA", 1), ("INSERT dataset", 1), ("INSERT kpi", 1), ("COMMIT", 1)],
        ),
        // 1,000 KPIs: 50 statements of 20 rows.
        (
            "create many",
            Box::new(|ours| drop(ours.create_datasets(requests(100, 10)).unwrap())),
            [&begin[..], &reserve, &[("INSERT dataset", 100), ("INSERT kpi", 50), ("COMMIT", 1)]].concat(),
        ),
        // 500 KPIs, in memory at once: 25 statements of 20 rows.
        (
            "load",
            Box::new(|ours| assert_eq!(ours.load_datasets(requests(50, 10), LoadOptions::new()).unwrap().kpis, 500)),
            [&begin[..], &reserve, &[("INSERT dataset", 50), ("INSERT kpi", 25), ("COMMIT", 1)]].concat(),
        ),
    ];
    let changed = changes().into_iter().chain(uses_of_the_history()).chain(reads_of_changes());
    created.into_iter().chain(changed).chain(changes_since()).chain(properties()).collect()
}

fn properties() -> Vec<Operation> {
    let some = |count: u8| (0..count).map(|number| (format!("key {number}"), Some([17; 100].as_slice())));
    let with_some = move |work: fn(&Organization)| -> Work {
        Box::new(move |ours| {
            ours.set_properties(some(30)).unwrap();
            RAN.take();
            work(ours);
        })
    };
    vec![
        (
            "property",
            with_some(|ours| assert_eq!(ours.property("key 17").unwrap(), Some(vec![17; 100]))),
            vec![("SELECT organization_property", 1), ("PRAGMA", 1)],
        ),
        (
            "property keys",
            with_some(|ours| assert_eq!(ours.property_keys().unwrap().len(), 30)),
            vec![("SELECT organization_property", 1), ("PRAGMA", 1)],
        ),
        (
            "set properties",
            Box::new(move |ours| ours.set_properties(some(5)).unwrap()),
            written(&[("INSERT organization_property", 5)]),
        ),
        // A removal looks once more, since damage may have made a row stand twice.
        (
            "set and remove properties",
            with_some(|ours| {
                let set = [("key 1", None), ("key 2", None), ("key 3", Some(b"3".as_slice())), ("unknown", None)];
                ours.set_properties(set).unwrap();
            }),
            written(&[
                ("DELETE organization_property", 4),
                ("INSERT organization_property", 1),
                ("DELETE organization_property", 1),
            ]),
        ),
    ]
}

/// An operation on a fresh dataset, whose creation is not traced.
fn on_a_dataset(work: impl Fn(&Organization, Dataset) + 'static) -> Work {
    Box::new(move |ours| {
        let dataset = ours.create_datasets(requests(1, 10)).unwrap().remove(0);
        RAN.take();
        work(ours, dataset);
    })
}

/// The same on one that is edited twice, deleted and restored, and then prepared further.
fn on_a_changed_dataset(
    prepare: impl Fn(&Organization, &Dataset) + 'static,
    work: impl Fn(&Organization, Dataset) + 'static,
) -> Work {
    on_a_dataset(move |ours, dataset| {
        let edited = ours.update_dataset(dataset.id, DatasetPatch::new().name("once")).unwrap();
        let patch = DatasetPatch::new().delete_kpi(edited.kpis[0].id).add_kpi(NewKpi::new("Rain"));
        let edited = ours.update_dataset(dataset.id, patch).unwrap();
        ours.delete_dataset(dataset.id).unwrap();
        ours.restore_dataset(dataset.id).unwrap();
        prepare(ours, &edited);
        RAN.take();
        work(ours, edited);
    })
}

/// A transaction with these statements.
fn written(statements: &[(&'static str, usize)]) -> Vec<(&'static str, usize)> {
    [&[("BEGIN", 1), ("PRAGMA", 1)], statements, &[("COMMIT", 1)]].concat()
}

fn saved(edit: impl Fn(&mut DatasetDraft) + 'static) -> Work {
    on_a_dataset(move |ours, dataset| {
        let mut draft = dataset.edit();
        edit(&mut draft);
        assert_ne!(ours.save_dataset(&draft).unwrap(), dataset);
    })
}

/// The last numbers of the table, and of the organization with the row that has it.
const RESERVE: [(&str, usize); 4] =
    [("SELECT dataset", 3), ("SELECT purged_dataset", 1), ("SELECT dataset", 1), ("UPDATE counter", 1)];
/// The dataset with its KPIs.
const READ: [(&str, usize); 1] = [("SELECT kpi", 1)];
/// The KPIs of the row that stands.
const READ_APART: [(&str, usize); 2] = [("SELECT kpi", 1), ("SELECT dataset", 1)];
const CHANGE: [(&str, usize); 2] = [("INSERT dataset_version", 1), ("UPDATE dataset", 1)];

fn changes() -> Vec<Operation> {
    vec![
        ("save a name", saved(|draft| draft.name = "Waste".into()), written(&[&READ[..], &CHANGE].concat())),
        (
            "save nothing new",
            on_a_dataset(|ours, dataset| assert_eq!(ours.save_dataset(&dataset.edit()).unwrap(), dataset)),
            written(&READ),
        ),
        (
            "save KPIs",
            saved(|draft| {
                draft.kpis.drain(..2);
                draft.kpis[0].unit = None;
                draft.kpis.extend((0..70).map(|_| NewKpi::new("Rain").into()));
            }),
            // 70 KPIs: three statements of 20 rows, and one of 10. They need more numbers than a block has.
            written(
                &[&READ[..], &RESERVE, &[("DELETE kpi", 2), ("UPDATE kpi", 1), ("INSERT kpi", 4)], &CHANGE].concat(),
            ),
        ),
        (
            "update a KPI",
            on_a_dataset(|ours, dataset| {
                let patch = DatasetPatch::new().update_kpi(dataset.kpis[3].id, KpiPatch::new().unit("t"));
                ours.update_dataset(dataset.id, patch).unwrap();
            }),
            written(&[&READ[..], &[("UPDATE kpi", 1)], &CHANGE].concat()),
        ),
        (
            "create a KPI",
            on_a_dataset(|ours, dataset| drop(ours.create_kpi(dataset.id, NewKpi::new("Rain")).unwrap())),
            written(&[&[("SELECT dataset", 1), ("INSERT kpi", 1)], &CHANGE[..]].concat()),
        ),
        (
            "accept",
            on_a_dataset(|ours, dataset| drop(ours.accept_dataset(dataset.id).unwrap())),
            written(&[&[("SELECT dataset", 1)], &READ_APART[..], &[("SELECT dataset_version", 1)], &CHANGE].concat()),
        ),
        (
            "delete",
            on_a_dataset(|ours, dataset| ours.delete_dataset(dataset.id).unwrap()),
            written(&[&[("SELECT dataset", 2)], &CHANGE[..]].concat()),
        ),
        (
            "restore",
            on_a_changed_dataset(
                |ours, dataset| ours.delete_dataset(dataset.id).unwrap(),
                |ours, dataset| assert_eq!(ours.restore_dataset(dataset.id).unwrap(), dataset),
            ),
            written(&[&READ_APART[..], &CHANGE].concat()),
        ),
        (
            "purge",
            on_a_changed_dataset(
                |ours, dataset| ours.delete_dataset(dataset.id).unwrap(),
                |ours, dataset| ours.purge_dataset(dataset.id).unwrap(),
            ),
            written(&[
                ("SELECT dataset", 1),
                ("SELECT purged_dataset", 1),
                ("DELETE dataset", 1),
                ("INSERT purged_dataset", 1),
            ]),
        ),
        (
            "purge what was deleted",
            on_a_changed_dataset(
                |ours, dataset| ours.delete_dataset(dataset.id).unwrap(),
                |ours, _| assert_eq!(ours.purge_deleted_before(DateTime::<Utc>::MAX_UTC).unwrap(), 1),
            ),
            written(&[
                ("SELECT dataset", 2),
                ("SELECT purged_dataset", 1),
                ("DELETE dataset", 1),
                ("INSERT purged_dataset", 1),
            ]),
        ),
    ]
}

fn uses_of_the_history() -> Vec<Operation> {
    vec![
        (
            "revert",
            on_a_changed_dataset(|_, _| (), |ours, dataset| drop(ours.revert_dataset(&dataset, 1).unwrap())),
            written(
                &[
                    &READ[..],
                    &[("SELECT dataset_version", 1), ("DELETE kpi", 1), ("INSERT kpi", 1)],
                    &[("INSERT dataset_version", 1), ("UPDATE dataset", 1)],
                ]
                .concat(),
            ),
        ),
        (
            "prune one history",
            on_a_changed_dataset(
                |_, _| (),
                |ours, dataset| assert_eq!(ours.prune_history(&HistoryKeep::new().of(dataset.id)).unwrap(), 2),
            ),
            written(&[
                ("SELECT dataset", 2),
                ("SELECT dataset_version", 1),
                ("DELETE dataset_version", 2),
                ("UPDATE dataset_version", 1),
            ]),
        ),
        (
            "create with an id",
            Box::new(|ours| drop(ours.create_dataset(NewDataset::new("Water").id(DatasetId::new())).unwrap())),
            written(&[("SELECT purged_dataset", 1), ("INSERT dataset", 1)]),
        ),
    ]
}

/// Changes since a cursor: the counter, and three indexes with the rows of the changes, 128 at once.
fn changes_since() -> Vec<Operation> {
    vec![
        (
            "changes, none",
            on_a_changed_dataset(
                |_, _| (),
                |ours, _| {
                    let now = ours.change_cursor().unwrap();
                    RAN.take();
                    assert!(ours.changes_since(&now).unwrap().items.is_empty());
                },
            ),
            vec![("SELECT counter", 1), ("WITH dataset", 2), ("SELECT purged_dataset", 1), ("PRAGMA", 1)],
        ),
        (
            "changes of every kind",
            on_a_dataset(|ours, purged| {
                let now = ours.change_cursor().unwrap();
                let [_, edited, deleted] = ours.create_datasets(requests(3, 1)).unwrap().try_into().unwrap();
                ours.update_dataset(edited.id, DatasetPatch::new().name("once")).unwrap();
                ours.delete_datasets([deleted.id, purged.id]).unwrap();
                ours.purge_dataset(purged.id).unwrap();
                RAN.take();
                assert_eq!(ours.changes_since(&now).unwrap().items.len(), 4);
            }),
            vec![("SELECT counter", 1), ("WITH dataset", 2), ("SELECT purged_dataset", 1), ("PRAGMA", 1)],
        ),
        (
            "cursor of now",
            on_a_changed_dataset(|_, _| (), |ours, _| assert_ne!(ours.change_cursor().unwrap(), ChangeCursor::start())),
            vec![
                ("SELECT counter", 1),
                ("SELECT dataset", 2),
                ("SELECT purged_dataset", 1),
                ("SELECT dataset", 1),
                ("PRAGMA", 1),
            ],
        ),
        (
            "changes from the start",
            Box::new(|ours| assert_eq!(ours.changes_since(&ChangeCursor::start()).unwrap().items.len(), 300)),
            vec![
                ("SELECT counter", 1),
                ("WITH dataset", 2),
                ("SELECT purged_dataset", 1),
                ("WITH dataset", 2),
                ("PRAGMA", 1),
            ],
        ),
    ]
}

fn reads_of_changes() -> Vec<Operation> {
    vec![
        (
            "page of the trash",
            on_a_changed_dataset(
                |ours, _| {
                    let ids: Vec<_> = ours.create_datasets(requests(3, 10)).unwrap().iter().map(|new| new.id).collect();
                    ours.delete_datasets(ids).unwrap();
                },
                |ours, _| assert_eq!(ours.deleted_datasets(&DatasetQuery::new().limit(2)).unwrap().items.len(), 2),
            ),
            // The third shows that there is more.
            [&READ_APART[..], &READ[..], &[("SELECT dataset", 3), ("PRAGMA", 1)]].concat(),
        ),
        (
            "page of the trash, oldest first",
            on_a_changed_dataset(
                |ours, dataset| ours.delete_dataset(dataset.id).unwrap(),
                |ours, _| {
                    let query = DatasetQuery::new().oldest_first().limit(1);
                    assert_eq!(ours.deleted_datasets(&query).unwrap().items.len(), 1);
                },
            ),
            vec![READ[0], ("SELECT dataset", 3), ("PRAGMA", 1)],
        ),
        (
            "count the trash",
            on_a_changed_dataset(
                |ours, dataset| ours.delete_dataset(dataset.id).unwrap(),
                |ours, _| assert_ne!(ours.count_deleted(&DatasetQuery::new()).unwrap(), 0),
            ),
            vec![("SELECT dataset", 1), ("PRAGMA", 1)],
        ),
        (
            "history",
            on_a_changed_dataset(
                |_, _| (),
                |ours, dataset| {
                    assert_eq!(ours.history(dataset.id, &HistoryQuery::new()).unwrap().items.len(), 5);
                },
            ),
            [&READ[..], &[("SELECT dataset_version", 1), ("PRAGMA", 1)]].concat(),
        ),
        (
            "version",
            on_a_changed_dataset(|_, _| (), |ours, dataset| assert!(ours.version(dataset.id, 1).unwrap().is_some())),
            [&READ[..], &[("SELECT dataset_version", 1), ("PRAGMA", 1)]].concat(),
        ),
    ]
}
