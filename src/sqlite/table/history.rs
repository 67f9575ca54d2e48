//! Earlier versions of a dataset, put together from the present backwards.
//!
//! Each change has what it replaced and the digests that the dataset had before, so every version is checked. A version
//! that cannot be put together, because a change is damaged, is reported as damaged; one that is not known, because
//! another tool has made a version after it, is left out.

use crate::error::Error;
use crate::model::diff::DatasetDiff;
use crate::model::earlier::Earlier;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::limits::PAGE_BYTES_MAX;
use crate::model::page::Damage;
use crate::model::record::{FIRST_REVISION, Record};
use crate::model::version::{ChangeEntry, DatasetVersion, Origin};
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::change::{self, Stored};
use crate::sqlite::table::version::{self, Owner, StoredChange};

/// In place of the number of a change: before every change, however damaged their numbers are.
const CREATION: i64 = i64::MIN;

/// A step backwards through a history.
pub(in crate::sqlite) enum Step<'a> {
    /// A version, made by `entry`, or by the creation.
    Version { version: &'a mut Earlier, entry: Option<&'a ChangeEntry> },
    /// The version before that of the last step, if it is known. Follows every version that a change of content made.
    Before(Option<&'a mut Earlier>),
    /// A change is damaged, and with it the version that it made or the one that it replaced.
    Damaged { change: i64 },
    /// The last changes of the trail are missing.
    Incomplete,
}

/// Calls `visit` with each step, from the newest to the oldest, until it returns false. `newest` is the number of the
/// last change according to the state of the dataset, if that is known.
#[expect(clippy::option_option, reason = "`None` is not known, `Some(None)` was never changed")]
pub(in crate::sqlite) fn walk(
    snapshot: &Snapshot<'_>,
    owner: Owner,
    now: Record,
    newest: Option<Option<i64>>,
    mut visit: impl FnMut(Step<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut earlier = Earlier::new(now);
    // Whether it holds the version that the next change made. Otherwise it began as the last one that is known, from
    // which the values that older changes replaced may still lead to a version.
    let mut is_version = true;
    let (mut is_damaged, mut is_ended, mut is_stopped) = (false, false, false);
    let (mut newest, mut newer) = (newest, None);
    version::for_each(snapshot, owner, |StoredChange { number, known }| {
        if newest.take().is_some_and(|newest| newest != Some(number)) {
            // The last changes are missing.
            (is_damaged, is_version) = (true, false);
            is_stopped = !visit(Step::Damaged { change: i64::MAX })?;
            if is_stopped {
                return Ok(false);
            }
        }
        let Some((entry, replaced)) = known else {
            (is_damaged, is_version, newer) = (true, false, None);
            is_stopped = !visit(Step::Damaged { change: number })?;
            return Ok(!is_stopped);
        };
        let revision = is_version.then_some(earlier.unordered().revision);
        if !follows(&entry, revision, newer.replace(entry.origin)) {
            // Changes between are missing.
            (is_damaged, is_version) = (true, false);
            is_stopped = !visit(Step::Damaged { change: number.saturating_add(1) })?;
            if is_stopped {
                return Ok(false);
            }
        }
        if is_version {
            is_stopped = !visit(Step::Version { version: &mut earlier, entry: Some(&entry) })?;
        } else if is_damaged && entry.origin.is_of_content() {
            is_stopped = !visit(Step::Damaged { change: number })?;
        }
        if is_stopped || !entry.origin.is_of_content() {
            return Ok(!is_stopped);
        }
        let is_known = !replaced.is_empty();
        let is_put_back = replaced.into_iter().try_for_each(|part| part.put_back(&mut earlier)).is_ok();
        let is_restored = is_put_back && earlier.is_version(entry.revision, entry.digest);
        if is_version {
            is_stopped = !visit(Step::Before(is_restored.then_some(&mut earlier)))?;
        }
        // Behind a gap nothing is damaged only because it cannot be put together.
        is_damaged = !is_restored && (is_damaged || (is_known && is_version));
        is_ended = !is_known && entry.origin != Origin::Accepted;
        is_version = is_restored;
        Ok(!is_stopped && !is_ended)
    })?;
    if is_stopped || is_ended {
        return Ok(());
    }
    let is_missing = newest.flatten().is_some() || newer == Some(Origin::Restored);
    if !is_version {
        if is_damaged {
            visit(Step::Damaged { change: CREATION })?;
        }
    } else if earlier.unordered().revision == FIRST_REVISION && !is_missing {
        visit(Step::Version { version: &mut earlier, entry: None })?;
    } else {
        visit(Step::Incomplete)?;
    }
    Ok(())
}

/// Whether no change is missing between this one, which made the version with the revision `made`, and the one after
/// it, of which `newer` is the origin.
fn follows(entry: &ChangeEntry, made: Option<i64>, newer: Option<Origin>) -> bool {
    let revision = entry.revision.saturating_add(i64::from(entry.origin.is_of_content()));
    let is_in_turn = match (newer, entry.origin) {
        (Some(Origin::Restored), origin) => origin == Origin::Deleted,
        // A dataset whose state was damaged can be deleted twice.
        (Some(newer), Origin::Deleted) => !newer.is_of_content(),
        _ => true,
    };
    is_in_turn && made.is_none_or(|made| made == revision)
}

fn to_version(version: &mut Earlier, entry: Option<&ChangeEntry>) -> DatasetVersion {
    let record = version.in_display_order();
    let dataset = record.dataset.clone();
    let (origin, changed_at, changed_by) = match entry {
        Some(entry) => (entry.origin, entry.changed_at, entry.changed_by),
        None => (Origin::Created, dataset.created_at, dataset.created_by),
    };
    DatasetVersion { revision: record.revision.cast_unsigned(), origin, changed_at, changed_by, dataset, diff: None }
}

fn compare(version: &mut DatasetVersion, before: &mut Earlier) {
    version.diff = Some(DatasetDiff::between(&before.in_display_order().dataset, &version.dataset));
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
    // Whether the page has the version of the last step.
    let mut is_listed = false;
    walk(snapshot, owner, record, Some(state.map(|state| state.changed)), |step| {
        let (change, version) = match step {
            Step::Version { version, entry } => (entry.map_or(CREATION, |entry| entry.change), Some((version, entry))),
            Step::Damaged { change } => (change, None),
            Step::Incomplete => (CREATION, None),
            Step::Before(before) => {
                if let (Some(version), Some(before)) = (page.items.last_mut().filter(|_| is_listed), before) {
                    compare(version, before);
                }
                return Ok(true);
            }
        };
        is_listed = false;
        if after.is_some_and(|after| change >= after) {
            return Ok(true);
        }
        let count = page.items.len() + page.damaged.len();
        let size = version.as_ref().map_or(0, |(version, _)| version.unordered().bytes());
        if count == limit as usize || (count > 0 && bytes + size > PAGE_BYTES_MAX) {
            page.next = last;
            return Ok(false);
        }
        bytes += size;
        is_listed = version.is_some();
        if let Some((version, entry)) = version {
            page.items.push(to_version(version, entry));
        } else {
            let index = page.items.len();
            page.damaged.push(Damage { index, dataset: Some(id), detail: DAMAGED_VERSION.into() });
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
    find_from(snapshot, change::find(snapshot, organization, id)?, is_wanted, to_version, compare)
}

/// The record of this revision, for a change of the dataset that was read.
pub(crate) fn record_of(snapshot: &Snapshot<'_>, stored: &Stored, revision: u64) -> Result<Record, Failure> {
    let is_wanted = |record: &Record| record.revision.cast_unsigned() == revision;
    let to_record = |version: &mut Earlier, _: Option<&ChangeEntry>| version.in_display_order().clone();
    let found = find_from(snapshot, stored.clone(), is_wanted, to_record, |_, _| ())?;
    found.ok_or_else(|| Error::revision_not_found(stored.owner.id, revision).into())
}

/// Makes a `T` of the newest version for which `is_wanted` is true, and gives it the version before, if that is known.
fn find_from<T>(
    snapshot: &Snapshot<'_>,
    Stored { owner, state, record }: Stored,
    is_wanted: impl Fn(&Record) -> bool,
    found: impl Fn(&mut Earlier, Option<&ChangeEntry>) -> T,
    compare: impl Fn(&mut T, &mut Earlier),
) -> Result<Option<T>, Failure> {
    let (mut wanted, mut is_damaged) = (None, false);
    walk(snapshot, owner, record, Some(state.map(|state| state.changed)), |step| {
        match step {
            // Of a version that was deleted and restored, the change that made it.
            Step::Version { entry: Some(entry), .. } if !entry.origin.is_of_content() => {}
            Step::Version { version, entry } => {
                if is_wanted(version.unordered()) {
                    wanted = Some(found(version, entry));
                }
            }
            Step::Before(before) => {
                if let (Some(wanted), Some(before)) = (&mut wanted, before) {
                    compare(wanted, before);
                }
                return Ok(wanted.is_none());
            }
            Step::Damaged { .. } | Step::Incomplete => is_damaged = true,
        }
        Ok(true)
    })?;
    match wanted {
        None if is_damaged => Err(Failure(damaged(DAMAGED_VERSION).with_dataset(owner.id))),
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
            is_damaged |= matches!(step, Step::Damaged { .. } | Step::Incomplete);
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
