//! The calls of an organization, each with an attack by the ids and cursors of another.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kpi_store::{
    ChangeCursor, DatasetPatch, DatasetQuery, Error, HistoryKeep, HistoryQuery, KpiPatch, LoadOptions, Loaded,
    NewDataset, NewKpi, ValueType,
};

use super::{Tenants, all, told};

/// Attacks the other organization, and returns everything that it is shown.
pub(super) type Attack = fn(&Tenants) -> String;

/// A new call is added here.
pub(super) const ATTACKS: [(&str, Attack); 35] = [
    ("accept_dataset", |tenants| told(tenants.all_ids().map(|id| tenants.ours.accept_dataset(id)))),
    ("acting_as", |tenants| {
        let ours = tenants.ours.acting_as(tenants.theirs.user().unwrap());
        let created = ours.create_dataset(NewDataset::new("under another name")).unwrap();
        assert_eq!(created.organization_id, tenants.ours.id());
        format!("{:?} {:?}", ours.count_datasets(&DatasetQuery::new()), all(&ours))
            .replace(&tenants.theirs.user().unwrap().to_string(), "<user>")
    }),
    ("change_cursor", |tenants| told([tenants.ours.change_cursor()].iter())),
    ("changes_since", |tenants| {
        let theirs = tenants.theirs.change_cursor().unwrap();
        assert!(matches!(tenants.ours.changes_since(&theirs), Err(Error::InvalidCursor)));
        let changes = tenants.ours.changes_since(&ChangeCursor::start()).unwrap();
        let ours = tenants.ours_only.len() + tenants.ours.deleted_datasets(&DatasetQuery::new()).unwrap().items.len();
        assert_eq!(changes.items.len(), ours);
        assert!(changes.damaged.is_empty());
        format!("{changes:?}")
    }),
    ("count_datasets", |tenants| {
        let count = tenants.ours.count_datasets(&DatasetQuery::new().after(&tenants.cursor_of_theirs)).unwrap();
        assert_eq!(count, tenants.ours_only.len() as u64);
        let counts = searches(tenants).map(|query| tenants.ours.count_datasets(&query).unwrap());
        assert_eq!(counts, [0, 0, 3, 3, 3]);
        count.to_string()
    }),
    ("count_deleted", |tenants| {
        let count = tenants.ours.count_deleted(&DatasetQuery::new().after(&tenants.cursor_of_theirs)).unwrap();
        assert_eq!(count, 1);
        let counts = searches(tenants).map(|query| tenants.ours.count_deleted(&query).unwrap());
        assert_eq!(counts, [0, 0, 1, 1, 1]);
        count.to_string()
    }),
    ("create_dataset", |tenants| {
        let kpi = tenants.theirs_only[0].kpis[0].id;
        let create = |id| {
            let new = NewDataset::new("taken?").id(id).kpi(NewKpi::new("taken?").id(kpi));
            tenants.ours.create_dataset(new)
        };
        told(tenants.all_ids().map(create)).replace(&kpi.to_string(), "<asked>")
    }),
    ("create_datasets", |tenants| {
        let all = tenants.all_ids().map(|id| NewDataset::new("taken?").id(id));
        format!("{:?}", tenants.ours.create_datasets(all))
    }),
    ("create_kpi", |tenants| {
        let kpi = tenants.theirs_only[0].kpis[0].id;
        let create = |id| tenants.ours.create_kpi(id, NewKpi::new("taken?").id(kpi));
        told(tenants.all_ids().map(create)).replace(&kpi.to_string(), "<asked>")
    }),
    ("dataset", |tenants| told(tenants.all_ids().map(|id| tenants.ours.dataset(id)))),
    ("datasets", |tenants| {
        let query = DatasetQuery::new().limit(1_000);
        let pages = [query.clone(), query.clone().newest_first(), query.after(&tenants.cursor_of_theirs)];
        told(pages.iter().chain(&searches(tenants)).map(|query| tenants.ours.datasets(query)))
    }),
    ("delete_dataset", |tenants| told(tenants.all_ids().map(|id| tenants.ours.delete_dataset(id)))),
    ("delete_datasets", |tenants| {
        let all = tenants.ours.delete_datasets(tenants.all_ids());
        format!("{all:?} {}", told(tenants.all_ids().map(|id| tenants.ours.delete_datasets([id]))))
    }),
    ("deleted_datasets", |tenants| {
        let query = DatasetQuery::new().limit(1_000);
        let pages = [query.clone(), query.clone().oldest_first(), query.after(&tenants.cursor_of_theirs)];
        told(pages.iter().chain(&searches(tenants)).map(|query| tenants.ours.deleted_datasets(query)))
    }),
    ("history", |tenants| {
        let queries = [HistoryQuery::new(), HistoryQuery::new().after(&tenants.cursor_of_theirs)];
        told(tenants.all_ids().flat_map(|id| queries.clone().map(|query| tenants.ours.history(id, &query))))
    }),
    ("id", |tenants| tenants.ours.id().to_string()),
    ("iter_datasets", |tenants| {
        let crossing = DatasetQuery::new().after(&tenants.cursor_of_theirs);
        format!("{:?} {}", all(&tenants.ours), told(tenants.ours.iter_datasets(&crossing)))
    }),
    ("iter_summaries", |tenants| {
        let crossing = DatasetQuery::new().after(&tenants.cursor_of_theirs);
        let queries = searches(tenants).into_iter().chain([DatasetQuery::new(), crossing]);
        told(queries.flat_map(|query| tenants.ours.iter_summaries(&query.limit(2))))
    }),
    ("load_datasets", |tenants| {
        let load = |id| tenants.ours.load_datasets([NewDataset::new("taken?").id(id)], LoadOptions::new());
        let untimed = |loaded: Loaded| (loaded.datasets, loaded.kpis);
        told(tenants.all_ids().map(|id| load(id).map(untimed)))
    }),
    ("property", |tenants| {
        let keys = ["shared key", "a key of theirs", "", "\0"];
        told(keys.iter().map(|key| tenants.ours.property(key)))
    }),
    ("property_keys", |tenants| told(std::iter::once(tenants.ours.property_keys()))),
    ("prune_history", |tenants| {
        let of_each = tenants.all_ids().map(|id| HistoryKeep::new().of(id));
        told(of_each.chain([HistoryKeep::new()]).map(|keep| tenants.ours.prune_history(&keep)))
    }),
    ("purge_dataset", |tenants| told(tenants.all_ids().map(|id| tenants.ours.purge_dataset(id)))),
    ("purge_deleted_before", |tenants| {
        let purged = tenants.ours.purge_deleted_before(DateTime::<Utc>::MAX_UTC).unwrap();
        assert_eq!(purged, 1);
        purged.to_string()
    }),
    ("restore_dataset", |tenants| told(tenants.all_ids().map(|id| tenants.ours.restore_dataset(id)))),
    ("restore_datasets", |tenants| {
        let all = tenants.ours.restore_datasets(tenants.all_ids());
        format!("{all:?} {}", told(tenants.all_ids().map(|id| tenants.ours.restore_datasets([id]))))
    }),
    ("revert_dataset", |tenants| {
        let seen = tenants.theirs_only.iter().chain(&tenants.deleted[1..]);
        told(seen.flat_map(|theirs| [1, 2].map(|revision| tenants.ours.revert_dataset(theirs, revision))))
    }),
    ("save_dataset", |tenants| {
        let save = |theirs: &kpi_store::Dataset| {
            let mut draft = theirs.edit();
            draft.name = "taken?".into();
            tenants.ours.save_dataset(&draft)
        };
        told(tenants.theirs_only.iter().chain(&tenants.deleted[1..]).map(save))
    }),
    ("set_properties", |tenants| {
        let (keys, contents) = (["shared key", "a key of theirs"], [Some(b"taken?".as_slice()), None]);
        told(contents.into_iter().map(|content| tenants.ours.set_properties(keys.map(|key| (key, content)))))
    }),
    ("summaries", |tenants| {
        let query = DatasetQuery::new().limit(1_000);
        let pages = [query.clone(), query.clone().newest_first(), query.after(&tenants.cursor_of_theirs)];
        told(pages.iter().chain(&searches(tenants)).map(|query| tenants.ours.summaries(query)))
    }),
    ("update_dataset", |tenants| {
        let kpi = tenants.theirs_only[0].kpis[0].id;
        let patches = [
            DatasetPatch::new().name("taken?"),
            DatasetPatch::new().update_kpi(kpi, KpiPatch::new().name("taken?")),
            DatasetPatch::new().delete_kpi(kpi),
            DatasetPatch::new().order_kpis([kpi]),
            DatasetPatch::new().name("taken?").if_unchanged(&tenants.theirs_only[0]),
        ];
        let update = |id| patches.clone().map(|patch| tenants.ours.update_dataset(id, patch));
        told(tenants.all_ids().map(update)).replace(&kpi.to_string(), "<asked>")
    }),
    ("user", |tenants| format!("{:?}", tenants.ours.user())),
    ("version", |tenants| told(tenants.all_ids().map(|id| [1, 2].map(|revision| tenants.ours.version(id, revision))))),
    ("version_at", |tenants| {
        let times = [None, tenants.theirs_only[0].updated_at];
        told(tenants.all_ids().map(|id| times.map(|time| tenants.ours.version_at(id, time))))
    }),
    ("watch", |tenants| {
        let theirs = tenants.theirs.change_cursor().unwrap();
        assert!(matches!(tenants.ours.watch(theirs), Err(Error::InvalidCursor)));
        let mut watch = tenants.ours.watch(ChangeCursor::start()).unwrap();
        let first = watch.wait(Duration::ZERO).unwrap();
        assert!(!first.items.is_empty(), "the control: it tells ours");
        let second = watch.wait(Duration::from_millis(1)).unwrap();
        assert!(second.items.is_empty(), "it tells theirs");
        format!("{watch:?} {first:?} {second:?}")
    }),
];

/// Queries for what only the other organization has, and then for what both have.
fn searches(tenants: &Tenants) -> [DatasetQuery; 5] {
    let new = DatasetQuery::new;
    [
        new().matching("theirs"),
        new().created_by(tenants.theirs.user().unwrap()),
        new().matching("r").recently_changed_first(),
        new().with_value_type(ValueType::Number),
        new().recently_changed_first(),
    ]
}
