//! Checks whether what a power cut left keeps the promises.

use std::fmt::Write as _;

use kpi_store_test_support::TestFile;
use kpi_store_test_support::ledger::{self, Breach, Demand};

use super::images::{self, Image};
use super::session::{
    BACKUP_OF_UPGRADE, CLAIMED_BACKUP, Creation, Event, Noted, Outcome, Session, is_accepted, without_acceptances,
};
use crate::sqlite::schema::{SCHEMA, Schema};
use crate::{Dataset, DatasetQuery, Durability, Error, OrganizationId, Store};

/// How many images were checked, and what was wrong with them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) images: usize,
    pub(super) corrupt: usize,
    pub(super) partial: usize,
    pub(super) lost: usize,
    /// The first breaches, each with the seed and the cut that repeat it.
    pub(super) complaints: String,
}

impl Tally {
    pub(super) fn count(&mut self, checked: Result<(), Breach>, what: impl FnOnce() -> String) {
        self.images += 1;
        let Err(breach) = checked else { return };
        let (count, kind, text) = match breach {
            Breach::Corrupt(text) => (&mut self.corrupt, "corrupt", text),
            Breach::Partial(text) => (&mut self.partial, "partial", text),
            Breach::Lost(text) => (&mut self.lost, "lost", text),
        };
        *count += 1;
        if self.breaches() <= 5 {
            writeln!(self.complaints, "{}: {kind}: {text}", what()).unwrap();
        }
    }

    pub(super) fn breaches(&self) -> usize {
        self.corrupt + self.partial + self.lost
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.images += other.images;
        self.corrupt += other.corrupt;
        self.partial += other.partial;
        self.lost += other.lost;
        self.complaints += &other.complaints;
    }

    pub(super) fn assert_clean(&self) {
        assert!(self.breaches() == 0, "{self}\n{}", self.complaints);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { images, corrupt, partial, lost, .. } = self;
        write!(f, "{images} images: {corrupt} corrupt, {partial} partial, {lost} lost")
    }
}

/// What is expected of the images of a run.
pub(super) struct Expected<'a> {
    pub(super) events: &'a [Noted],
    pub(super) organization: OrganizationId,
    /// The list of migrations with which the file is opened last.
    pub(super) schema: &'static Schema,
    pub(super) promise: Durability,
}

impl Expected<'_> {
    /// Opens the files left by a power cut after `cut` operations of the record, and checks everything.
    pub(super) fn check(&self, image: &Image, cut: usize) -> Result<(), Breach> {
        let file = TestFile::in_memory();
        images::write(image, file.folder.path());
        self.check_backups(file.folder.path(), cut)?;
        if !std::ptr::eq(self.schema, &raw const SCHEMA) {
            self.check_versions(image, cut)?;
        }
        let options = Store::options().durability(self.promise);
        let store = options.open_with_schema(&file.path, self.schema).map_err(|error| unopened(&error))?;
        self.check_acceptances(&store, cut)?;
        self.judge(&self.look(&store)?, cut)?;
        write_something(&store)
    }

    /// A dataset that another tool changed is damage until it is accepted, which is done here if it was not before.
    fn check_acceptances(&self, store: &Store, cut: usize) -> Result<(), Breach> {
        let organization = store.organization(self.organization);
        for noted in self.events {
            let Event::Alteration { dataset } = &noted.event else { continue };
            let acceptances = self.events.iter().enumerate().filter_map(|(index, noted)| match &noted.event {
                Event::Acceptance { id, outcome } if *id == dataset.id => Some((index, outcome, noted)),
                _ => None,
            });
            let is_done = |(index, outcome, noted): (usize, &Outcome, &Noted)| {
                matches!(outcome, Outcome::Acknowledged(_)) && noted.ended <= cut && self.must_hold(index, cut)
            };
            let is_tried = |(_, outcome, noted): (usize, &Outcome, &Noted)| {
                *outcome != Outcome::Refused && (noted.began == 0 || noted.began < cut)
            };
            let found = organization.dataset(dataset.id);
            match &found {
                Ok(Some(found)) if is_accepted(found, dataset) && acceptances.clone().any(is_tried) => continue,
                Err(Error::Corrupt { .. }) if acceptances.clone().any(is_done) => {
                    return Err(Breach::Lost(format!("the acceptance of {}", dataset.id)));
                }
                Err(Error::Corrupt { .. }) => {}
                _ => return Err(Breach::Corrupt(format!("altered, and reads {found:?}"))),
            }
            let accepted = organization.accept_dataset(dataset.id);
            if !matches!(&accepted, Ok(accepted) if is_accepted(accepted, dataset)) {
                return Err(Breach::Corrupt(format!("accepting again: {accepted:?}")));
            }
        }
        Ok(())
    }

    /// A file interrupted in an upgrade is complete, in the old version or the new one.
    fn check_versions(&self, image: &Image, cut: usize) -> Result<(), Breach> {
        let file = TestFile::in_memory();
        images::write(image, file.folder.path());
        match Store::open(&file.path) {
            Ok(_)
                if self.promise == Durability::Full && self.has_ended(cut, |event| matches!(event, Event::Upgrade)) =>
            {
                Err(Breach::Lost("the upgrade".to_owned()))
            }
            Ok(store) => {
                self.judge(&self.look(&store)?, cut)?;
                write_something(&store)
            }
            Err(Error::TooNew { found: 2, .. }) if image.contains_key(BACKUP_OF_UPGRADE) => Ok(()),
            Err(Error::TooNew { found: 2, .. }) => Err(Breach::Lost("the copy of before the upgrade".to_owned())),
            Err(error) => Err(unopened(&error)),
        }
    }

    /// A backup under its name is complete, or there is none. Two states are possible besides, and documented: it still
    /// has the name of its draft too, which must be removed first; or, without hard links, its name is only claimed.
    fn check_backups(&self, folder: &std::path::Path, cut: usize) -> Result<(), Breach> {
        for noted in self.events {
            let Event::Backup { name, holds, is_acknowledged } = &noted.event else { continue };
            let file = folder.join(name);
            if !file.exists() {
                if *is_acknowledged && noted.ended <= cut {
                    return Err(Breach::Lost(format!("the backup {name}")));
                }
                continue;
            }
            let is_claim = name == CLAIMED_BACKUP && file.metadata().is_ok_and(|metadata| metadata.len() == 0);
            if is_claim && !(*is_acknowledged && noted.ended <= cut) {
                continue;
            }
            let store = match Store::open(&file) {
                Err(Error::InvalidPath { .. }) => {
                    images::remove_drafts(folder);
                    Store::open(&file)
                }
                opened => opened,
            };
            let found = self.look(&store.map_err(|error| unopened(&error))?)?;
            if found != *holds {
                return Err(Breach::Partial(format!("{name} holds {} datasets of {}", found.len(), holds.len())));
            }
        }
        Ok(())
    }

    /// Everything in the store, as [`judge`](Self::judge) compares it.
    fn look(&self, store: &Store) -> Result<Vec<Dataset>, Breach> {
        Ok(without_acceptances(self.events, look(store, self.organization)?))
    }

    /// Holds what was found against the ledger.
    pub(super) fn judge(&self, found: &[Dataset], cut: usize) -> Result<(), Breach> {
        let creations = self.events.iter().enumerate().filter_map(|(index, noted)| match &noted.event {
            Event::Creation(creation) => Some((creation, self.demand(index, noted, &creation.outcome, cut))),
            _ => None,
        });
        ledger::judge(creations, found, |dataset| (dataset.id, dataset.kpis.len()))
    }

    /// What must be found of a creation after a cut.
    fn demand(&self, index: usize, noted: &Noted, outcome: &Outcome, cut: usize) -> Demand {
        match outcome.demand() {
            _ if noted.began > 0 && noted.began >= cut => Demand::Absent,
            Demand::Present if noted.ended > cut || !self.must_hold(index, cut) => Demand::InOrder,
            demand => demand,
        }
    }

    /// Whether an acknowledged creation must survive a later cut.
    fn must_hold(&self, index: usize, cut: usize) -> bool {
        let is_closing = |noted: &Noted| matches!(noted.event, Event::Closing) && noted.ended <= cut;
        self.promise == Durability::Full || self.events[index..].iter().any(is_closing)
    }

    fn has_ended(&self, cut: usize, is_it: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|noted| is_it(&noted.event) && noted.ended <= cut)
    }
}

/// Everything in the store, after `verify` found nothing.
fn look(store: &Store, organization: OrganizationId) -> Result<Vec<Dataset>, Breach> {
    let look = || {
        let verification = store.verify()?;
        let organization = store.organization(organization);
        let listed = organization.iter_datasets(&DatasetQuery::new()).collect::<crate::Result<Vec<_>>>()?;
        let counted = organization.count_datasets(&DatasetQuery::new())?;
        Ok((verification, listed, counted))
    };
    let (verification, listed, counted) =
        look().map_err(|error: Error| Breach::Corrupt(format!("reading: {error:?}")))?;
    let count = u64::try_from(listed.len()).unwrap();
    if !verification.is_whole() || verification.datasets != count || counted != count {
        return Err(Breach::Corrupt(format!("{verification:?}, {count} listed, {counted} counted")));
    }
    Ok(listed)
}

fn write_something(store: &Store) -> Result<(), Breach> {
    let organization = store.organization(OrganizationId::new());
    let created = organization.create_dataset(super::session::request(1));
    let created = created.map_err(|error| Breach::Corrupt(format!("writing: {error:?}")))?;
    let read = organization.dataset(created.id);
    if !matches!(&read, Ok(Some(read)) if *read == created) {
        return Err(Breach::Corrupt(format!("what was written afterwards reads {read:?}")));
    }
    store.clone().close().map_err(|error| Breach::Corrupt(format!("closing: {error:?}")))
}

fn unopened(error: &Error) -> Breach {
    Breach::Corrupt(format!("opening: {error:?}"))
}

/// The ledger of a session that begins with the files left by a power cut: whatever is found at first must stay.
pub(super) fn found_in(
    image: &Image,
    events: &[Noted],
    organization: OrganizationId,
    schema: &'static Schema,
) -> Vec<Noted> {
    let mut session = Session::on(image, Durability::Full);
    (session.organization, session.schema) = (organization, schema);
    let copies = events.iter().map(|noted| noted.event.clone());
    let copies = copies.filter(|event| match event {
        Event::Backup { name, .. } => image.get(name).is_some_and(|bytes| !bytes.is_empty()),
        event => matches!(event, Event::Alteration { .. }),
    });
    session.open().unwrap();
    copies.for_each(|event| session.note(0, event));
    for (dataset, _) in session.altered() {
        if session.store().organization(organization).dataset(dataset.id).is_ok() {
            session.note(0, Event::Acceptance { id: dataset.id, outcome: Outcome::Acknowledged(vec![dataset]) });
        }
    }
    let mut events = session.events.clone();
    session.accept_the_rest().unwrap();
    let creation = |dataset: Dataset| {
        let asked = vec![(dataset.id, dataset.kpis.len())];
        Event::Creation(Creation { asked, outcome: Outcome::Acknowledged(vec![dataset]) })
    };
    let found = session.read().unwrap().into_iter().map(creation);
    events.extend(found.map(|event| Noted { event, began: 0, ended: 0 }));
    events
}
