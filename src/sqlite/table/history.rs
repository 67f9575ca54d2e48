//! Earlier versions of a dataset, put together from the present backwards.
//!
//! Each change has what it replaced and the digests that the dataset had before, so every version is checked. A version
//! that cannot be put together, because a change is damaged, is reported as damaged; one that is not known, because
//! another tool has made a version after it, is left out.

use crate::error::Error;
use crate::model::diff::DatasetDiff;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::limits::PAGE_BYTES_MAX;
use crate::model::page::Damage;
use crate::model::record::Record;
use crate::model::version::{ChangeEntry, DatasetVersion, Origin};
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::change::{self, Stored};
use crate::sqlite::table::version::{self, Owner, StoredChange};

/// The revision of a new dataset.
const FIRST_REVISION: i64 = 1;

/// In place of the number of a change: before every change, however damaged their numbers are.
const CREATION: i64 = i64::MIN;

/// A step backwards through a history.
pub(in crate::sqlite) enum Step<'a> {
    /// The version `record`, made by `entry`, or by the creation. `before` is the version before it, if it is known.
    Version { record: &'a Record, entry: Option<&'a ChangeEntry>, before: Option<&'a Record> },
    /// A change is damaged, and with it the version that it made or the one that it replaced.
    Damaged { change: i64 },
    /// The last changes of the trail are missing.
    Incomplete,
}

/// Calls `visit` with each step, from the newest to the oldest, until it returns false. `newest` is the number of the last
/// change according to the state of the dataset, if that is known.
#[expect(clippy::option_option, reason = "`None` is not known, `Some(None)` was never changed")]
pub(in crate::sqlite) fn walk(
    snapshot: &Snapshot<'_>,
    owner: Owner,
    now: Record,
    newest: Option<Option<i64>>,
    mut visit: impl FnMut(Step<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut version = Some(now);
    // The last version that is known, to which the values that older changes replaced may still lead.
    let mut base: Option<Record> = None;
    let (mut is_damaged, mut is_behind_gap, mut is_ended, mut is_stopped) = (false, false, false, false);
    let (mut newest, mut newer) = (newest, None);
    version::for_each(snapshot, owner, |StoredChange { number, known }| {
        if newest.take().is_some_and(|newest| newest != Some(number)) {
            // The last changes are missing.
            is_damaged = true;
            base = version.take();
            is_stopped = !visit(Step::Damaged { change: i64::MAX })?;
            if is_stopped {
                return Ok(false);
            }
        }
        let Some((entry, replaced)) = known else {
            (is_damaged, newer) = (true, None);
            base = version.take().or(base.take());
            is_stopped = !visit(Step::Damaged { change: number })?;
            return Ok(!is_stopped);
        };
        if !follows(&entry, version.as_ref(), newer.replace(entry.origin)) {
            // Changes between are missing.
            is_damaged = true;
            base = version.take().or(base.take());
            is_stopped = !visit(Step::Damaged { change: number.saturating_add(1) })?;
            if is_stopped {
                return Ok(false);
            }
        }
        if !entry.origin.is_of_content() {
            let is_shown = version.as_ref();
            if let Some(record) = is_shown {
                is_stopped = !visit(Step::Version { record, entry: Some(&entry), before: None })?;
            }
            return Ok(!is_stopped);
        }
        let is_known = !replaced.is_empty();
        let mut before = version.as_ref().or(base.as_ref()).cloned();
        let is_restored = before.as_mut().is_some_and(|before| {
            let put_back = replaced.into_iter().try_for_each(|part| part.put_back(before));
            put_back.is_ok() && before.restore(entry.revision, entry.digest)
        });
        if let Some(record) = &version {
            let before = before.as_ref().filter(|_| is_restored);
            is_stopped = !visit(Step::Version { record, entry: Some(&entry), before })?;
        } else if is_damaged {
            is_stopped = !visit(Step::Damaged { change: number })?;
        }
        // What another tool has replaced is not known, so values from behind an accepted change need not lead anywhere.
        is_behind_gap = !is_restored && (is_behind_gap || entry.origin == Origin::Accepted);
        is_damaged = !is_restored && (is_damaged || (is_known && !is_behind_gap));
        is_ended = !is_known && entry.origin != Origin::Accepted;
        (version, base) = if is_restored { (before, None) } else { (None, before) };
        Ok(!is_stopped && !is_ended)
    })?;
    if is_stopped || is_ended {
        return Ok(());
    }
    let is_missing = newest.flatten().is_some() || newer == Some(Origin::Restored);
    match version {
        Some(record) if record.revision == FIRST_REVISION && !is_missing => {
            visit(Step::Version { record: &record, entry: None, before: None })?;
        }
        Some(_) => {
            visit(Step::Incomplete)?;
        }
        None if is_damaged => {
            visit(Step::Damaged { change: CREATION })?;
        }
        None => {}
    }
    Ok(())
}

/// Whether no change is missing between this one, which made `version`, and the one after it, of which `newer` is the
/// origin.
fn follows(entry: &ChangeEntry, version: Option<&Record>, newer: Option<Origin>) -> bool {
    let revision = entry.revision.saturating_add(i64::from(entry.origin.is_of_content()));
    let is_in_turn = match (newer, entry.origin) {
        (Some(Origin::Restored), origin) => origin == Origin::Deleted,
        // A dataset whose state was damaged can be deleted twice.
        (Some(newer), Origin::Deleted) => !newer.is_of_content(),
        _ => true,
    };
    is_in_turn && version.is_none_or(|version| version.revision == revision)
}

fn to_version(record: &Record, entry: Option<&ChangeEntry>, before: Option<&Record>) -> DatasetVersion {
    let dataset = record.dataset.clone();
    let (origin, changed_at, changed_by) = match entry {
        Some(entry) => (entry.origin, entry.changed_at, entry.changed_by),
        None => (Origin::Created, dataset.created_at, dataset.created_by),
    };
    let diff = before.map(|before| DatasetDiff::between(&before.dataset, &dataset));
    DatasetVersion { revision: record.revision.cast_unsigned(), origin, changed_at, changed_by, dataset, diff }
}

/// A page of a history.
pub(crate) struct RawHistory {
    pub(crate) items: Vec<DatasetVersion>,
    pub(crate) damaged: Vec<Damage>,
    /// The number of the change after which it continues; `None` at the end.
    pub(crate) next: Option<i64>,
}

/// Reads at most `limit` versions, the newest first, made before the change `after`, and at most 64 MiB of them.
pub(crate) fn page(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    id: DatasetId,
    after: Option<i64>,
    limit: u32,
) -> Result<RawHistory, Failure> {
    let Stored { owner, state, record } = change::find(snapshot, organization, id)?;
    let mut page = RawHistory { items: Vec::new(), damaged: Vec::new(), next: None };
    let (mut last, mut bytes) = (None, 0);
    walk(snapshot, owner, record, Some(state.map(|state| state.changed)), |step| {
        let change = match &step {
            Step::Version { entry, .. } => entry.map_or(CREATION, |entry| entry.change),
            Step::Damaged { change } => *change,
            Step::Incomplete => CREATION,
        };
        if after.is_some_and(|after| change >= after) {
            return Ok(true);
        }
        let count = page.items.len() + page.damaged.len();
        let size = if let Step::Version { record, .. } = &step { record.bytes() } else { 0 };
        if count == limit as usize || (count > 0 && bytes + size > PAGE_BYTES_MAX) {
            page.next = last;
            return Ok(false);
        }
        bytes += size;
        match step {
            Step::Version { record, entry, before } => page.items.push(to_version(record, entry, before)),
            Step::Damaged { .. } | Step::Incomplete => {
                page.damaged.push(Damage {
                    index: page.items.len(),
                    dataset: Some(id),
                    detail: DAMAGED_VERSION.into(),
                });
            }
        }
        last = Some(change);
        Ok(true)
    })?;
    Ok(page)
}

const DAMAGED_VERSION: &str = "a version of its history cannot be put together";

/// The newest version for which `is_wanted` is true; `None` if there is none.
pub(crate) fn find(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    id: DatasetId,
    is_wanted: impl Fn(&Record) -> bool,
) -> Result<Option<DatasetVersion>, Failure> {
    find_from(snapshot, &change::find(snapshot, organization, id)?, is_wanted, to_version)
}

/// The record of this revision, for a change of the dataset that was read.
pub(crate) fn record_of(snapshot: &Snapshot<'_>, stored: &Stored, revision: u64) -> Result<Record, Failure> {
    let is_wanted = |record: &Record| record.revision.cast_unsigned() == revision;
    let found = find_from(snapshot, stored, is_wanted, |record, _, _| record.clone())?;
    found.ok_or_else(|| Error::revision_not_found(stored.owner.id, revision).into())
}

fn find_from<T>(
    snapshot: &Snapshot<'_>,
    stored: &Stored,
    is_wanted: impl Fn(&Record) -> bool,
    found: impl Fn(&Record, Option<&ChangeEntry>, Option<&Record>) -> T,
) -> Result<Option<T>, Failure> {
    let (mut wanted, mut is_damaged) = (None, false);
    let Stored { owner, state, record } = stored;
    let newest = Some(state.map(|state| state.changed));
    walk(snapshot, *owner, record.clone(), newest, |step| {
        match step {
            // Of a version that was deleted and restored, the change that made it.
            Step::Version { entry: Some(entry), .. } if !entry.origin.is_of_content() => {}
            Step::Version { record, entry, before } if is_wanted(record) => wanted = Some(found(record, entry, before)),
            Step::Version { .. } => {}
            Step::Damaged { .. } | Step::Incomplete => is_damaged = true,
        }
        Ok(wanted.is_none())
    })?;
    match wanted {
        None if is_damaged => Err(Failure(damaged(DAMAGED_VERSION).with_dataset(stored.owner.id))),
        wanted => Ok(wanted),
    }
}

/// The damage of a history, if there is any. `now` is the dataset itself, unless it is damaged, and `changed` the
/// number of its last change, if that is known.
#[expect(clippy::option_option, reason = "`None` is not known, `Some(None)` was never changed")]
pub(in crate::sqlite) fn check(
    snapshot: &Snapshot<'_>,
    owner: Owner,
    now: Option<Record>,
    changed: Option<Option<i64>>,
) -> Result<Option<&'static str>, Failure> {
    let (mut is_damaged, mut newest) = (false, None);
    let checked = version::for_each(snapshot, owner, |change| {
        newest.get_or_insert(change.number);
        is_damaged |= change.known.is_none();
        Ok(now.is_none())
    });
    let checked = checked.and_then(|()| match now {
        Some(now) => walk(snapshot, owner, now, changed, |step| {
            is_damaged |= !matches!(step, Step::Version { .. });
            Ok(true)
        }),
        None => Ok(()),
    });
    match checked {
        Err(failure) if snapshot.is_damage(&failure) => return Ok(Some("its history cannot be read")),
        checked => checked?,
    }
    Ok(if is_damaged {
        Some(DAMAGED_VERSION)
    } else if changed.is_some_and(|changed| newest != changed) {
        Some("the last change of its history is not the last change of the dataset")
    } else {
        None
    })
}
