//! Following the changes, by the store and by its model: with cursors that were kept, and with watches.

use std::time::Duration;

use kpi_store::{ChangeCursor, ChangeState, Changes, Organization, OrganizationId, Result, Store, Watch};

use super::model::following::{Place, Told};
use super::requests::pick;
use super::world::{Checked, Counts, Handle, World};

/// A cursor of changes, and what it stands for.
#[derive(Clone)]
pub(crate) struct Followed {
    cursor: ChangeCursor,
    organization: OrganizationId,
    /// None at the start, which is of every organization.
    place: Option<Place>,
}

/// A watch, and where it is.
pub(crate) struct Watched {
    watch: Watch,
    organization: OrganizationId,
    place: Option<Place>,
}

/// What is told, and whether there is more.
type Seen = (Told, bool);

fn seen(changes: &Changes) -> Seen {
    let items = changes.items.iter().map(|change| (change.dataset, change.state)).collect();
    let damaged = changes.damaged.iter().map(|damage| (damage.index, damage.dataset)).collect();
    ((items, damaged), changes.has_more)
}

impl World {
    /// Asks what has changed, or for the cursor after the last change.
    pub(crate) fn follow_changes(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        if self.random.percent(20) {
            let organization = self.any_organization();
            let found = self.handles[handle].store.organization(organization).change_cursor();
            let expected = self.if_open(handle, Ok(()));
            let is_as_expected =
                self.compare("cursor", &expected, &found.as_ref().map(drop).map_err(Clone::clone), counts)?;
            if let (true, Ok(cursor)) = (is_as_expected, found) {
                self.followed.push(Followed { cursor, organization, place: Some(self.model.now(organization)) });
            }
            return Ok(());
        }
        let from = self.any_followed();
        self.follow_from(handle, &from, counts)?;
        // At the end there is nothing more.
        let last = self.followed.last().cloned().filter(|_| self.random.percent(30));
        last.map_or(Ok(()), |last| self.follow_from(handle, &last, counts))
    }

    fn follow_from(&mut self, handle: usize, from: &Followed, counts: &mut Counts) -> Checked {
        let organization = self.mostly(from.organization);
        let expected = if self.is_of_another(from, organization) {
            Err("invalid_cursor")
        } else {
            self.if_open(handle, self.model.since(organization, from.place))
        };
        let found = self.handles[handle].store.organization(organization).changes_since(&from.cursor);
        counts.note("changes since a cursor", found.is_ok());
        let what = format!("changes of {organization} since {:?} by {:?}", from.place, from.cursor);
        let next = self.compare_told(&what, expected, &found, counts)?;
        if let (Some(place), Ok(Changes { next: cursor, .. })) = (next, found) {
            if from.place.is_some() && (cursor == from.cursor) != (Some(place) == from.place) {
                return Err(format!("{what}: {cursor:?} is to stand for {place:?}"));
            }
            self.followed.push(Followed { cursor, organization, place: Some(place) });
        }
        Ok(())
    }

    /// Starts a watch, or asks the one that the handle has.
    pub(crate) fn watch(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let Some(mut watched) = self.handles[handle].watch.take().filter(|_| !self.random.percent(10)) else {
            return self.start_watch(handle, counts);
        };
        let Watched { watch, organization, place } = &mut watched;
        let expected = self.if_open(handle, self.model.since(*organization, *place));
        let found = watch.wait(Duration::ZERO);
        counts.note("watch", found.as_ref().is_ok_and(|changes| !changes.items.is_empty()));
        let what = format!("a watch of {organization} at {place:?}");
        let next = self.compare_told(&what, expected, &found, counts)?;
        if found.as_ref().is_ok_and(|changes| changes.next != *watch.cursor()) {
            return Err(format!("{what} is at {:?} after {found:?}", watch.cursor()));
        }
        if self.model.rules.a_watch_goes_on {
            *place = next.or(*place);
        }
        self.handles[handle].watch = Some(watched);
        Ok(())
    }

    fn start_watch(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let from = self.any_followed();
        let organization = self.mostly(from.organization);
        let watchable = if self.is_of_another(&from, organization) {
            Err("invalid_cursor")
        } else {
            self.model.since(organization, from.place).map(drop)
        };
        let found = self.handles[handle].store.organization(organization).watch(from.cursor);
        let started = found.as_ref().map(drop).map_err(Clone::clone);
        let is_as_expected = self.compare("start a watch", &self.if_open(handle, watchable), &started, counts)?;
        let watched = |watch| Watched { watch, organization, place: from.place };
        self.handles[handle].watch = found.ok().filter(|_| is_as_expected).map(watched);
        Ok(())
    }

    /// Compares what is told; returns the place after it.
    fn compare_told(
        &self,
        what: &str,
        expected: Result<(Told, Place), &'static str>,
        found: &Result<Changes>,
        counts: &mut Counts,
    ) -> Checked<Option<Place>> {
        let next = expected.as_ref().ok().map(|(_, next)| *next);
        let expected = expected.map(|(told, _)| (told, false));
        let found = found.as_ref().map(seen).map_err(Clone::clone);
        let is_as_expected = self.compare(what, &expected, &found, counts)?;
        let states = found.iter().flat_map(|((items, _), _)| items);
        let purged = states.filter(|(_, state)| *state == ChangeState::Purged).count();
        counts.purges_told += if is_as_expected { purged } else { 0 };
        Ok(next.filter(|_| is_as_expected))
    }

    /// A cursor that was kept, mostly one of the last, through text, as an application stores it; or the start.
    fn any_followed(&mut self) -> Followed {
        let organization = self.any_organization();
        let start = Followed { cursor: ChangeCursor::start(), organization, place: None };
        if self.random.percent(15) {
            return start;
        }
        let oldest = if self.random.percent(20) { 0 } else { self.followed.len().saturating_sub(6) };
        let kept: Vec<_> = self.followed[oldest..].iter().collect();
        let mut followed = pick(&mut self.random, &kept).cloned().unwrap_or(start);
        followed.cursor = followed.cursor.to_string().parse().unwrap();
        followed
    }

    fn mostly(&mut self, organization: OrganizationId) -> OrganizationId {
        if self.random.percent(90) { organization } else { self.any_organization() }
    }

    fn is_of_another(&self, followed: &Followed, organization: OrganizationId) -> bool {
        let is_other = followed.place.is_some() && followed.organization != organization;
        is_other && self.model.rules.a_cursor_of_changes_is_of_one_organization
    }

    /// Drops a handle; a watch does not keep its store open.
    pub(crate) fn drop_handle(&mut self, place: usize) -> Checked {
        let Handle { store, watch, .. } = self.handles.remove(place);
        drop(store);
        let Some(Watched { mut watch, .. }) = watch else { return Ok(()) };
        match watch.wait(Duration::ZERO) {
            Err(error) if error.code() == "closed" => Ok(()),
            told => Err(format!("a watch of a store that was dropped: {told:?}")),
        }
    }

    /// From the start and since the last kept cursor, the store tells what the model does.
    pub(crate) fn tells_what_is_modeled(&self, ours: &Organization) -> Checked {
        let since = self.last_followed(ours.id()).and_then(|followed| Some((&followed.cursor, followed.place?)));
        let start = ChangeCursor::start();
        for (cursor, place) in
            [Some((&start, None)), since.map(|(cursor, place)| (cursor, Some(place)))].iter().flatten()
        {
            let found = ours.changes_since(cursor).map(|changes| seen(&changes)).map_err(|error| error.code());
            let expected = self.model.since(ours.id(), *place).map(|(told, _)| (told, false));
            if found != expected {
                return Err(format!("since {place:?} expected {expected:?}, told {found:?}"));
            }
        }
        Ok(())
    }

    /// A backup that was opened for writing is another file.
    pub(crate) fn refuses_our_cursors(&self, copy: &Store) -> Checked {
        for organization in self.organizations {
            let Some(followed) = self.last_followed(organization) else { continue };
            let told = copy.organization(organization).changes_since(&followed.cursor);
            if !told.as_ref().is_err_and(|error| error.code() == "invalid_cursor") {
                return Err(format!("a cursor of another file: {told:?}"));
            }
        }
        Ok(())
    }

    fn last_followed(&self, organization: OrganizationId) -> Option<&Followed> {
        self.followed.iter().rev().find(|followed| followed.organization == organization && followed.place.is_some())
    }
}
