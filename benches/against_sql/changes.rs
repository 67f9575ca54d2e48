//! Jobs that ask for what has changed.

use std::hint::black_box;

use kpi_store::{ChangeState, DatasetPatch, NewDataset};

use crate::floor::changes::{self, State};
use crate::jobs::{Amount, Filled, Job, Sides, timed};

pub(crate) fn jobs() -> Vec<Job> {
    vec![
        Job::new("changes, 100 in 10,000 datasets", |amount| changed(amount, 100)),
        Job::new("changes, none in 10,000 datasets", |amount| changed(amount, 0)),
    ]
}

/// Of ten changes one is a creation, one a deletion, one a purge, and seven are edits.
fn changed(amount: Amount, count: usize) -> Sides {
    let filled = Filled::new(amount.of(10_000));
    let (uuid, organization) = (filled.uuid(), filled.store.organization(filled.organization));
    let (cursor, last) = (organization.change_cursor().unwrap(), last_number(&filled));
    for (index, dataset) in filled.datasets.iter().take(count).enumerate() {
        match index % 10 {
            0 => drop(organization.create_dataset(NewDataset::new("Rivers")).unwrap()),
            1 => organization.delete_dataset(dataset.id).unwrap(),
            2 => {
                organization.delete_dataset(dataset.id).unwrap();
                organization.purge_dataset(dataset.id).unwrap();
            }
            _ => drop(organization.update_dataset(dataset.id, DatasetPatch::new().name("Rivers")).unwrap()),
        }
    }
    let expected = organization.changes_since(&cursor).unwrap();
    assert_eq!(expected.items.len(), count);
    let (connection, file) = (filled.connection, filled.file);
    let found = changes::since(&connection, uuid, last).1;
    let states = expected.items.iter().map(|change| match change.state {
        ChangeState::Deleted => State::Deleted,
        ChangeState::Purged => State::Purged,
        _ => State::Present,
    });
    assert!(
        expected
            .items
            .iter()
            .map(|change| change.dataset.into())
            .zip(states)
            .eq(found.iter().map(|found| (found.1, found.2)))
    );
    let floor =
        move |times| timed(times, || assert_eq!(black_box(changes::since(&connection, uuid, last)).1.len(), count));
    let store = move |times| {
        let _kept = &file;
        timed(times, || assert_eq!(black_box(organization.changes_since(&cursor)).unwrap().items.len(), count))
    };
    Sides::new(floor, store)
}

fn last_number(filled: &Filled) -> i64 {
    filled.connection.query_one("SELECT max(seq) FROM dataset", [], |row| row.get(0)).unwrap()
}
