//! A store on a simulated disk, with a ledger of its calls and their answers.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kpi_store_fault_vfs::Disk;
use kpi_store_test_support::{folder_in_memory, ledger};
use tempfile::TempDir;

use super::follow::Kept;
use super::images::{Image, write};
use super::world::{Effect, Place, Version};
use crate::sqlite::schema::{SCHEMA, Schema};
use crate::{
    Dataset, DatasetId, Durability, Error, LoadOptions, NewDataset, NewKpi, Organization, OrganizationId, Result, Store,
};

/// A call, and the positions in the disk's record between which it ran.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) event: Event,
    pub(super) began: usize,
    pub(super) ended: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Creation(Creation),
    /// Another tool changed a dataset to this, before any call.
    Alteration {
        dataset: Dataset,
    },
    Change(Change),
    /// The file of before held this dataset.
    Found {
        id: DatasetId,
        history: Vec<Version>,
        place: Place,
    },
    /// A backup under this name, which holds exactly these datasets, in this order.
    Backup {
        name: String,
        holds: Vec<Dataset>,
        is_acknowledged: bool,
    },
    /// The file was brought to version 2.
    Upgrade,
    /// The last handle was closed.
    Closing,
}

pub(super) type Creation = ledger::Creation<DatasetId, Dataset>;

pub(super) type Outcome = ledger::Outcome<Dataset>;

/// What a transaction did to stored datasets: all of it or nothing.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) effects: Vec<Effect>,
    pub(super) outcome: Outcome,
}

/// So short that a few creates make the log begin anew.
const LOG_MAX: u64 = 100_000;

pub(super) struct Session {
    // Dropped in this order: the handles before the disk, the folder last.
    store: Option<Store>,
    others: Vec<Store>,
    pub(super) disk: Disk,
    pub(super) file: PathBuf,
    pub(super) organization: OrganizationId,
    pub(super) events: Vec<Noted>,
    pub(super) cursors: Vec<Kept>,
    /// The list of migrations with which the file is opened.
    pub(super) schema: &'static Schema,
    durability: Durability,
    pub(super) is_read_only: bool,
    folder: TempDir,
}

impl Session {
    pub(super) fn new(durability: Durability) -> Self {
        let folder = folder_in_memory();
        Self {
            store: None,
            others: Vec::new(),
            disk: Disk::new(folder.path()),
            file: folder.path().canonicalize().unwrap().join("kpis.db"),
            organization: OrganizationId::new(),
            events: Vec::new(),
            cursors: Vec::new(),
            schema: &SCHEMA,
            durability,
            is_read_only: false,
            folder,
        }
    }

    /// A session that begins with the files left by a power cut.
    pub(super) fn on(image: &Image, durability: Durability) -> Self {
        let session = Self::new(durability);
        write(image, session.folder.path());
        session
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn open(&mut self) -> Result<()> {
        self.store = None;
        self.store = Some(self.opened()?);
        Ok(())
    }

    fn opened(&self) -> Result<Store> {
        let options =
            Store::options().durability(self.durability).busy_timeout(Duration::from_secs(1)).log_max(LOG_MAX);
        options.read_only(self.is_read_only).open_with_schema(&self.file, self.schema)
    }

    /// Opens a second handle, which stays open until the session ends or [`close_another`](Self::close_another).
    pub(super) fn open_another(&mut self) -> Result<()> {
        let other = self.opened()?;
        self.others.push(other);
        Ok(())
    }

    /// Closes a second handle, which checkpoints the log while the first one stays open.
    pub(super) fn close_another(&mut self) -> Result<()> {
        self.others.pop().unwrap().close()
    }

    /// Closes the last handle.
    pub(super) fn close(&mut self) -> Result<()> {
        self.keep_cursor();
        let began = self.disk.recorded();
        let closed = self.store.take().unwrap().close();
        if closed.is_ok() {
            self.note(began, Event::Closing);
        }
        closed
    }

    /// Drops every handle.
    pub(super) fn leave(&mut self) {
        self.others.clear();
        self.store = None;
    }

    /// Copies the log into the file; nothing but the disk prevents it.
    pub(super) fn checkpoint(&self) -> Result<()> {
        self.store().checkpoint().map(|is_done| assert!(is_done || self.disk.has_failed()))
    }

    pub(super) fn is_open(&self) -> bool {
        self.store.is_some()
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().expect("the session opened the store")
    }

    pub(super) fn organization(&self) -> Organization {
        self.store().organization(self.organization)
    }

    /// Makes the second handle the first one, and the other way round.
    pub(super) fn change_places(&mut self) {
        let first = self.store.replace(self.others.pop().expect("there is a second handle"));
        self.others.extend(first);
    }

    /// Creates a dataset with this number of KPIs.
    pub(super) fn create(&mut self, kpis: usize) -> Result<()> {
        self.create_together(&[kpis])
    }

    /// Creates datasets with these numbers of KPIs in one transaction.
    pub(super) fn create_together(&mut self, kpis: &[usize]) -> Result<()> {
        let asked: Vec<_> = kpis.iter().map(|kpis| (DatasetId::new(), *kpis)).collect();
        let mut requests: Vec<_> = asked.iter().map(|(id, kpis)| request(*kpis).id(*id)).collect();
        let organization = self.organization();
        let began = self.disk.recorded();
        let created = match requests.len() {
            1 => organization.create_dataset(requests.remove(0)).map(|dataset| vec![dataset]),
            _ => organization.create_datasets(requests),
        };
        self.note(began, Event::Creation(Creation { asked, outcome: outcome_of(&created, Vec::clone) }));
        created.map(drop)
    }

    /// Loads datasets with these numbers of KPIs, in one transaction or in batches.
    pub(super) fn load(&mut self, kpis: &[usize], batch: Option<u32>) -> Result<()> {
        let asked: Vec<_> = kpis.iter().map(|kpis| (DatasetId::new(), *kpis)).collect();
        let requests = asked.iter().map(|(id, kpis)| request(*kpis).id(*id));
        let options = batch.map_or_else(LoadOptions::new, |batch| LoadOptions::new().in_batches_of(batch));
        let mut places = vec![self.disk.recorded()];
        let options = options.progress(|_| {
            places.push(self.disk.recorded());
            ControlFlow::Continue(())
        });
        let loaded = self.organization().load_datasets(requests, options);
        let ended = self.disk.recorded();
        let size = batch.map_or(asked.len(), |batch| usize::try_from(batch).unwrap());
        if batch.is_none() {
            // Progress before the commit does not mean that anything is stored.
            places.truncate(1);
        }
        for (number, asked) in asked.chunks(size).enumerate() {
            let outcome = match &loaded {
                Ok(_) => Outcome::Loaded,
                Err(stopped) => match (usize::try_from(stopped.stored).unwrap() / size).cmp(&number) {
                    Ordering::Greater => Outcome::Loaded,
                    Ordering::Equal if matches!(stopped.error, Error::OutcomeUnknown { .. }) => Outcome::Unknown,
                    _ => Outcome::Refused,
                },
            };
            let place = |number: usize| places.get(number).copied().unwrap_or(ended);
            let (began, ended) = (place(number), place(number + 1));
            let creation = Creation { asked: asked.to_vec(), outcome };
            self.events.push(Noted { event: Event::Creation(creation), began, ended });
        }
        Ok(loaded.map(drop)?)
    }

    /// Creates datasets with these numbers of KPIs, each from a thread of its own, in one shared transaction.
    pub(super) fn create_in_a_group(&mut self, kpis: &[usize]) -> Result<()> {
        let asked: Vec<_> = kpis.iter().map(|kpis| (DatasetId::new(), *kpis)).collect();
        let organization = self.organization();
        let calls = asked.iter().map(|(id, kpis)| {
            let (organization, request) = (organization.clone(), request(*kpis).id(*id));
            move || organization.create_dataset(request)
        });
        let began = self.disk.recorded();
        let answers = self.store().in_a_group(calls);
        let (mut shared, mut created, mut is_unknown, mut failed) = (Vec::new(), Vec::new(), false, Ok(()));
        for (asked, answer) in asked.into_iter().zip(answers) {
            match &answer {
                Ok(dataset) => {
                    shared.push(asked);
                    created.push(dataset.clone());
                }
                Err(Error::OutcomeUnknown { ids, .. }) => {
                    assert_eq!(*ids, [asked.0], "each is told of its own");
                    shared.push(asked);
                    is_unknown = true;
                }
                // It failed on its own, without the others.
                Err(_) => self.note(began, Event::Creation(Creation { asked: vec![asked], outcome: Outcome::Refused })),
            }
            failed = failed.and(answer.map(drop));
        }
        assert!(created.is_empty() || !is_unknown, "one commit was answered in two ways");
        if !shared.is_empty() {
            let outcome = if is_unknown { Outcome::Unknown } else { Outcome::Acknowledged(created) };
            self.note(began, Event::Creation(Creation { asked: shared, outcome }));
        }
        failed
    }

    pub(super) fn back_up(&mut self, name: &str) -> Result<()> {
        let holds = self.acknowledged();
        let began = self.disk.recorded();
        let backed_up = self.store().backup_to(self.file.with_file_name(name));
        self.note(began, Event::Backup { name: name.to_owned(), holds, is_acknowledged: backed_up.is_ok() });
        backed_up
    }

    /// Opens the file with a later list of migrations.
    pub(super) fn upgrade(&mut self, schema: &'static Schema) -> Result<()> {
        let holds = self.acknowledged();
        self.schema = schema;
        let began = self.disk.recorded();
        let opened = self.opened();
        let is_acknowledged = opened.is_ok();
        self.note(began, Event::Backup { name: BACKUP_OF_UPGRADE.to_owned(), holds, is_acknowledged });
        // A handle of the old version stays open, and may no longer write.
        self.others.extend(self.store.replace(opened?));
        self.note(began, Event::Upgrade);
        Ok(())
    }

    pub(super) fn note(&mut self, began: usize, event: Event) {
        let ended = self.disk.recorded();
        self.events.push(Noted { event, began, ended });
        if ended > 0 {
            self.keep_cursor();
        }
    }
}

pub(super) fn outcome_of<T>(answer: &Result<T>, stored: impl FnOnce(&T) -> Vec<Dataset>) -> Outcome {
    match answer {
        Ok(answer) => Outcome::Acknowledged(stored(answer)),
        Err(Error::OutcomeUnknown { .. }) => Outcome::Unknown,
        Err(_) => Outcome::Refused,
    }
}

/// The name of the backup that is made without hard links.
pub(super) const CLAIMED_BACKUP: &str = "claimed.copy";

pub(super) const BACKUP_OF_UPGRADE: &str = "kpis.db.v1.backup";

pub(super) fn request(kpis: usize) -> NewDataset {
    NewDataset::new("Water").kpis((0..kpis).map(|index| NewKpi::new(format!("KPI {index}")).unit("m³")))
}
