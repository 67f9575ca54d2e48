//! Whether what a power cut left is what was promised.

use std::fmt::Write as _;

use super::images::{self, Image};
use super::scene::{BACKUP_OF_UPGRADE, Event, Fate, Noted, Scene, folder};
use crate::sqlite::schema::{SCHEMA, Schema};
use crate::{Dataset, DatasetId, DatasetQuery, Durability, Error, OrganizationId, Store};

/// How what was found breaks the promise.
#[derive(Debug)]
pub(super) enum Harm {
    /// It does not open, cannot be written, `verify` finds something, or it holds what was never stored.
    Corrupt(String),
    /// Something is there in part, or not as it was written.
    Partial(String),
    /// Something that was acknowledged is not there.
    Lost(String),
}

/// How many images were looked at, and what was wrong with them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) images: usize,
    pub(super) corrupt: usize,
    pub(super) partial: usize,
    pub(super) lost: usize,
    /// The first harms, with what repeats them.
    pub(super) complaints: String,
}

impl Tally {
    pub(super) fn count(&mut self, checked: Result<(), Harm>, what: impl FnOnce() -> String) {
        self.images += 1;
        let Err(harm) = checked else { return };
        let (count, kind, text) = match harm {
            Harm::Corrupt(text) => (&mut self.corrupt, "corrupt", text),
            Harm::Partial(text) => (&mut self.partial, "partial", text),
            Harm::Lost(text) => (&mut self.lost, "lost", text),
        };
        *count += 1;
        if self.harms() <= 5 {
            writeln!(self.complaints, "{}: {kind}: {text}", what()).unwrap();
        }
    }

    pub(super) fn harms(&self) -> usize {
        self.corrupt + self.partial + self.lost
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.images += other.images;
        self.corrupt += other.corrupt;
        self.partial += other.partial;
        self.lost += other.lost;
        self.complaints += &other.complaints;
    }

    pub(super) fn is_clean(&self) {
        assert!(self.harms() == 0, "{self}\n{}", self.complaints);
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
    /// The list of migrations by which the file is opened at last.
    pub(super) schema: &'static Schema,
    pub(super) promise: Durability,
}

impl Expected<'_> {
    /// Opens what was left when the power was cut at the place `cut` of the record, and looks at everything.
    pub(super) fn check(&self, image: &Image, cut: usize) -> Result<(), Harm> {
        let folder = folder();
        images::write(image, folder.path());
        self.check_backups(folder.path(), cut)?;
        let file = folder.path().join("kpis.db");
        if !std::ptr::eq(self.schema, &raw const SCHEMA) {
            self.check_versions(image, cut)?;
        }
        let options = Store::options().durability(self.promise);
        let store = options.open_with_schema(&file, self.schema).map_err(|error| unopened(&error))?;
        self.check_acceptances(&store, cut)?;
        self.judge(&look(&store, self.organization)?, cut)?;
        write_something(&store)
    }

    /// What another tool changed is as it was accepted, or damage until it is: that is done here where it was not.
    fn check_acceptances(&self, store: &Store, cut: usize) -> Result<(), Harm> {
        let organization = store.organization(self.organization);
        for noted in self.events {
            let Event::Alteration { dataset } = &noted.event else { continue };
            let acceptances = self.events.iter().enumerate().filter_map(|(index, noted)| match &noted.event {
                Event::Acceptance { id, fate } if *id == dataset.id => Some((index, fate, noted)),
                _ => None,
            });
            let is_done = |(index, fate, noted): (usize, &Fate, &Noted)| {
                matches!(fate, Fate::Acknowledged(_)) && noted.ended <= cut && self.must_hold(index, cut)
            };
            let is_tried = |(_, fate, noted): (usize, &Fate, &Noted)| {
                *fate != Fate::Refused && (noted.began == 0 || noted.began < cut)
            };
            let found = organization.dataset(dataset.id);
            match &found {
                Ok(Some(found)) if found == dataset && acceptances.clone().any(is_tried) => continue,
                Err(Error::Corrupt { .. }) if acceptances.clone().any(is_done) => {
                    return Err(Harm::Lost(format!("the acceptance of {}", dataset.id)));
                }
                Err(Error::Corrupt { .. }) => {}
                _ => return Err(Harm::Corrupt(format!("altered, and reads {found:?}"))),
            }
            let accepted = organization.accept_dataset(dataset.id);
            if !matches!(&accepted, Ok(Some(accepted)) if accepted == dataset) {
                return Err(Harm::Corrupt(format!("accepting again: {accepted:?}")));
            }
        }
        Ok(())
    }

    /// Between two versions the file is of one or the other, with all that is in it.
    fn check_versions(&self, image: &Image, cut: usize) -> Result<(), Harm> {
        let folder = folder();
        images::write(image, folder.path());
        match Store::open(folder.path().join("kpis.db")) {
            Ok(_)
                if self.promise == Durability::Full && self.has_ended(cut, |event| matches!(event, Event::Upgrade)) =>
            {
                Err(Harm::Lost("the upgrade".to_owned()))
            }
            Ok(store) => {
                self.judge(&look(&store, self.organization)?, cut)?;
                write_something(&store)
            }
            Err(Error::TooNew { found: 2, .. }) if image.contains_key(BACKUP_OF_UPGRADE) => Ok(()),
            Err(Error::TooNew { found: 2, .. }) => Err(Harm::Lost("the copy of before the upgrade".to_owned())),
            Err(error) => Err(unopened(&error)),
        }
    }

    /// A copy under its name is whole, or there is none.
    fn check_backups(&self, folder: &std::path::Path, cut: usize) -> Result<(), Harm> {
        for noted in self.events {
            let Event::Backup { name, holds, is_acknowledged } = &noted.event else { continue };
            let file = folder.join(name);
            if !file.exists() {
                if *is_acknowledged && noted.ended <= cut {
                    return Err(Harm::Lost(format!("the backup {name}")));
                }
                continue;
            }
            let store = Store::open(&file).map_err(|error| unopened(&error))?;
            let found = look(&store, self.organization)?;
            if found != *holds {
                return Err(Harm::Partial(format!("{name} holds {} datasets of {}", found.len(), holds.len())));
            }
        }
        Ok(())
    }

    /// Holds what was found against the ledger.
    pub(super) fn judge(&self, found: &[Dataset], cut: usize) -> Result<(), Harm> {
        let mut missing = None;
        for (index, Noted { event, began, ended }) in self.events.iter().enumerate() {
            let Event::Creation { asked, fate } = event else { continue };
            let there: Vec<Dataset> = asked.iter().filter_map(|(id, _)| find(found, *id).cloned()).collect();
            if there.is_empty() {
                if matches!(fate, Fate::Acknowledged(_) | Fate::Loaded) {
                    if *ended <= cut && self.must_hold(index, cut) {
                        return Err(Harm::Lost(format!("creation {index}")));
                    }
                    missing.get_or_insert(index);
                }
                continue;
            }
            if *fate == Fate::Refused || *began > 0 && *began >= cut {
                return Err(Harm::Corrupt(format!("creation {index} is there, {fate:?}")));
            }
            if let Some(missing) = missing {
                return Err(Harm::Corrupt(format!("creation {index} is there and {missing} before it is not")));
            }
            let is_whole = match fate {
                Fate::Acknowledged(created) => there == *created,
                _ => there.iter().map(|dataset| (dataset.id, dataset.kpis.len())).eq(asked.iter().copied()),
            };
            if !is_whole {
                return Err(Harm::Partial(format!("creation {index}: {} of {}", there.len(), asked.len())));
            }
        }
        self.are_known(found)
    }

    /// Whether an acknowledged creation must be there, after a cut that came later.
    fn must_hold(&self, index: usize, cut: usize) -> bool {
        let is_closing = |noted: &Noted| matches!(noted.event, Event::Closing) && noted.ended <= cut;
        self.promise == Durability::Full || self.events[index..].iter().any(is_closing)
    }

    fn are_known(&self, found: &[Dataset]) -> Result<(), Harm> {
        let asked = self.events.iter().filter_map(|noted| match &noted.event {
            Event::Creation { asked, .. } => Some(asked),
            _ => None,
        });
        let asked: Vec<DatasetId> = asked.flatten().map(|(id, _)| *id).collect();
        match found.iter().find(|dataset| !asked.contains(&dataset.id)) {
            Some(stranger) => Err(Harm::Corrupt(format!("{} was never asked for", stranger.id))),
            None => Ok(()),
        }
    }

    fn has_ended(&self, cut: usize, is_it: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|noted| is_it(&noted.event) && noted.ended <= cut)
    }
}

fn find(found: &[Dataset], id: DatasetId) -> Option<&Dataset> {
    found.iter().find(|dataset| dataset.id == id)
}

/// Everything in the store, after `verify` found nothing.
fn look(store: &Store, organization: OrganizationId) -> Result<Vec<Dataset>, Harm> {
    let look = || {
        let verification = store.verify()?;
        let organization = store.organization(organization);
        let listed = organization.iter_datasets(&DatasetQuery::new()).collect::<crate::Result<Vec<_>>>()?;
        let counted = organization.count_datasets(&DatasetQuery::new())?;
        Ok((verification, listed, counted))
    };
    let (verification, listed, counted) =
        look().map_err(|error: Error| Harm::Corrupt(format!("reading: {error:?}")))?;
    let count = u64::try_from(listed.len()).unwrap();
    if !verification.is_whole() || verification.datasets != count || counted != count {
        return Err(Harm::Corrupt(format!("{verification:?}, {count} listed, {counted} counted")));
    }
    Ok(listed)
}

fn write_something(store: &Store) -> Result<(), Harm> {
    let organization = store.organization(OrganizationId::new());
    let created = organization.create_dataset(super::scene::request(1));
    let created = created.map_err(|error| Harm::Corrupt(format!("writing: {error:?}")))?;
    let read = organization.dataset(created.id);
    if !matches!(&read, Ok(Some(read)) if *read == created) {
        return Err(Harm::Corrupt(format!("what was written afterwards reads {read:?}")));
    }
    store.clone().close().map_err(|error| Harm::Corrupt(format!("closing: {error:?}")))
}

fn unopened(error: &Error) -> Harm {
    Harm::Corrupt(format!("opening: {error:?}"))
}

/// The ledger of a scene that begins with what a power cut left: what a first look finds must stay.
pub(super) fn found_in(
    image: &Image,
    events: &[Noted],
    organization: OrganizationId,
    schema: &'static Schema,
) -> Vec<Noted> {
    let mut scene = Scene::on(image, Durability::Full);
    (scene.organization, scene.schema) = (organization, schema);
    let copies = events.iter().map(|noted| noted.event.clone());
    let copies = copies.filter(|event| match event {
        Event::Backup { name, .. } => image.contains_key(name),
        event => matches!(event, Event::Alteration { .. }),
    });
    scene.open().unwrap();
    copies.for_each(|event| scene.note(0, event));
    for (dataset, _) in scene.altered() {
        if scene.store().organization(organization).dataset(dataset.id).is_ok() {
            scene.note(0, Event::Acceptance { id: dataset.id, fate: Fate::Acknowledged(vec![dataset]) });
        }
    }
    let mut events = scene.events.clone();
    scene.accept_the_rest().unwrap();
    let creation = |dataset: Dataset| Event::Creation {
        asked: vec![(dataset.id, dataset.kpis.len())],
        fate: Fate::Acknowledged(vec![dataset]),
    };
    let found = scene.read().unwrap().into_iter().map(creation);
    events.extend(found.map(|event| Noted { event, began: 0, ended: 0 }));
    events
}
